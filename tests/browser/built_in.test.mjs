// The pages of short runs of the built-in tasks, with every built-in probe: what they draw says what it is.
import assert from "node:assert/strict";
import {existsSync, readdirSync} from "node:fs";
import {test} from "node:test";
import {withPage} from "./page.mjs";

const runs = readdirSync("trained").filter((run) => existsSync(`trained/${run}/report.html`));
const seen = new Set();

for (const run of runs)
  test(`${run}: every panel and figure has a title and labels, and one unit`, () =>
    withPage(`trained/${run}`, {}, async (page) => {
      const all = await page.evaluate(() => {
        const cards = pageData.probes.flatMap((probe) =>
          [...probe.figures, ...probe.concluding].flatMap((figure) =>
            figure.heads.map(({title, x_label, y_label, kind, traces}) => ({
              what: `${probe.label} ${figure.name}`,
              title,
              labels: [x_label, y_label, ...(kind === "heatmap" ? [traces[0]] : [])],
            })),
          ),
        );
        const drawn = [...trainingPanels(), ...pageData.probes.flatMap(scalarPanels)].map((panel) => ({
          what: panel.file,
          title: panel.title,
          labels: [panelFigure(preparePanel(panel)).layout.yaxis.title.text],
        }));
        // Scalars of which their probe does not say what they measure.
        const silent = pageData.probes.flatMap((probe) =>
          probe.curves
            .filter((curve) => measuredBy(probe, curve.name).title.endsWith(`(${probe.label})`))
            .map((curve) => `${probe.label} ${curve.name}`),
        );
        return {figures: [...cards, ...drawn], silent, probes: pageData.probes.map((probe) => probe.plugin)};
      });
      all.probes.forEach((probe) => seen.add(probe));
      assert.ok(all.figures.length > 5, String(all.figures.length));
      for (const {what, title, labels} of all.figures)
        assert.ok(title && labels.every((label) => label), `${what}: title "${title}", labels ${JSON.stringify(labels)}`);
      assert.deepEqual(all.silent, []);
    }));

test("every built-in probe is among them", () => {
  assert.equal(seen.size, 14, [...seen].sort().join(", "));
});

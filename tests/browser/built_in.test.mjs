// The pages of short runs of the built-in tasks, with every built-in probe: what they draw says what it is.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
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
        const mixed = pageData.probes.flatMap((probe) =>
          scalarPanels(probe)
            .filter(({curves}) => new Set(curves.map(({name}) => measuredBy(probe, name).unit)).size > 1)
            .map(({title}) => `${probe.label} ${title}`),
        );
        // The losses of probes beside those of the network.
        for (const {title, unit, curves} of trainingPanels())
          for (const {probe, name} of curves.filter((curve) => curve.probe)) {
            const of = pageData.probes.find(({label}) => label === probe);
            if (measuredBy(of, name.slice(probe.length + 1)).unit !== unit) mixed.push(`${title}: ${name}`);
          }
        // Scalars of which their probe does not say what they measure.
        const silent = pageData.probes.flatMap((probe) =>
          probe.curves
            .filter((curve) => measuredBy(probe, curve.name).title.endsWith(`(${probe.label})`))
            .map((curve) => `${probe.label} ${curve.name}`),
        );
        return {figures: [...cards, ...drawn], mixed, silent, probes: pageData.probes.map((probe) => probe.plugin)};
      });
      all.probes.forEach((probe) => seen.add(probe));
      assert.ok(all.figures.length > 5, String(all.figures.length));
      for (const {what, title, labels} of all.figures)
        assert.ok(title && labels.every((label) => label), `${what}: title "${title}", labels ${JSON.stringify(labels)}`);
      assert.deepEqual(all.mixed, []);
      assert.deepEqual(all.silent, []);
    }));

// Draws every plot of a page, and returns what a reader would stumble over: tick labels that touch or differ in size, axes
// with fewer than two or without the number of a value that is there, a legend that is cut off, and curves of one panel that look alike.
async function unreadable(page) {
  await page.evaluate(() => foldAll(true));
  for (const one of await page.locator(".plot").all()) {
    await one.scrollIntoViewIfNeeded();
    await one.and(page.locator("[data-drawn]")).waitFor();
  }
  return page.evaluate(() => {
    const found = [];
    for (const plot of document.querySelectorAll(".plot")) {
      const what = plot.getAttribute("aria-label"),
        axes = Object.values(plot._fullLayout).filter((axis) => axis?._id && axis.type === "log" && axis.showticklabels);
      for (const axis of axes) {
        const texts = [...plot.querySelectorAll(`.${axis._id}tick text`)],
          boxes = texts.map((text) => text.getBoundingClientRect()).sort((a, b) => a.y - b.y || a.x - b.x),
          sizes = new Set(texts.map((text) => getComputedStyle(text).fontSize));
        if (texts.length < 2) found.push(`${what}: ${axis._id} has ${texts.length} ticks`);
        if (sizes.size > 1) found.push(`${what}: ${axis._id} has ticks of ${[...sizes]}`);
        if (boxes.some((box, i) => i > 0 && box.y < boxes[i - 1].bottom - 2 && box.x < boxes[i - 1].right))
          found.push(`${what}: the ticks of ${axis._id} overlap: ${texts.map((text) => text.textContent)}`);
      }
      const values = plot.closest(".panel") ? plot.data.flatMap(({y}) => [...y]).filter(Number.isFinite) : [];
      for (const text of plot.querySelectorAll(".ytick text")) {
        const number = Number(text.textContent.replace("−", "-").replaceAll(",", ""));
        if (text.style.display === "none" && number >= Math.min(...values) && number <= Math.max(...values))
          found.push(`${what}: the number ${text.textContent} is not drawn`);
      }
      const head = plot.closest(".panel")?.querySelector("figcaption");
      if (head && innerWidth > 700 && head.scrollHeight > head.clientHeight + 1)
        found.push(`${what}: ${head.scrollHeight - head.clientHeight} px of its legend are cut off`);
      if (what.includes("?,")) found.push(`${what}: a comma after the question mark`);
    }
    for (const {title, curves} of panels) {
      const looks = stylesOf(curves.map((curve) => curve.name)).map(({colour, dash}) => `${colour} ${dash}`);
      if (new Set(looks).size < curves.length) found.push(`${title}: curves look alike`);
    }
    return found;
  });
}

for (const viewport of [{width: 1440, height: 1000}, {width: 390, height: 844}])
  test(`what is drawn can be read, ${viewport.width} pixels wide`, () =>
    withPage("trained/addition", {viewport, ready: "section"}, async (page) => assert.deepEqual(await unreadable(page), [])));

test("circles are round and fill their figures", () =>
  withPage("trained/addition", {viewport: {width: 1440, height: 1000}, ready: "section"}, async (page) => {
    await unreadable(page);
    const circles = await page.evaluate(() =>
      [...document.querySelectorAll(".card .plot")]
        .filter((plot) => plot._fullLayout.yaxis.scaleanchor)
        .map((plot) => [plot, plot._fullLayout.xaxis.range, figures.get(plot).make({width: plot.clientWidth}).layout.xaxis.range])
        .map(([plot, range, asked]) => ({
          what: plot.getAttribute("aria-label"),
          across: range[1] - range[0],
          asked: asked[1] - asked[0],
          looks: new Set(plot.data.map((trace) => `${trace.marker.color} ${trace.marker.symbol}`)).size,
          traces: new Set(plot.data.map((trace) => trace.name)).size,
        })),
    );
    assert.ok(circles.length > 0);
    for (const {what, across, asked, looks, traces} of circles) {
      assert.ok(Math.abs(across - asked) < 0.02 * across, `${what}: ${across} wide, for ${asked}`);
      assert.equal(looks, traces, what);
    }
  }));

test("images of panels have room for their whole legend", () =>
  withPage("trained/addition", {}, async (page) => {
    const cut = await page.evaluate(async () => {
      const found = [];
      for (const panel of pageData.probes.flatMap(scalarPanels)) {
        const more = panel.curves.map((curve) => ({...curve, name: `${curve.name} again`}));
        panel.curves = [...panel.curves, ...more];
        Object.assign(panel, {height: exportedHeight(panel)});
        const {data, layout} = panelFigure(preparePanel(panel), {image: true}),
          target = document.body.appendChild(element("div"));
        await Plotly.newPlot(target, data, styledLayout({...layout, width: 720, height: panel.height + 100}));
        const bar = target.querySelector(".legend .scrollbar");
        if (bar && Number(bar.getAttribute("height")) > 0) found.push(`${panel.title}: ${panel.curves.length} curves`);
        target.remove();
      }
      return found;
    });
    assert.deepEqual(cut, []);
  }));

test("a comparison draws every value within its axis", () =>
  withPage("compare", {}, async (page) => {
    const outside = await page.evaluate(() => {
      pageData.features.forEach((row) => row.nulls.forEach((one) => one && row.scale === "share" && (one.value = -0.2)));
      const {data, layout} = dotsFigure();
      return data.flatMap(({x}) => x).filter((x) => x !== null && (x < layout.xaxis.range[0] || x > layout.xaxis.range[1])).length;
    });
    assert.equal(outside, 0);
  }));

test("the loss has the unit of what the network was trained on", () =>
  withPage("trained/parity", {}, async (page) => {
    const [loss] = await page.evaluate(() => trainingPanels().map(({title, unit, curves}) => ({title, unit, n: curves.length})));
    assert.deepEqual(loss, {title: "Loss", unit: "hinge loss", n: 2});
    const squared = await page.evaluate(() => Object.assign(pageData, {loss: "mse_one_hot"}) && trainingPanels()[0].unit);
    assert.equal(squared, "mean squared error");
  }));

test("a comparison gives losses in what each network was trained on", () =>
  withPage("compare", {}, async (page) => {
    const label = () => page.evaluate(() => curvesFigure("loss", true).layout.yaxis.title.text);
    assert.equal(await label(), "loss (nats)");
    assert.match(await page.evaluate(() => lossText(pageData.runs[0], "train")), / nats$/);
    await page.evaluate(() => pageData.runs.forEach((run) => (run.loss = "hinge")));
    assert.equal(await label(), "hinge loss");
    assert.doesNotMatch(await page.evaluate(() => lossText(pageData.runs[0], "train")), /nats/);
    await page.evaluate(() => (pageData.runs[0].loss = "logistic"));
    assert.equal(await label(), "loss");
  }));

test("every built-in probe is among them", () => {
  const {plugins} = JSON.parse(execFileSync(process.env.ORRERY, ["plugins", "--json"]));
  const probes = plugins.filter(({kind}) => kind === "probe").map(({name}) => name);
  assert.deepEqual([...seen].sort(), probes.sort());
});

// The page of a sweep: what it says of runs that ended, never came, failed or are missing, and what a click shows.
import assert from "node:assert/strict";
import {test} from "node:test";
import {placeOf, withPage as withAnyPage} from "./page.mjs";

// On a phone the first figure is out of sight; and a page that scrolls smoothly moves under the mouse.
const withPage = (run, options, look) => withAnyPage(run, {ready: "html[data-ready]", reducedMotion: "reduce", ...options}, look);
const sections = ["points", "grid", "curves", "survival", "scatter"];
const plot = (section) => `#${section} .plot`;

// Brings a figure into view, changes what the menus say, and returns what Plotly draws.
async function drawn(page, section, choices = {}) {
  await page.locator(`#${section}`).scrollIntoViewIfNeeded();
  await page.waitForSelector(`${plot(section)}[data-drawn]`);
  for (const [label, text] of Object.entries(choices)) {
    const menu = page.locator(`#${section} .menu`, {has: page.locator(`span:text-is("${label}")`)});
    if (await menu.locator("select").count()) await menu.locator("select").selectOption({label: text});
    else await menu.locator("button", {hasText: text}).click();
  }
  await page.waitForFunction((selector) => {
    const figure = figures.get(document.querySelector(selector));
    return !figure.stale && !figure.drawing;
  }, plot(section));
  return page.evaluate((selector) => {
    const target = document.querySelector(selector), {xaxis, yaxis} = target._fullLayout;
    return {
      data: target.data.map((trace) => JSON.parse(JSON.stringify(trace, (key, value) => (ArrayBuffer.isView(value) ? [...value] : value)))),
      x: xaxis.title.text, y: yaxis.title.text, types: [xaxis.type, yaxis.type],
      ticks: [...target.querySelectorAll(".xtick text")].map((tick) => tick.textContent),
      legend: [...target.querySelectorAll(".legendtext")].map((text) => text.textContent),
      heading: target.parentNode.querySelector("h3").textContent,
      note: target.parentNode.querySelector(".caption").textContent,
    };
  }, plot(section));
}
const ofRuns = ({data}) => data.filter((trace) => Array.isArray(trace.meta) && trace.mode.startsWith("markers"));
const count = (traces) => traces.reduce((sum, trace) => sum + trace.x.length, 0);

test("the head counts runs by state and has the verdicts", () =>
  withPage("set", {}, async (page) => {
    assert.deepEqual(await page.locator(".chip").allTextContents(), ["21 done", "1 stale", "1 missing", "1 failed"]);
    assert.match(await page.locator("ul.failed").textContent(), /the loss became NaN or infinite after step 200/);
    assert.match(await page.locator("#set").textContent(), /Not all runs are done.*orrery sweep run set\.toml/s);
    const rows = await page.locator("#verdicts tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
    assert.deepEqual(rows.map((row) => row.at(-1)), ["not all runs are done", "not all runs are done", "ok"]);
    assert.equal(rows[0][1], "2 of 24 runs are not done");
    assert.deepEqual(rows[2].slice(0, 5), ["median of grok_step <= 300, train.weight_decay = 10, task.p = 7", "115", "100 to 130", "4", "a third"]);
    const keys = await page.locator("#keys tbody tr").allTextContents();
    assert.match(keys[0], /train\.weight_decay0\.1, 1, 103 values/);
    assert.match(keys[2], /seed0, 1, 2, 34 valuesseeds\.data, seeds\.init, seeds\.batches/);
  }));

test("every figure has a title and labels, in light and dark, at two widths", async () => {
  for (const colorScheme of ["light", "dark"])
    for (const width of [1440, 390])
      await withPage("set", {colorScheme, viewport: {width, height: 900}}, async (page) => {
        for (const section of sections) {
          const {x, y, note, heading} = await drawn(page, section);
          assert.ok(x && y && note && heading, `${section}: "${heading}" "${x}" "${y}" "${note}"`);
          const {title, file} = await page.evaluate((selector) => figures.get(document.querySelector(selector)).make({width: 900, image: true}), plot(section));
          assert.ok(title && file, section);
        }
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${width}`);
      });
});

test("a reading against a key: a point for each run, what never came open and with an arrow", () =>
  withPage("set", {}, async (page) => {
    const shown = await drawn(page, "points", {colour: "nothing"});
    assert.equal(shown.x, "train.weight_decay");
    assert.equal(shown.y, "grok_step");
    assert.deepEqual(shown.types, ["log", "linear"]);
    assert.deepEqual(shown.ticks, ["0.1", "1", "10"]);
    const [came, never] = ofRuns(shown);
    assert.deepEqual([came.x.length, never.x.length], [14, 7]);
    assert.equal(never.marker.symbol, "circle-open");
    assert.deepEqual(new Set(never.y), new Set([400]));
    assert.ok(never.text.every((text) => text === "↑"));
    assert.match(shown.note, /21 of 24 runs\. Not drawn: 1 stale, 1 diverged, 1 missing\./);
    // The band and the medians of the engine: decay 10 has runs 0 to 7, at steps 100 to 170.
    const medians = shown.data.find((trace) => trace.mode.startsWith("lines+markers"));
    assert.deepEqual(medians.x.map((x) => Number(x.toPrecision(6))), [0.1, 1, 10]);
    assert.equal(medians.y[2], 135);
    assert.deepEqual(medians.text, ["↑", "", ""]);
    assert.match(medians.customdata[0], /median beyond 400.*beyond the last step to beyond the last step.*7 runs, 7 never/);
    assert.match(medians.customdata[2], /median 135.*95 %: \d+ to \d+.*8 runs/);
    // A seed is a name: evenly spaced, and each run always at the same place.
    const bySeed = await drawn(page, "points", {against: "seed", colour: "class"});
    assert.deepEqual(bySeed.ticks, ["0", "1", "2", "3"]);
    assert.deepEqual(bySeed.legend, ["groks", "fails"]);
    for (const trace of ofRuns(bySeed)) for (const x of trace.x) assert.ok(Math.abs(x - Math.round(x)) < 0.3);
    await page.reload();
    const again = await drawn(page, "points", {against: "seed", colour: "class"});
    assert.deepEqual(ofRuns(again).map(({x}) => x), ofRuns(bySeed).map(({x}) => x));
    const mean = await drawn(page, "points", {against: "task.p", estimate: "mean", "y axis": "log"});
    assert.equal(mean.types[1], "log");
    assert.match(mean.note, /There is no mean where it never came in a run/);
  }));

test("a grid of two keys: shares, their n, and what is missing", () =>
  withPage("set", {}, async (page) => {
    const {data: [heat], x, y, ticks} = await drawn(page, "grid");
    assert.deepEqual([x, y], ["train.weight_decay", "task.p"]);
    assert.deepEqual(ticks, ["0.1", "1", "10"]);
    assert.deepEqual(heat.z, [[0, 1, 1], [0, 2 / 3, 1]]);
    assert.equal(heat.colorbar.title.text, "share of runs of class groks");
    assert.match(heat.text[1][1], /0\.67<br>2 of 3/);
    assert.match(heat.customdata[1][1], /groks: 2 of 3.*95 %: 0\.208 to 0\.939 \(Wilson\).*1 not done/);
    const {data: [medians]} = await drawn(page, "grid", {colour: "median: grok_step"});
    assert.equal(medians.z[0][2], 115);
    assert.match(medians.text[0][0], /> 400/);
    await page.mouse.click(...(await placeOf(page, plot("grid"), 2, 0)));
    await page.waitForSelector("#run .one");
    assert.equal(await page.locator("#run .one").count(), 4);
    await page.locator("#run .one").first().click();
    assert.match(await page.locator("#run h2").textContent(), /^Run [0-9a-f]{12}$/);
  }));

test("all curves of a metric, and a click shows the run", () =>
  withPage("set", {}, async (page) => {
    const shown = await drawn(page, "curves", {metric: "test/loss", colour: "train.weight_decay"});
    assert.equal(shown.y, "test/loss (nats)");
    assert.deepEqual(shown.types, ["linear", "log"]);
    assert.deepEqual(shown.legend, ["0.1", "1", "10"]);
    const lines = shown.data.filter((trace) => Array.isArray(trace.meta));
    assert.equal(lines.reduce((sum, trace) => sum + trace.x.filter((x) => x === null).length, 0), 23);
    assert.match(shown.note, /23 curves of 24 runs; 2 of runs that are not done/);
    const linear = await drawn(page, "curves", {"y axis": "linear", "x axis": "log"});
    assert.deepEqual(linear.types, ["log", "linear"]);
    await drawn(page, "curves", {"x axis": "linear", "y axis": "log"});
    await page.mouse.click(...(await placeOf(page, plot("curves"), 400, 1 / 8)));
    await page.waitForSelector("#run");
    const text = await page.locator("#run").textContent();
    assert.match(text, /groks, 400 steps/);
    assert.match(text, /train\.weight_decay10task\.p11seeds\.data3/);
    assert.match(text, /grok_step170test_loss0\.125norm17/);
    assert.match(text, /set\/runs\//);
    assert.equal(await page.locator("#run a").count(), 0);
    const chosen = await drawn(page, "curves");
    assert.equal(chosen.data.filter((trace) => trace.line?.width === 2.6).length, 1);
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("#run").count(), 0);
  }));

test("a run with a report has a link to it", () =>
  withPage("set", {}, async (page) => {
    const id = await page.evaluate(() => runs[8].id);
    await page.locator("#runs .link", {hasText: id}).click();
    assert.equal(await page.locator("#run a").getAttribute("href"), `runs/${id}/report.html`);
    await page.locator("#run [aria-label=Close]").click();
    await page.locator("#runs .link").last().click();
    assert.match(await page.locator("#run").textContent(), /missing/);
  }));

test("survival: the share not yet, and what ended without it", () =>
  withPage("set", {}, async (page) => {
    const shown = await drawn(page, "survival", {"apart by": "nothing"});
    assert.equal(shown.y, "share not yet: grok_step");
    const line = shown.data.find((trace) => trace.mode === "lines" && trace.line.width === 2);
    assert.equal(line.x[0], 0);
    assert.equal(line.y[0], 1);
    assert.ok(Math.abs(line.y.at(-1) - 7 / 21) < 1e-9);
    const marks = shown.data.find((trace) => trace.mode === "markers");
    assert.deepEqual([marks.x, marks.marker.symbol], [[400], "cross-thin-open"]);
    assert.match(shown.note, /21 of 24 runs.*ended without it \(7\)/);
    const apart = await drawn(page, "survival", {"apart by": "train.weight_decay"});
    assert.deepEqual(apart.legend, ["0.1", "1", "10"]);
    const ends = apart.data.filter((trace) => trace.mode === "lines" && trace.line.width === 2 && trace.x.length > 1).map((trace) => trace.y.at(-1));
    assert.deepEqual(ends, [1, 0, 0]);
  }));

test("two readings, with lines of a third where enough runs have all", () =>
  withPage("set", {}, async (page) => {
    const plain = await drawn(page, "scatter");
    assert.equal(plain.x, "grok_step");
    assert.equal(plain.y, "test_loss (nats)");
    assert.equal(count(ofRuns(plain)), 21);
    assert.ok(ofRuns(plain).filter((trace) => trace.marker.symbol === "circle-open").every((trace) => trace.text.every((text) => text === "→")));
    const lines = await drawn(page, "scatter", {"iso-lines": "norm"});
    const contour = lines.data.find((trace) => trace.type === "contour");
    assert.equal(contour.colorbar.title.text, "norm");
    assert.match(lines.note, /Lines of equal norm: the mean over the runs with Gaussian weights/);
    const all = contour.z.flat().filter((z) => z !== null);
    assert.ok(Math.min(...all) >= 10 && Math.max(...all) <= 31, `${Math.min(...all)} to ${Math.max(...all)}`);
  }));

test("the table sorts by any column, numbers by size and what never came last", () =>
  withPage("set", {}, async (page) => {
    const column = (title) => page.locator(`#runs td[data-column="${title}"]`).allTextContents();
    assert.equal((await column("run")).length, 24);
    const head = page.locator("#runs th button", {hasText: "grok_step"});
    await head.click();
    const up = await column("grok_step");
    assert.deepEqual(up.slice(0, 2), ["100", "110"]);
    assert.equal(up[14], "never (> 400)");
    assert.deepEqual(up.slice(-3), ["–", "–", "–"]);
    assert.equal(await page.locator("#runs th[aria-sort=ascending]").textContent(), "grok_step");
    await head.click();
    const down = await column("grok_step");
    assert.deepEqual([down[0], down[7], down.at(-1)], ["never (> 400)", "310", "–"]);
    await page.locator("#runs th button", {hasText: "train.weight_decay"}).click();
    assert.deepEqual([...new Set(await column("weight_decay"))], ["0.1", "1", "10"]);
  }));

test("on a phone the table is a list of cards that still sorts", () =>
  withPage("set", {viewport: {width: 390, height: 844}}, async (page) => {
    assert.ok(await page.locator("#runs thead").isHidden());
    await page.locator("#runs .narrow select").selectOption({label: "grok_step"});
    assert.match(await page.locator("#runs tbody tr").first().textContent(), /100/);
    await page.locator("#runs .link").first().click();
    const box = await page.locator("#run").boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 390 && box.y + box.height <= 845, JSON.stringify(box));
  }));

test("figures are drawn as images, by their names", () =>
  withPage("set", {hash: "#export=svg&figure=curves%2F*%2Floss&figure=points%2F*&width=540", ready: "html[data-exported]"}, async (page) => {
    const names = decodeURIComponent(await page.locator("[data-names]").getAttribute("data-names")).split(" ");
    for (const name of ["points/grok_step/train.weight_decay", "points/grok_step/task.p", "survival/grok_step", "curves/train/loss", "curves/test/accuracy"])
      assert.ok(names.includes(name), `${name} is not among ${names}`);
    assert.equal(new Set(names).size, names.length, "no two figures have one name");
    assert.ok(names.some((name) => name.startsWith("grid/")) && names.some((name) => name.startsWith("scatter/")), String(names));
    const drawn = await page.locator("[data-file]").evaluateAll((all) => all.map((one) => ({...one.dataset, start: atob(one.textContent).slice(0, 400)})));
    assert.deepEqual(drawn.map((one) => decodeURIComponent(one.figure)), names.filter((name) => /^(points\/|curves\/.*\/loss$)/.test(name)));
    for (const one of drawn) {
      assert.match(one.start, /^<svg[^>]* width="540"/);
      assert.ok(decodeURIComponent(one.caption).length > 5 && one.file.endsWith(".svg"), one.file);
    }
  }));

// Panels, sections and figures: names, units, order, colours, what folds, what the address keeps.
import assert from "node:assert/strict";
import {test} from "node:test";
import {card, drawnAt, hoverText, show, withPage} from "./page.mjs";

const openAll = (page) => page.evaluate(() => foldAll(true));
// Draws everything and returns what Plotly has made of each panel of a stack.
async function drawnPanels(page) {
  await openAll(page);
  for (const one of await page.locator(".panel").all()) {
    await one.scrollIntoViewIfNeeded();
    await one.locator(".plot[data-drawn]").waitFor();
  }
  return page.evaluate(() =>
    panels.map((panel) => ({
      title: panel.plot.closest("figure").querySelector(".title").textContent,
      unit: panel.plot._fullLayout.yaxis.title.text,
      names: panel.curves.map((curve) => curve.label),
      legend: [...panel.plot.closest("figure").querySelectorAll(".series")].map((one) => one.textContent),
      colours: Object.fromEntries(panel.plot.data.map((trace) => [trace.name, trace.line.color])),
    })),
  );
}

test("hovering says names where the ticks have names", () =>
  withPage("small", {}, async (page) => {
    await show(page, "decay");
    await drawnAt(page, "decay", "The decay, step 400");
    assert.match(await hoverText(page, "decay", 3, 0.401), /column three/);
    await show(page, "named");
    assert.match(await hoverText(page, "named", 2, 1), /to =.*from head 1.*attention \(share\) 5/s);
    await show(page, "points");
    assert.match(await hoverText(page, "points", 1, 2), /neuron 17/);
  }));

test("every panel has a title and a y label with its unit", () =>
  withPage("small", {}, async (page) => {
    const drawn = await drawnPanels(page);
    assert.ok(drawn.length >= 8, String(drawn.length));
    for (const {title, unit} of drawn) assert.ok(title && unit, `"${title}": "${unit}"`);
    const score = drawn.find(({title}) => title === "Score of the network");
    assert.equal(score.unit, "score (points)");
    // A scalar of which the probe says nothing has its own name.
    assert.ok(drawn.some(({title, unit}) => title === "not described (probe)" && unit === "not described"));
  }));

test("train, test, trig and excluded loss are in one panel", () =>
  withPage("small", {}, async (page) => {
    const [loss] = await drawnPanels(page);
    assert.deepEqual(loss.names, ["train", "test", "excluded_loss train", "trig_loss test"]);
    assert.deepEqual(loss.legend, loss.names);
    assert.equal(loss.unit, "loss (nats)");
    assert.equal(new Set(Object.values(loss.colours)).size, 4);
  }));

test("a metric of the task's own is one panel, of train and test", () =>
  withPage("small", {}, async (page) => {
    const others = await page.evaluate(() => {
      const like = pageData.metrics.find(({name}) => name === "train/loss");
      for (const name of ["test/whole_sum", "speed", "train/whole_sum"]) pageData.metrics.push({...like, name});
      return trainingPanels()
        .filter(({title}) => ["whole sum", "speed"].includes(title))
        .map(({title, unit, file, curves}) => [title, unit, file, curves.map(({label}) => label)]);
    });
    assert.deepEqual(others, [
      ["whole sum", "whole sum", "curves_whole_sum", ["train", "test"]],
      ["speed", "speed", "curves_speed", ["speed"]],
    ]);
  }));

test("panels stand on one axis of steps, without gaps", () =>
  withPage("small", {}, async (page) => {
    await drawnPanels(page);
    const stack = await page.evaluate(() =>
      [...document.querySelector(".stack").querySelectorAll(".plot")].map((plot) => {
        const {top, bottom} = plot.getBoundingClientRect(),
          {xaxis, yaxis} = plot._fullLayout;
        return {top, bottom, left: xaxis._offset, length: xaxis._length, ticks: plot.querySelectorAll(".xtick").length,
          from: top + yaxis._offset, to: top + yaxis._offset + yaxis._length};
      }),
    );
    assert.ok(stack.length >= 4);
    for (let i = 1; i < stack.length; ++i) {
      assert.ok(Math.abs(stack[i].top - stack[i - 1].bottom) < 1, `gap before ${i}`);
      assert.ok(stack[i].from - stack[i - 1].to < 10, `${stack[i].from - stack[i - 1].to} px between axes`);
      assert.deepEqual([stack[i].left, stack[i].length], [stack[0].left, stack[0].length]);
      assert.equal(stack[i - 1].ticks, 0);
    }
    assert.ok(stack.at(-1).ticks > 0);
  }));

test("frequencies are in natural order and have one colour everywhere", () =>
  withPage("small", {}, async (page) => {
    const margin = (await drawnPanels(page)).find(({title}) => title === "Margin of each frequency");
    assert.deepEqual(margin.names, ["k=2", "k=3", "k=10"]);
    await show(page, "waves");
    const waves = await page.locator(`${card("waves")} .plot`).evaluate((plot) => plot.data.map((one) => [one.name, one.line.color]));
    assert.deepEqual(waves.map(([name]) => name), margin.names);
    assert.deepEqual(Object.fromEntries(waves), margin.colours);
    assert.equal(new Set(Object.values(margin.colours)).size, 3);
    await show(page, "by_k");
    const bars = await page.locator(`${card("by_k")} .plot`).evaluate((plot) => plot.data[0].marker.color);
    assert.equal(bars[2], margin.colours["k=3"]);
    assert.equal(new Set(bars).size, 2); // the key frequency, and the others
  }));

test("every bar is labelled, on a narrow page too", async () => {
  for (const width of [1440, 390])
    await withPage("small", {viewport: {width, height: 844}}, async (page) => {
      await show(page, "by_k");
      const labels = await page.locator(`${card("by_k")} .xtick text`).allTextContents();
      assert.deepEqual(labels, Array.from({length: 40}, (_, i) => String(i + 1)));
    });
});

test("a long legend stands beside the plot, and hides curves", () =>
  withPage("small", {}, async (page) => {
    const first = page.locator(".panel").first();
    const [plot, legend] = await Promise.all([".plot", ".legend"].map((part) => first.locator(part).boundingBox()));
    assert.ok(legend.x >= plot.x + plot.width);
    await first.locator(".series").first().click();
    await page.waitForFunction(() => document.querySelector(".panel .plot").data[0].visible === false);
  }));

test("sections fold, and the menu shows all of them, on a phone too", async () => {
  for (const viewport of [{width: 1440, height: 900}, {width: 390, height: 844}])
    await withPage("many", {viewport, ready: "section"}, async (page) => {
      const titles = await page.locator("section h2").allTextContents();
      assert.equal(titles.length, 14); // Over training, twelve probes, Config
      const folded = await page.locator("details.section:not([open])").count();
      assert.equal(folded, 13);
      assert.ok(await page.evaluate(() => document.documentElement.scrollHeight < 5000));
      if (viewport.width < 600) await page.click("#menu");
      const links = page.locator("nav a");
      assert.deepEqual(await links.allTextContents(), titles);
      for (const link of await links.all()) assert.ok(await link.isVisible());
      await page.locator("nav a", {hasText: "probe_7"}).click();
      await page.waitForSelector("#figure-probe_7_bars .plot[data-drawn]");
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    });
});

test("log and linear are buttons that say what is on", () =>
  withPage("small", {}, async (page) => {
    const scales = page.locator(".panel").first().locator(".scale");
    const pressed = () => scales.evaluateAll((all) => all.map((one) => [one.textContent, one.getAttribute("aria-pressed")]));
    assert.deepEqual(await pressed(), [["log", "true"], ["linear", "false"]]);
    await scales.nth(1).click();
    assert.deepEqual(await pressed(), [["log", "false"], ["linear", "true"]]);
  }));

test("colour bars have titles", () =>
  withPage("small", {}, async (page) => {
    await show(page, "named");
    assert.equal(await page.locator(`${card("named")} .cbtitle`).textContent(), "attention (share)");
  }));

test("the address keeps the step and the open sections", () =>
  withPage("small", {hash: "#step=150&open=probe-probe,config"}, async (page) => {
    await show(page, "grid");
    await drawnAt(page, "grid", "The grid, step 150");
    const open = () => page.locator("details.section[open] > summary").allTextContents();
    assert.deepEqual(await open(), ["probe", "Config"]);
    await page.keyboard.press("ArrowRight");
    await page.locator("#config summary").first().click();
    await page.waitForFunction(() => location.hash === "#step=200&open=probe-probe");
    await page.reload();
    await show(page, "grid");
    await drawnAt(page, "grid", "The grid, step 200");
    assert.deepEqual(await open(), ["probe"]);
  }));

test("cards say which probe they are from", () =>
  withPage("small", {}, async (page) => {
    assert.equal(await page.locator(`${card("grid")} .from`).textContent(), "probe");
    assert.match(await page.locator("#headlines").textContent(), /trig_loss\s*loss\/test/);
  }));

test("error bars, names of points, histograms and small multiples are drawn", () =>
  withPage("small", {}, async (page) => {
    const dataOf = (name) => page.locator(`${card(name)} .plot`).evaluate((plot) => plot.data.map((one) => JSON.parse(JSON.stringify(one, (key, value) => (ArrayBuffer.isView(value) ? [...value] : value)))));
    await show(page, "points");
    const [points] = await dataOf("points");
    assert.deepEqual([points.error_y.arrayminus, points.error_y.array], [[0.5, 0.5, 0.5], [1, 1, 3]]);
    assert.equal(await page.locator(`${card("points")} .yerror`).count(), 3);
    assert.match(await page.locator(`${card("points")} .scatterlayer`).textContent(), /neuron 4.*neuron 17.*neuron 8/);
    await show(page, "counts");
    const counts = await page.locator(`${card("counts")} .plot`).evaluate((plot) => [plot.data[0].type, plot.calcdata[0].filter((bar) => bar.s > 0).map((bar) => [bar.p, bar.s])]);
    assert.deepEqual(counts, ["histogram", [[1, 2], [2, 1], [5, 1]]]);
    await show(page, "multiples");
    const multiples = await page.locator(`${card("multiples")} .plot`).evaluate((plot) => ({
      axes: plot.data.map((one) => one.yaxis),
      titles: plot.layout.annotations.map((one) => one.text),
      ranges: ["yaxis", "yaxis2", "yaxis3", "yaxis4"].map((axis) => plot._fullLayout[axis].range.map((end) => Math.round(1e6 * end))),
      legend: plot.querySelectorAll(".legend .traces").length,
    }));
    assert.deepEqual(multiples.axes, ["y", "y2", "y3", "y4"]);
    assert.deepEqual(multiples.titles, ["head 0", "head 1", "head 2", "head 3"]);
    for (const range of multiples.ranges) assert.deepEqual(range, multiples.ranges[0]);
  }));

test("the comparison of networks fits a phone", () =>
  withPage("compare", {viewport: {width: 390, height: 844}}, async (page) => {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    const tables = await page.locator(".scroll").evaluateAll((all) => all.map((one) => one.scrollWidth - one.clientWidth));
    for (const over of tables) assert.ok(over <= 1, `a table is ${over} px wider than the page`);
    for (const plot of await page.locator(".plot").all()) {
      await plot.scrollIntoViewIfNeeded();
      await page.waitForFunction((one) => one.dataset.drawn, await plot.elementHandle());
      const width = await plot.evaluate((one) => one._fullLayout.xaxis._length);
      assert.ok(width > 130, `a plot is ${width} px wide between its axes`);
    }
  }));

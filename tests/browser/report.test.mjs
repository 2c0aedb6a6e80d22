// The page of a run, as a reader has it: in Chromium, from a file. make_runs.cpp says what is in the runs.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {readFileSync, readdirSync, statSync} from "node:fs";
import {test} from "node:test";
import {card, drawnAt, hoverText, placeOf, show, withPage} from "./page.mjs";

const panel = (page, index) => page.locator(".panel").nth(index);
const yAxis = (page, index) =>
  panel(page, index)
    .locator(".plot")
    .evaluate((plot) => ({type: plot._fullLayout.yaxis.type, x: plot._fullLayout.xaxis.type}));

test("the page says what run it is, and shows headlines beside their nulls", () =>
  withPage("small", {}, async (page) => {
    assert.equal(await page.title(), "small · Orrery");
    assert.equal(await page.locator("h1").textContent(), "small");
    assert.match(
      await page.locator(".facts").first().textContent(),
      /modular_arithmetic · transformer, 1,234 parameters · 400 steps/,
    );
    assert.match(await page.locator("#headlines").textContent(), /score\s*1\s*null 0\.01/);
    assert.match(await page.locator("#phases").textContent(), /circuit formation.*200.*190 to 210.*95 %/);
  }));

test("loss is on a logarithmic axis, which can be switched; so can the steps", () =>
  withPage("small", {}, async (page) => {
    assert.deepEqual(await yAxis(page, 0), {type: "log", x: "linear"});
    assert.equal((await yAxis(page, 1)).type, "linear"); // accuracy
    await panel(page, 0).getByRole("button", {name: "linear axis"}).click();
    await page.waitForFunction(
      () => document.querySelector(".panel .plot")._fullLayout.yaxis.type === "linear",
    );
    await page.click("#time-axis .scale >> nth=0");
    await page.waitForFunction(() => document.querySelector(".panel .plot")._fullLayout.xaxis.type === "log");
  }));

test("the scrubber moves figures and their titles; keys do, too", () =>
  withPage("small", {}, async (page) => {
    await show(page, "grid");
    const last = await drawnAt(page, "grid", "The grid, step 400");
    assert.equal(last.z[2][5], 2 - 5 + 4);
    await page.keyboard.press("ArrowLeft");
    assert.equal((await drawnAt(page, "grid", "The grid, step 350")).z[2][5], 2 - 5 + 3.5);
    await page.keyboard.press("Home");
    const first = await drawnAt(page, "grid", "The grid, step 0");
    assert.equal(first.z[2][5], 2 - 5);
    // One colour range for all steps, about zero; row 0 on top.
    assert.deepEqual([first.zmin, first.zmax, last.zmin, last.zmax], [-9, 9, -9, 9]);
    assert.ok(first.yaxis.range[0] > first.yaxis.range[1]);
    await drawnAt(page, "decay", "The decay, step 0");
    await page.keyboard.press("End");
    await drawnAt(page, "grid", "The grid, step 400");
    await page.locator("#slider").fill("4");
    await drawnAt(page, "grid", "The grid, step 200");
    const slider = page.locator("#slider");
    assert.equal(await slider.getAttribute("aria-valuetext"), "step 200 of 400");
    assert.equal(await slider.getAttribute("aria-label"), "Step of training");
    await page.click("#perStep");
    await page.waitForFunction(
      (selector) => document.querySelector(`${selector} .plot`).data[0].zmax === 7,
      card("grid"),
    );
    await page.click("#showNull");
    assert.equal((await drawnAt(page, "grid", "The grid, random weights")).z[0][0], -1);
  }));

test("play goes on by itself, and stops", () =>
  withPage("small", {}, async (page) => {
    await page.keyboard.press("Home");
    await page.click("#play");
    await page.waitForFunction(() => scrubber.index >= 3);
    await page.click("#play");
    const at = await page.evaluate(() => scrubber.index);
    await page.waitForTimeout(250);
    assert.equal(await page.evaluate(() => scrubber.index), at);
  }));

test("axes are as the probe asked: logarithmic, named ticks, equal units", () =>
  withPage("small", {}, async (page) => {
    await show(page, "decay");
    const decay = await drawnAt(page, "decay", "The decay, step 400");
    assert.equal(decay.yaxis.type, "log");
    assert.ok(decay.ticks.includes("zero") && decay.ticks.includes("seven"), String(decay.ticks));
    await show(page, "circle");
    const circle = await drawnAt(page, "circle", "The circle, step 400");
    assert.ok(Math.abs(circle.unit[0] / circle.unit[1] - 1) < 1e-6, String(circle.unit));
  }));

test("hovering says the right value of a known cell and of a known point of a curve", () =>
  withPage("small", {}, async (page) => {
    await show(page, "grid");
    assert.match(await hoverText(page, "grid", 5, 2), /column 5.*row \(units\) 2.*1$/s);
    await panel(page, 0).scrollIntoViewIfNeeded();
    await page.mouse.move(...(await placeOf(page, ".panel .plot", 300, 1e-3)));
    await page.waitForSelector(".panel .hoverlayer .legend");
    const said = await page.locator(".panel .hoverlayer").first().textContent();
    assert.match(said, /300/);
    assert.match(said, /train : 0\.001/);
    assert.match(said, /test : 0\.1/);
  }));

// The colour in the middle of a cell of the heatmap.
async function colourOf(page, column, row) {
  const box = await page.evaluate(
    ([selector, x, y]) => {
      const plot = document.querySelector(selector),
        {xaxis, yaxis} = plot._fullLayout,
        where = plot.getBoundingClientRect();
      return {
        x: Math.round(where.left + xaxis._offset + xaxis.d2p(x)),
        y: Math.round(where.top + yaxis._offset + yaxis.d2p(y)),
        width: 1,
        height: 1,
      };
    },
    [`${card("grid")} .plot`, column, row],
  );
  const png = (await page.screenshot({clip: box})).toString("base64");
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.drawImage(await createImageBitmap(new Blob([bytes], {type: "image/png"})), 0, 0);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }, png);
}

test("positive is red, negative blue, zero the colour of the paper, in light and in dark", async () => {
  for (const colorScheme of ["light", "dark"])
    await withPage("small", {colorScheme}, async (page) => {
      await page.keyboard.press("Home");
      await show(page, "grid");
      await drawnAt(page, "grid", "The grid, step 0");
      const [red, , redsBlue] = await colourOf(page, 0, 5),
        [bluesRed, , blue] = await colourOf(page, 7, 0);
      assert.ok(red > redsBlue + 40, `${colorScheme}: +5 is ${red}, ${redsBlue}`);
      assert.ok(blue > bluesRed + 40, `${colorScheme}: -7 is ${bluesRed}, ${blue}`);
      const paper = await page.evaluate(() =>
        getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number),
      );
      assert.deepEqual(await colourOf(page, 3, 3), paper);
      assert.equal(paper[0] > 128, colorScheme === "light");
    });
});

test("light and dark can be switched", () =>
  withPage("small", {}, async (page) => {
    const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await colour();
    await page.click("#theme");
    assert.notEqual(await colour(), light);
    await page.waitForFunction(
      () => document.querySelector(".panel .plot")._fullLayout.paper_bgcolor === theme().paper,
    );
  }));

test("a click in a curve goes to that step", () =>
  withPage("small", {}, async (page) => {
    const box = await panel(page, 0).locator(".plot").boundingBox();
    const x = await panel(page, 0)
      .locator(".plot")
      .evaluate((plot) => plot._fullLayout.xaxis._offset + plot._fullLayout.xaxis.d2p(100));
    await page.mouse.click(box.x + x, box.y + box.height / 2);
    await page.waitForFunction(() => document.getElementById("step").textContent === "step 100");
    assert.match(await page.locator("#headlines").textContent(), /score\s*0\.25/);
  }));

test("findings are those of the step", () =>
  withPage("small", {}, async (page) => {
    const text = () => page.locator("#findings-table").textContent();
    assert.match(
      await text(),
      /frequencies \[3\] · order 7 · shares \[0\.75\]|order 7.*frequencies \[3\].*shares \[0\.75\]/,
    );
    await page.keyboard.press("Home");
    await page.waitForFunction(() =>
      /frequencies \[\]/.test(document.getElementById("findings-table").textContent),
    );
  }));

test("a narrow window has no sideways scrolling", () =>
  withPage("small", {viewport: {width: 360, height: 740}}, async (page) => {
    for (const name of ["grid", "decay", "circle", "bars", "points", "counts", "multiples", "by_k"])
      await show(page, name);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  }));

test("a run of 401 checkpoints: under 15 MB, open in under 3 seconds, and it says what was left out", async () => {
  assert.ok(statSync("large/report.html").size < 15e6, String(statSync("large/report.html").size));
  let best = Infinity;
  for (let i = 0; i < 3 && best >= 3000; ++i)
    await withPage("large", {}, async (page) => {
      best = Math.min(best, await page.evaluate(() => Number(document.documentElement.dataset.firstDrawn)));
      assert.match(await page.locator("#notes").textContent(), /evenly spread.* of 401/);
    });
  assert.ok(best < 3000, `${best} ms until the first figure was drawn`);
  console.log(
    `401 checkpoints: ${(statSync("large/report.html").size / 1e6).toFixed(1)} MB, first figure after ${best} ms`,
  );
});

test("export draws the same figures as images", () => {
  execFileSync(
    process.env.ORRERY,
    ["export", "small", "--figures", "svg", "--steps", "0,400", "--out", "figures"],
    {stdio: "pipe"},
  );
  const names = readdirSync("figures");
  for (const name of [
    "curves_loss.svg",
    "probe_grid_step_00000000.svg",
    "probe_grid_step_00000400.svg",
    "probe_loss.svg",
    "probe_multiples_step_00000000.svg",
  ])
    assert.ok(names.includes(name), `${name} is not among ${names}`);
  assert.match(readFileSync("figures/probe_grid_step_00000400.svg", "utf8"), /^<svg[^]*The grid, step 400/);
  execFileSync(process.env.ORRERY, ["export", "small", "--figures", "png", "--out", "figures"], {
    stdio: "pipe",
  });
  const png = readFileSync("figures/probe_circle_step_00000400.png");
  assert.equal(png.toString("latin1", 1, 4), "PNG");
  assert.ok(png.readUInt32BE(16) >= 1000, "twice the width on the page");
});

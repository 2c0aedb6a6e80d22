// Opens pages in Chromium, and looks at what is drawn there.
import assert from "node:assert/strict";
import {existsSync} from "node:fs";
import {after, before} from "node:test";
import {chromium} from "playwright-core";

const executablePath = [
  process.env.ORRERY_BROWSER,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path && existsSync(path));
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
let browser;
before(async () => {
  assert.ok(executablePath, "the tests need Chromium (on Debian: apt-get install chromium)");
  browser = await chromium.launch({executablePath, args: quiet});
});
after(() => browser?.close());

// Opens a run's page, and makes sure at the end that it complained of nothing and asked for nothing.
export async function withPage(run, {hash = "", ready = ".plot[data-drawn]", ...options}, look) {
  const context = await browser.newContext({
    viewport: {width: 1200, height: 1000},
    colorScheme: "light",
    ...options,
  });
  const page = await context.newPage(),
    wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  const file = `file://${process.cwd()}/${run}/report.html`;
  page.on("request", (request) => {
    if (!request.url().startsWith(file) && !/^(data|blob):/.test(request.url()))
      wrong.push(`asked for ${request.url()}`);
  });
  await page.goto(file + hash);
  await page.waitForSelector(ready);
  await look(page);
  await context.close();
  assert.deepEqual(wrong, []);
}

export const card = (name) => `#figure-probe_${name}`;


// Opens the section of a figure, brings it into view, and waits until it is drawn.
export async function show(page, name) {
  await page.evaluate((selector) => {
    document.querySelector(selector).closest("details").open = true;
  }, card(name));
  await page.locator(card(name)).scrollIntoViewIfNeeded();
  await page.waitForSelector(`${card(name)} .plot[data-drawn]`);
}

// Waits until the figure shows this step, then returns what Plotly draws: its data and its axes.
export async function drawnAt(page, name, title) {
  await page.waitForFunction(
    ([selector, text]) => {
      const plot = document.querySelector(`${selector} .plot`);
      return (
        document.querySelector(`${selector} figcaption .title`).textContent === text &&
        plot.dataset.drawn &&
        !figures.get(plot).stale &&
        !figures.get(plot).drawing
      );
    },
    [card(name), title],
  );
  return page.evaluate((selector) => {
    const {data, _fullLayout: layout} = document.querySelector(`${selector} .plot`);
    const axis = ({type, range}) => ({type, range});
    return {
      z: data[0].z?.map((row) => [...row]),
      y: data[0].y && [...data[0].y],
      zmin: data[0].zmin,
      zmax: data[0].zmax,
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
      unit: [layout.xaxis, layout.yaxis].map((one) => one._length / Math.abs(one.range[1] - one.range[0])),
      ticks: [...document.querySelectorAll(`${selector} .xtick text`)].map((tick) => tick.textContent),
    };
  }, card(name));
}

// Where a point of a figure is on the screen.
export function placeOf(page, selector, x, y) {
  return page.evaluate(
    ([one, column, row]) => {
      const plot = document.querySelector(one),
        {xaxis, yaxis} = plot._fullLayout,
        box = plot.getBoundingClientRect();
      return [box.left + xaxis._offset + xaxis.d2p(column), box.top + yaxis._offset + yaxis.d2p(row)];
    },
    [selector, x, y],
  );
}

// What hovering over a point of a card says.
export async function hoverText(page, name, x, y) {
  await page.mouse.move(0, 0);
  await page.mouse.move(...(await placeOf(page, `${card(name)} .plot`, x, y)));
  await page.waitForSelector(`${card(name)} .hovertext`);
  return page.locator(`${card(name)} .hovertext`).first().textContent();
}

"use strict";
// Figures drawn by Plotly, in the style of the page, when they come into view.

const figures = new Map(); // element -> {make, inView, stale, drawing, width}
const fontStack = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
const figureConfig = {
  displaylogo: false,
  responsive: true,
  showTips: false,
  doubleClick: "reset",
};

// The style of every axis. `ticks` names the positions 0, 1, ...
function axisStyle(title, {log = false, ticks = null, ...more} = {}) {
  const colours = theme();
  const axis = {
    title: {text: title, font: {size: 11.5, color: colours.soft}, standoff: 8},
    type: log ? "log" : "linear",
    gridcolor: colours.grid,
    linecolor: colours.axis,
    tickcolor: colours.axis,
    tickfont: {size: 11, color: colours.soft},
    zeroline: false,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    automargin: true,
    exponentformat: log ? "power" : "e",
    minexponent: 4,
    separatethousands: true,
    ...more,
  };
  if (log) axis.nticks = axis.nticks || 6;
  if (ticks) Object.assign(axis, namedTicks(ticks));
  return axis;
}

// With a margin on both sides.
function padded(low, high) {
  const pad = 0.04 * (high - low || Math.abs(high) || 1);
  return [low - pad, high + pad];
}

// At most about `most` names, because more are unreadable.
function namedTicks(names, most = 30) {
  const every = Math.ceil(names.length / Math.max(2, Math.min(most, 30)));
  const positions = names.map((_, i) => i).filter((i) => i % every === 0);
  return {type: "linear", tickmode: "array", tickvals: positions, ticktext: positions.map((i) => names[i])};
}

function legendStyle() {
  return {
    orientation: "h",
    x: 0,
    y: 1.02,
    yanchor: "bottom",
    font: {size: 11.5, color: theme().soft},
    bgcolor: "rgba(0,0,0,0)",
  };
}

function styledLayout(layout) {
  const colours = theme();
  return {
    font: {family: fontStack, size: 12, color: colours.ink},
    paper_bgcolor: colours.paper,
    plot_bgcolor: colours.paper,
    colorway: colours.lines,
    margin: {l: 60, r: 16, t: 34, b: 44},
    hovermode: "closest",
    dragmode: "zoom",
    legend: legendStyle(),
    hoverlabel: {
      bgcolor: colours.paper,
      bordercolor: colours.axis,
      font: {family: fontStack, size: 12, color: colours.ink},
    },
    modebar: {bgcolor: "rgba(0,0,0,0)", color: colours.axis, activecolor: colours.ink},
    ...layout,
  };
}

async function drawFigure(target) {
  const figure = figures.get(target);
  figure.stale = false;
  figure.drawing = true;
  figure.width = target.clientWidth;
  const {data, layout, file} = figure.make({width: figure.width});
  addLogTicks(data, layout, figure.width);
  target.style.height = `${layout.height}px`;
  const camera = {
    name: "toImage",
    title: "Save as SVG",
    icon: Plotly.Icons.camera,
    click: () => saveFigure(target, file),
  };
  await Plotly.react(target, data, styledLayout(layout), {
    ...figureConfig,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", camera]],
  });
  figure.drawing = false;
  if (!target.dataset.drawn) followLogTicks(target);
  target.dataset.drawn = String(Number(target.dataset.drawn || 0) + 1);
  document.documentElement.dataset.firstDrawn ||= String(Math.round(performance.now()));
  target.dispatchEvent(new CustomEvent("drawn"));
  if (figure.stale && figure.inView) drawFigure(target);
}

// The figure with its title as a separate image on white paper: a data URI.
async function figureImage(make, format, width, height, scale = 2) {
  const shownTheme = document.documentElement.dataset.theme || "";
  document.documentElement.dataset.theme = "light";
  const {data, layout, title} = make({width, image: true});
  addLogTicks(data, layout, width);
  const titleText = brokenTitle(title, width / 7.5),
    titleLines = titleText.split("<br>").length;
  const styled = styledLayout({
    ...layout,
    width,
    height,
    title: {
      text: titleText,
      x: 0.02,
      xanchor: "left",
      y: 1,
      yanchor: "top",
      pad: {t: 12 + 9 * (titleLines - 1)},
      font: {size: 14},
    },
  });
  document.documentElement.dataset.theme = shownTheme;
  styled.margin = {...styled.margin, t: styled.margin.t + 14 + 18 * titleLines};
  return Plotly.toImage({data, layout: styled}, {format, width, height, scale: format === "png" ? scale : 1});
}

// Wraps the text into lines of at most that many letters.
function brokenTitle(title = "", most = 60) {
  const lines = [""];
  for (const word of title.split(" ")) {
    if (lines.at(-1) && (lines.at(-1) + " " + word).length > most) lines.push(word);
    else lines.push((lines.pop() + " " + word).trim());
  }
  return lines.join("<br>");
}

async function saveFigure(target, file) {
  const size = target.getBoundingClientRect();
  const image = await figureImage(
    figures.get(target).make,
    "svg",
    Math.round(size.width),
    Math.round(size.height) + 60,
  );
  element("a", {href: image, download: `${file || "figure"}.svg`}).click();
}

const figureWatcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const figure = figures.get(entry.target);
      figure.inView = entry.isIntersecting;
      if (figure.inView && figure.stale && !figure.drawing) drawFigure(entry.target);
    }
  },
  {rootMargin: "150px 0px"},
);

// Draws what make({width, image}) returns, {data, layout, title, file}, now or as soon as `target` is in view. `title` and
// `file` are for images of it; `image` says that one is made.
function addFigure(target, make) {
  target.classList.add("plot");
  figures.set(target, {make, inView: false, stale: true, drawing: false});
  figureWatcher.observe(target);
}

function updateFigure(target) {
  const figure = figures.get(target);
  figure.stale = true;
  if (figure.inView && !figure.drawing) drawFigure(target);
}

// Figures fit their text to their width.
window.addEventListener("resize", () => {
  for (const [target, figure] of figures)
    if (figure.width && target.clientWidth && Math.abs(target.clientWidth - figure.width) > 8) updateFigure(target);
});

onThemeChange(() => {
  for (const target of figures.keys()) updateFigure(target);
});
window.addEventListener("beforeprint", () => {
  for (const target of figures.keys()) drawFigure(target);
});

// The head of a page: a title, a line of facts below it, and the switch between light and dark.
function masthead(title, facts) {
  return element(
    "header",
    {className: "masthead"},
    element(
      "div",
      {},
      element("p", {className: "brand"}, "Orrery"),
      element("h1", {}, title),
      element("p", {className: "facts"}, facts),
    ),
    themeButton(),
  );
}

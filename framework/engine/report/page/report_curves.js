"use strict";
// Panels over training: curves stacked on one axis of steps, with the phases shaded and a line at the scrubber's step.

const timeAxis = {log: false, range: null};
const panels = [];
const isNarrow = () => window.innerWidth < 700;

// Losses, and what spans orders of magnitude: a few values next to zero, as at the first steps, do not.
function wantsLog(panel) {
  const positive = [];
  for (const curve of panel.curves)
    for (const value of numbers(curve.values)) {
      if (value < 0) return false;
      if (value > 0 && Number.isFinite(value)) positive.push(value);
    }
  if (positive.length === 0) return false;
  if (panel.unit.toLowerCase().includes("loss")) return true;
  positive.sort((a, b) => a - b);
  const most = positive.at(-1),
    least = Math.min(positive[Math.floor(0.05 * positive.length)], most);
  return most / least > 1e4;
}

const isMany = (panel) => panel.curves.length > 6;

function curveTrace(curve, {colour, dash}, panel) {
  const steps = numbers(curve.steps);
  return {
    type: "scatter",
    mode: steps.length <= 40 ? "lines+markers" : "lines",
    name: curve.label,
    visible: !panel.hidden.has(curve.name),
    x: steps,
    y: numbers(curve.values),
    line: {color: colour, width: 1.6, dash},
    marker: {size: 4, color: colour},
    hovertemplate: isMany(panel) ? `%{y:.4~g}<br>step %{x:,d}<extra>${curve.label}</extra>` : "%{y:.4~g}",
  };
}

// The probe's value for random weights: a dashed line over the whole axis.
function nullTrace(curve, {colour}, panel) {
  const steps = numbers(curve.steps);
  return {
    type: "scatter",
    mode: "lines",
    name: `${curve.label}, random weights`,
    visible: !panel.hidden.has(curve.name),
    x: [steps[0], steps[steps.length - 1]],
    y: [curve.null, curve.null],
    line: {color: colour, width: 1.2, dash: "6px,4px"},
    hovertemplate: "%{y:.4~g}",
    opacity: 0.75,
    showlegend: false,
  };
}

const hasNulls = (panel) => !isMany(panel) && panel.curves.some((curve) => Number.isFinite(curve.null));

function panelData(panel) {
  const styles = stylesOf(panel.curves.map((curve) => curve.name));
  const data = panel.curves.map((curve, i) => curveTrace(curve, styles[i], panel));
  if (hasNulls(panel))
    panel.curves.forEach((curve, i) => {
      if (Number.isFinite(curve.null)) data.push(nullTrace(curve, styles[i], panel));
    });
  return data;
}

function phaseShapes() {
  const edges = [...new Set(pageData.phases.map((phase) => phase.step))];
  if (edges.length === 0) return [];
  const all = [0, ...edges, scrubber.lastStep];
  return all.slice(0, -1).map((from, i) => ({
    type: "rect",
    xref: "x",
    yref: "paper",
    layer: "below",
    line: {width: 0},
    x0: timeAxis.log ? Math.max(from, 1) : from,
    x1: all[i + 1],
    y0: 0,
    y1: 1,
    fillcolor: theme().phases[i % theme().phases.length],
  }));
}

// Centres each name in its phase, or aligns it with the start of a phase that is too short for it. No name begins before
// the one to its left has ended.
function phaseLabels() {
  const scale = (step) => (timeAxis.log ? Math.log10(Math.max(step, 1)) : step),
    letter = (6.3 * scale(scrubber.lastStep)) / (isNarrow() ? window.innerWidth - 100 : 700);
  let free = -Infinity;
  return pageData.phases.map((phase, i) => {
    const from = scale(i > 0 ? pageData.phases[i - 1].step : 0),
      text = phase.boundary === "fall" ? "before the fall" : phase.boundary,
      width = text.length * letter,
      x = Math.max(free, from, (from + scale(phase.step) - width) / 2);
    free = x + width + 2 * letter;
    return {
      x,
      xanchor: "left",
      y: 1,
      xref: "x",
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
      text,
      font: {size: 11, color: theme().soft},
    };
  });
}

function stepAxis(panel, image) {
  const axis = axisStyle(panel.last || image ? "step" : "", {
    log: timeAxis.log,
    hoverformat: ",d",
    showticklabels: panel.last || image,
    automargin: image,
    showspikes: !isMany(panel),
    spikethickness: 1,
    spikedash: "dot",
    spikecolor: theme().axis,
    spikemode: "across",
  });
  if (!panel.last && !image) axis.ticks = "";
  axis.range =
    timeAxis.range ||
    (timeAxis.log
      ? [Math.log10(Math.max(scrubber.firstPositive, 1)) - 0.05, Math.log10(scrubber.lastStep) + 0.02]
      : [-0.01 * scrubber.lastStep, 1.01 * scrubber.lastStep]);
  return axis;
}

// A margin keeps the numbers of the outermost ticks inside the plot. What does not change over training is drawn against
// zero, not in the middle of an axis of its own.
function linearRange(panel) {
  const drawn = panel.curves.filter((curve) => !panel.hidden.has(curve.name));
  const [low, high] = extent([
    ...drawn.map((curve) => numbers(curve.values)),
    hasNulls(panel) ? drawn.map((curve) => curve.null) : [],
  ]);
  if (!(low <= high)) return {};
  if (low < high || low < 0) return {range: padded(low, high)};
  return {range: low === 0 ? [-0.05, 1.05] : [-0.05 * high, 1.25 * high]};
}

const hasPhaseLabels = (panel) => Boolean(panel.labelled) && pageData.phases.length > 0;

// The height of the plot with what stands above and below its axes.
function outerHeight(panel) {
  return panel.height + 9 + (hasPhaseLabels(panel) ? 18 : 0) + (panel.last ? 36 : 0);
}

// On the page, the title and the legend stand beside the plot; an image has them inside.
function panelFigure(panel, {image = false} = {}) {
  const labelled = hasPhaseLabels(panel),
    unit = brokenTitle(panel.unit, panel.height / 6.2),
    yaxis = axisStyle(unit, {log: panel.log, automargin: image});
  yaxis.title.standoff = 4;
  if (!panel.log) Object.assign(yaxis, {nticks: panel.height > 180 ? 8 : panel.height > 110 ? 6 : 5}, linearRange(panel));
  return {
    data: panelData(panel),
    title: panel.title,
    file: panel.file,
    layout: {
      height: outerHeight(panel),
      xaxis: stepAxis(panel, image),
      yaxis,
      margin: {
        l: isNarrow() && !image ? 56 : 68,
        r: 8,
        t: (labelled ? 18 : 5) + (image ? 8 : 0),
        b: panel.last || image ? 40 : 4,
      },
      legend: {...legendStyle(), orientation: "v", x: 1.01, y: 1, yanchor: "top"},
      showlegend: image && panel.curves.length > 1,
      hovermode: isMany(panel) ? "closest" : "x unified",
      shapes: phaseShapes(),
      annotations: labelled ? phaseLabels() : [],
    },
  };
}

function placeCursor(panel) {
  const layout = panel.plot._fullLayout;
  if (!layout || !layout.xaxis) return;
  const axis = layout.xaxis,
    at = axis.l2p(axis.d2l(Math.max(currentStep(), timeAxis.log ? 1e-9 : 0)));
  const inside = Number.isFinite(at) && at >= -1 && at <= axis._length + 1;
  panel.cursor.hidden = !inside;
  if (!inside) return;
  panel.cursor.style.transform = `translateX(${axis._offset + at}px)`;
  panel.cursor.style.top = `${layout.yaxis._offset}px`;
  panel.cursor.style.height = `${layout.yaxis._length}px`;
}

// Zooming one panel along the steps zooms all; a double click shows everything again.
function follow(panel) {
  panel.plot.on("plotly_relayout", (change) => {
    if (change["xaxis.autorange"]) timeAxis.range = null;
    else if (change["xaxis.range[0]"] !== undefined)
      timeAxis.range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    else return;
    for (const other of panels) if (other !== panel) updateFigure(other.plot);
    placeCursor(panel);
  });
  panel.plot.on("plotly_click", (event) => chooseStep(event.points[0].x));
}

// panel: {title, unit, curves: [{name, label, steps, values, null}], height, file, labelled, from}
function preparePanel(panel) {
  return Object.assign(panel, {
    height: panel.height || Math.min(460, Math.max(88, headHeight(panel))),
    log: wantsLog(panel),
    hidden: new Set(),
  });
}

// What the description beside the plot needs: its title, buttons and legend.
function headHeight(panel) {
  const title = 18 * brokenTitle(panel.title, 31).split("<br>").length,
    lines = panel.curves.reduce((sum, curve) => sum + Math.ceil((curve.label.length * 6.6) / 195), 0),
    legend = panel.curves.length > 1 ? 19 * lines : 0;
  return Math.max(28 + title + legend, 10 + 3.1 * panel.unit.length);
}

// Two buttons, one of them pressed.
function logOrLinear(what, isLog, choose) {
  const buttons = [true, false].map((log) =>
    element(
      "button",
      {
        type: "button",
        className: "scale",
        "aria-label": `${what}: ${log ? "logarithmic" : "linear"} axis`,
        onclick: () => {
          choose(log);
          show();
        },
      },
      log ? "log" : "linear",
    ),
  );
  const show = () =>
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(isLog() === (i === 0))));
  show();
  return element("span", {className: "scales", role: "group", "aria-label": `${what}: axis`}, ...buttons);
}

// The names of the curves beside their colours; a click hides a curve, or shows it again.
function panelLegend(panel) {
  const items = panel.curves.map((curve) => {
    const swatch = element("span", {className: "swatch"});
    const item = element(
      "button",
      {
        type: "button",
        className: "series",
        "aria-pressed": "true",
        title: "Show or hide",
        onclick: () => {
          if (!panel.hidden.delete(curve.name)) panel.hidden.add(curve.name);
          item.setAttribute("aria-pressed", String(!panel.hidden.has(curve.name)));
          updateFigure(panel.plot);
        },
      },
      swatch,
      curve.label,
    );
    return {item, swatch};
  });
  const paint = () =>
    stylesOf(panel.curves.map((curve) => curve.name)).forEach(({colour, dash}, i) => {
      items[i].swatch.style.borderTop = `2.5px ${dash === "solid" ? "solid" : dash === "dot" ? "dotted" : "dashed"} ${colour}`;
    });
  paint();
  onThemeChange(paint);
  return element("div", {className: "legend"}, ...items.map(({item}) => item));
}

function panelHead(panel) {
  const scales = logOrLinear(
    panel.title,
    () => panel.log,
    (log) => {
      panel.log = log;
      updateFigure(panel.plot);
    },
  );
  return element(
    "figcaption",
    {},
    element("span", {className: "title"}, panel.title),
    element(
      "span",
      {className: "row"},
      scales,
      panel.from ? element("span", {className: "from"}, panel.from) : null,
    ),
    panel.curves.length > 1 ? panelLegend(panel) : null,
  );
}

function curvePanel(panel) {
  Object.assign(panel, {plot: element("div"), cursor: element("div", {className: "cursor"})});
  panel.plot.setAttribute("role", "img");
  panel.plot.setAttribute(
    "aria-label",
    `${panel.title}: ${panel.curves.map((curve) => curve.label).join(", ")} over training`,
  );
  panel.plot.style.height = `${outerHeight(panel)}px`;
  panels.push(panel);
  panel.plot.addEventListener("drawn", () => {
    if (!panel.followed) {
      panel.followed = true;
      follow(panel);
    }
    placeCursor(panel);
  });
  addFigure(panel.plot, () => panelFigure(panel));
  return element(
    "figure",
    {className: "panel"},
    element("div", {className: "with-cursor"}, panel.plot, panel.cursor),
    panelHead(panel),
  );
}

// Panels without gaps, the steps below the last.
function stack(list) {
  list.forEach((panel, i) => preparePanel(Object.assign(panel, {last: i === list.length - 1})));
  return element(
    "div",
    {className: "stack"},
    list.some(hasNulls) ? element("p", {className: "note"}, "Dashed: the same of random weights.") : null,
    ...list.map(curvePanel),
  );
}

function timeAxisButtons() {
  const buttons = logOrLinear(
    "Steps",
    () => timeAxis.log,
    (log) => {
      timeAxis.log = log;
      timeAxis.range = null;
      for (const panel of panels) updateFigure(panel.plot);
    },
  );
  return element("span", {id: "time-axis"}, element("span", {className: "note"}, "steps "), buttons);
}

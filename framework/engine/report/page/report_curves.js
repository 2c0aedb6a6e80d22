"use strict";
// Panels over training: curves on one axis of steps, which all panels share, with the phases shaded and a line at the
// scrubber's step.

const timeAxis = {log: false, range: null};
const panels = [];

// "train/loss" and "test/loss" have the same colour in every panel.
const fixedColours = {train: 0, test: 1, all: 2};

function fixedColour(curve) {
  const part = curve.name.split("/").find((one) => one in fixedColours);
  return part === undefined || /\/(loss|accuracy)\//.test(curve.name) ? undefined : fixedColours[part];
}

function seriesStyle(panel, index) {
  const fixed = panel.curves.map(fixedColour);
  const own = fixed.every((colour) => colour !== undefined) && new Set(fixed).size === fixed.length;
  return {
    colour: lineColour(own ? fixed[index] : index),
    dash: ["solid", "dot", "dashdot", "longdashdot"][Math.floor(index / theme().lines.length) % 4],
  };
}

function wantsLog(panel) {
  let least = Infinity,
    most = 0;
  for (const curve of panel.curves)
    for (const value of numbers(curve.values)) {
      if (value < 0) return false;
      if (value > 0 && Number.isFinite(value)) {
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
    }
  return least < Infinity && (panel.title.toLowerCase().includes("loss") || most / least > 1e4);
}

function curveTrace(curve, index, panel) {
  const {colour, dash} = seriesStyle(panel, index);
  const steps = numbers(curve.steps);
  return {
    type: "scatter",
    mode: steps.length <= 40 ? "lines+markers" : "lines",
    name: curve.label || curve.name,
    x: steps,
    y: numbers(curve.values),
    line: {color: colour, width: 1.6, dash},
    marker: {size: 4, color: colour},
    hovertemplate:
      panel.curves.length > 6
        ? `%{y:.4~g}<br>step %{x:,d}<extra>${curve.label || curve.name}</extra>`
        : "%{y:.4~g}",
  };
}

// The probe's value for random weights: a dashed line over the whole axis.
function nullTrace(curve, index, panel) {
  const {colour} = seriesStyle(panel, index),
    steps = numbers(curve.steps);
  return {
    type: "scatter",
    mode: "lines",
    name: `${curve.label || curve.name}, random weights`,
    x: [steps[0], steps[steps.length - 1]],
    y: [curve.null, curve.null],
    line: {color: colour, width: 1.2, dash: "6px,4px"},
    hovertemplate: "%{y:.4~g}",
    opacity: 0.75,
    showlegend: false,
  };
}

function phaseShapes() {
  const edges = [...new Set(pageData.phases.map((phase) => phase.step))];
  if (edges.length === 0) return [];
  const all = [0, ...edges, scrubber.lastStep];
  return all
    .slice(0, -1)
    .map((from, i) => ({
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

// Centres each name in its phase, or aligns it with the start of a phase that is too short for it.
function phaseLabels() {
  const edges = pageData.phases.map((phase) => phase.step);
  return pageData.phases.map((phase, i) => {
    const scale = (step) => (timeAxis.log ? Math.log10(Math.max(step, 1)) : step);
    const from = scale(i > 0 ? edges[i - 1] : 0),
      to = scale(phase.step),
      short = to - from < 0.08 * scale(scrubber.lastStep);
    return {
      x: short ? from : (from + to) / 2,
      xanchor: short ? "left" : "center",
      y: 1,
      xref: "x",
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
      text: phase.boundary === "fall" ? "before the fall" : phase.boundary,
      font: {size: 11, color: theme().soft},
    };
  });
}

function panelFigure(panel) {
  const data = panel.curves.map((curve, i) => curveTrace(curve, i, panel));
  if (panel.curves.length <= 6)
    panel.curves.forEach((curve, i) => {
      if (Number.isFinite(curve.null)) data.push(nullTrace(curve, i, panel));
    });
  const many = panel.curves.length > 6,
    narrow = window.innerWidth < 700,
    labelled = panel.labelled && pageData.phases.length > 0;
  const xaxis = axisStyle("step", {
    log: timeAxis.log,
    hoverformat: ",d",
    showspikes: !many,
    spikethickness: 1,
    spikedash: "dot",
    spikecolor: theme().axis,
    spikemode: "across",
  });
  if (timeAxis.log) xaxis.dtick = 1;
  xaxis.range =
    timeAxis.range ||
    (timeAxis.log
      ? [Math.log10(Math.max(scrubber.firstPositive, 1)) - 0.05, Math.log10(scrubber.lastStep) + 0.02]
      : [-0.01 * scrubber.lastStep, 1.01 * scrubber.lastStep]);
  return {
    data,
    title: panel.title,
    file: panel.file,
    layout: {
      height: panel.height,
      xaxis,
      yaxis: axisStyle(panel.unit || "", {log: panel.log, automargin: false}),
      margin: {l: 64, r: 14, t: (panel.curves.length > 1 && !many ? 28 : 8) + (labelled ? 16 : 0), b: 40},
      legend: many
        ? {...legendStyle(), orientation: "v", x: 1.01, y: 1, yanchor: "top"}
        : {...legendStyle(), y: labelled ? 1.09 : 1.02},
      showlegend: panel.curves.length > 1 && !(many && narrow),
      hovermode: many ? "closest" : "x unified",
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

// panel: {title, unit, curves: [{name, label, steps, values, null}], height, file, labelled}
function preparePanel(panel) {
  return Object.assign(panel, {
    height: panel.curves.length > 6 ? 280 : panel.height || 200,
    log: wantsLog(panel),
  });
}

function curvePanel(panel) {
  Object.assign(preparePanel(panel), {plot: element("div"), cursor: element("div", {className: "cursor"})});
  const scale = element("button", {type: "button", className: "scale", title: "Logarithmic or linear axis"});
  const label = () => {
    scale.textContent = panel.log ? "log" : "linear";
    scale.setAttribute("aria-label", `${panel.title}: ${scale.textContent} axis; switch`);
  };
  scale.onclick = () => {
    panel.log = !panel.log;
    label();
    updateFigure(panel.plot);
  };
  label();
  panel.plot.setAttribute("role", "img");
  panel.plot.setAttribute(
    "aria-label",
    `${panel.title}: ${panel.curves.map((curve) => curve.label || curve.name).join(", ")} over training`,
  );
  panel.plot.style.height = `${panel.height}px`;
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
    {className: panel.curves.length > 6 ? "panel wide" : "panel"},
    element("figcaption", {}, element("span", {}, panel.title), scale),
    element("div", {className: "with-cursor"}, panel.plot, panel.cursor),
  );
}

function timeAxisButton() {
  const button = element("button", {
    type: "button",
    id: "time-axis",
    onclick: () => {
      timeAxis.log = !timeAxis.log;
      timeAxis.range = null;
      label();
      for (const panel of panels) updateFigure(panel.plot);
    },
  });
  const label = () => {
    button.textContent = timeAxis.log ? "steps: log" : "steps: linear";
  };
  label();
  return button;
}

// The columns of metrics.jsonl, grouped by kind.
function metricPanels() {
  const rules = [
    {title: "Loss", unit: "cross-entropy (nats)", like: /^[^/]+\/loss$/, height: 260, labelled: true},
    {title: "Accuracy", unit: "share right", like: /^[^/]+\/accuracy$/},
    {title: "Loss by group", unit: "cross-entropy (nats)", like: /\/loss\//},
    {title: "Accuracy by group", unit: "share right", like: /\/accuracy\//},
    {title: "Weight norm", unit: "L2 norm", like: /^weights\//},
    {title: "Other metrics", unit: "", like: /./},
  ];
  const left = pageData.metrics.filter((curve) => numbers(curve.values).some(Number.isFinite));
  return rules.flatMap(({like, ...panel}) => {
    const curves = left.filter((curve) => like.test(curve.name));
    for (const curve of curves) left.splice(left.indexOf(curve), 1);
    return curves.length > 0
      ? [{...panel, curves, file: `curves_${panel.title.toLowerCase().replaceAll(" ", "_")}`}]
      : [];
  });
}

// The headlines of probes: losses together, the rest by probe.
function progressPanels() {
  const losses = {
    title: "Progress measures: losses",
    unit: "cross-entropy (nats)",
    curves: [],
    height: 230,
    file: "progress_losses",
  };
  const rest = [];
  for (const probe of pageData.probes) {
    const own = probe.curves
      .filter((curve) => probe.headlines.includes(curve.name))
      .map((curve) => ({...curve, label: `${probe.label} ${curve.name}`}));
    const isLoss = (curve) => /(^|\/|_)loss(\/|$)/.test(curve.name);
    losses.curves.push(
      ...own.filter(isLoss).map((curve) => ({...curve, name: curve.label.replaceAll("/", " ")})),
    );
    const others = own.filter((curve) => !isLoss(curve)).map((curve) => ({...curve, label: curve.name}));
    if (others.length > 0)
      rest.push({
        title: `Progress measures: ${probe.label}`,
        curves: others,
        file: `progress_${probe.label}`,
      });
  }
  return [...(losses.curves.length > 0 ? [losses] : []), ...rest];
}

// "loss/train" belongs to the panel "loss"; "k=14/margin" to the panel "margin", beside that of the other k.
function panelOf(name) {
  const slash = name.indexOf("/");
  if (slash < 0) return [name, name];
  const [first, rest] = [name.slice(0, slash), name.slice(slash + 1)];
  return /[=0-9]/.test(first) ? [rest, first] : [first, rest];
}

// All scalars of a probe, one panel for each kind.
function scalarPanels(probe) {
  const groups = new Map();
  for (const curve of probe.curves) {
    const [group, label] = panelOf(curve.name);
    groups.set(group, [
      ...(groups.get(group) || []),
      {...curve, label, null: probe.null?.[curve.name] ?? undefined},
    ]);
  }
  return [...groups].map(([title, curves]) => ({
    title: readable(title),
    curves,
    height: 200,
    file: `${probe.label}_${title.replaceAll("/", "_")}`,
  }));
}

"use strict";
// The figures that probes recorded, at the scrubber's step.

// The frame nearest to the scrubber's step: [step, head, traces]; that of random weights has step -1.
function frameOf(figure) {
  if (scrubber.showNull && figure.null) return figure.null;
  figure.steps = figure.steps || figure.frames.map((frame) => frame[0]);
  return figure.frames[nearestIndex(figure.steps, currentStep())];
}

function titleOf(figure) {
  const [step, head] = frameOf(figure);
  const when = figure.concluding ? "" : step < 0 ? ", random weights" : `, step ${shown(step)}`;
  return (figure.heads[head].title || readable(figure.name)) + when;
}

// The rows of a heatmap. In rows stored as integers, the least integer stands for NaN.
function rowsOf([reference, rows, columns, scale]) {
  const stored = numbers(reference);
  let values = stored;
  if (!(stored instanceof Float32Array)) {
    const missing = stored instanceof Int8Array ? -128 : -32768;
    values = Float32Array.from(stored, (value) => (value === missing ? NaN : value * scale));
  }
  return Array.from({length: rows}, (_, row) => values.subarray(row * columns, (row + 1) * columns));
}

function padded(low, high) {
  const pad = 0.04 * (high - low || Math.abs(high) || 1);
  return [low - pad, high + pad];
}

// Keeps the range the same at every step, so that the figure changes and not its axis.
function fixedRange([low, high, lowestPositive], log, fromZero) {
  if (scrubber.perStep) return {};
  if (!log) {
    const [from, to] = padded(fromZero ? Math.min(low, 0) : low, fromZero ? Math.max(high, 0) : high);
    return {range: [fromZero && low >= 0 ? 0 : from, fromZero && high <= 0 ? 0 : to]};
  }
  return lowestPositive > 0 ? {range: padded(Math.log10(lowestPositive), Math.log10(high))} : {};
}

function extent(rows) {
  let low = Infinity,
    high = -Infinity;
  for (const row of rows)
    for (const value of row)
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
  return [low, high];
}

// Zero has the colour of the paper; without negative values the scale has no blue half.
function heatmapColours([low, high]) {
  const largest = Math.max(Math.abs(low), Math.abs(high)),
    size = largest > 0 && Number.isFinite(largest) ? largest : 1;
  const stops = theme().diverging,
    half = stops.slice((stops.length - 1) / 2);
  return low >= 0
    ? {zmin: 0, zmax: size, colorscale: half.map((colour, i) => [i / (half.length - 1), colour])}
    : {zmin: -size, zmax: size, colorscale: divergingScale()};
}

// A small heatmap shows its numbers.
function cellTexts(rows) {
  const columns = rows[0]?.length ?? 0;
  return rows.length * columns <= 64 && columns <= 10 ? {texttemplate: "%{z:.2g}", textfont: {size: 11}} : {};
}

// As high as its rows need, up to a square.
function heatmapHeight(rows) {
  return Math.min(400, 130 + 44 * rows);
}
function figureHeight(figure) {
  const [, headIndex, traces] = frameOf(figure);
  return figure.heads[headIndex].kind === "heatmap" ? heatmapHeight(traces[0]?.[2]?.[1] ?? 6) : 330;
}

// A short axis gets a tick at every integer position and none between.
function wholeTicks(count) {
  return count <= 16 ? {tick0: 0, dtick: 1} : {};
}

function heatmapData(figure, head, traces) {
  return traces
    .slice(0, 1)
    .filter(([, , z]) => z)
    .map(([x, y, z]) => {
      const rows = rowsOf(z);
      return {
        type: "heatmap",
        z: rows,
        x: x && !head.x_ticks ? numbers(x) : undefined,
        y: y && !head.y_ticks ? numbers(y) : undefined,
        name: head.traces[0] || "",
        xgap: 0,
        ygap: 0,
        hoverongaps: false,
        ...heatmapColours(scrubber.perStep || !figure.range.z ? extent(rows) : figure.range.z),
        ...cellTexts(rows),
        colorbar: {
          thickness: 9,
          outlinewidth: 0,
          len: 0.96,
          tickfont: {size: 10.5, color: theme().soft},
          ticklen: 3,
          nticks: 6,
          tickcolor: theme().axis,
          exponentformat: "e",
        },
        hovertemplate: `${head.x_label || "x"} %{x}<br>${head.y_label || "y"} %{y}<br><b>%{z:.4~g}</b><extra></extra>`,
      };
    });
}

function lineData(head, traces) {
  return traces.map(([x, y], i) => {
    const colour = lineColour(i),
      values = y ? numbers(y) : [];
    const trace = {
      name: head.traces[i] || "",
      x: x ? numbers(x) : undefined,
      y: values,
      hovertemplate: `${head.x_label || "x"} %{x}<br>${head.y_label || "y"} %{y:.4~g}${head.traces[i] ? `<extra>${head.traces[i]}</extra>` : "<extra></extra>"}`,
    };
    if (head.kind === "bar") return {...trace, type: "bar", marker: {color: colour}};
    const dash = ["solid", "dash", "dot", "dashdot"][Math.floor(i / theme().lines.length) % 4];
    if (head.kind === "line")
      return {
        ...trace,
        type: "scatter",
        mode: values.length <= 30 ? "lines+markers" : "lines",
        line: {color: colour, width: 1.6, dash},
        marker: {size: 5},
      };
    const symbol = ["circle", "square", "diamond", "cross"][Math.floor(i / theme().lines.length) % 4];
    return {
      ...trace,
      type: "scatter",
      mode: "markers",
      marker: {color: colour, symbol, size: values.length > 300 ? 4 : 6, opacity: 0.8, line: {width: 0}},
    };
  });
}

function figureAtStep(figure) {
  const [, headIndex, traces] = frameOf(figure),
    head = figure.heads[headIndex];
  const heatmap = head.kind === "heatmap";
  const data = heatmap ? heatmapData(figure, head, traces) : lineData(head, traces);
  const names = head.traces.filter((name) => name).length;
  const height = figureHeight(figure);
  const xaxis = axisStyle(brokenTitle(head.x_label, 62), {log: head.x_log, ticks: head.x_ticks});
  const yaxis = axisStyle(brokenTitle(head.y_label, (height - 60) / 6), {
    log: head.y_log,
    ticks: head.y_ticks,
  });
  if (heatmap) {
    const [, rows, columns] = traces[0]?.[2] || [];
    Object.assign(yaxis, {autorange: "reversed", showgrid: false, ...(head.y_ticks ? {} : wholeTicks(rows))});
    Object.assign(xaxis, {showgrid: false, ...(head.x_ticks ? {} : wholeTicks(columns))});
  } else {
    if (figure.range.y) Object.assign(yaxis, fixedRange(figure.range.y, head.y_log, head.kind === "bar"));
    if (figure.range.x && head.kind === "scatter")
      Object.assign(xaxis, fixedRange(figure.range.x, head.x_log, false));
  }
  if (head.equal_axes) Object.assign(yaxis, {scaleanchor: "x", scaleratio: 1, constrain: "domain"});
  const [step] = frameOf(figure),
    suffix = figure.concluding ? "" : step < 0 ? "_null" : `_step_${String(step).padStart(8, "0")}`;
  return {
    data,
    title: titleOf(figure),
    file: figure.file + suffix,
    layout: {
      height,
      xaxis,
      yaxis,
      barmode: "group",
      bargap: 0.15,
      showlegend: !heatmap && names > 1,
      margin: {l: 60, r: heatmap ? 8 : 14, t: !heatmap && names > 1 ? 30 : 10, b: 46},
    },
  };
}

function figureCard(figure, label) {
  figure.file = `${label}_${figure.name}`;
  const fewer =
    figure.frames.length < figure.of
      ? `Shown at ${shown(figure.frames.length)} of ${shown(figure.of)} checkpoints`
      : "";
  const caption = element("figcaption", {title: fewer}),
    plot = element("div", {role: "img"});
  plot.style.height = `${figureHeight(figure)}px`;
  const name = () => {
    caption.textContent = titleOf(figure);
    plot.setAttribute("aria-label", titleOf(figure));
  };
  name();
  let drawn = frameOf(figure),
    perStep = scrubber.perStep;
  onStep(() => {
    if (frameOf(figure) === drawn && perStep === scrubber.perStep) return;
    drawn = frameOf(figure);
    perStep = scrubber.perStep;
    name();
    updateFigure(plot);
  });
  addFigure(plot, () => figureAtStep(figure));
  return element("figure", {className: "card", id: `figure-${figure.file}`}, caption, plot);
}

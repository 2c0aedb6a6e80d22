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
  const title = figure.heads[head].title || readable(figure.name);
  if (figure.concluding) return title;
  const when = step < 0 ? "random weights" : `step ${shown(step)}`;
  return /[?!.]$/.test(title) ? `${title} (${when})` : `${title}, ${when}`;
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

// A short axis gets a tick at every integer position and none between.
function wholeTicks(count) {
  return count <= 16 ? {tick0: 0, dtick: 1} : {};
}

// What stands at a position of an axis, for the hover: its name, where the axis has names.
function nameAt(ticks, position) {
  return ticks?.[position] ?? shown(position);
}

// The names of rows and columns for the hover, made once for each head.
function cellNames(head, rows, columns) {
  if (!head.x_ticks && !head.y_ticks) return undefined;
  head.cellNames ||= Array.from({length: rows}, (_, row) =>
    Array.from({length: columns}, (_, column) => [nameAt(head.x_ticks, column), nameAt(head.y_ticks, row)]),
  );
  return head.cellNames;
}

function colourBar(title, height) {
  return {
    title: {text: brokenTitle(title, height / 6.5), side: "right", font: {size: 11.5, color: theme().soft}},
    thickness: 9,
    outlinewidth: 0,
    len: 0.96,
    tickfont: {size: 10.5, color: theme().soft},
    ticklen: 3,
    nticks: 6,
    tickcolor: theme().axis,
    exponentformat: "e",
  };
}

function heatmapData(figure, head, traces, height) {
  return traces
    .slice(0, 1)
    .filter(([, , z]) => z)
    .map(([x, y, z]) => {
      const rows = rowsOf(z);
      const customdata = cellNames(head, rows.length, rows[0]?.length ?? 0);
      const [column, row] = customdata ? ["%{customdata[0]}", "%{customdata[1]}"] : ["%{x}", "%{y}"];
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
        colorbar: colourBar(head.traces[0] || "value", height - 60),
        customdata,
        hovertemplate: `${head.x_label || "x"} ${column}<br>${head.y_label || "y"} ${row}<br>${
          head.traces[0] || ""
        } <b>%{z:.4~g}</b><extra></extra>`,
      };
    });
}

// As high as its rows need, up to a square.
function heatmapHeight(rows) {
  return Math.min(400, 130 + 44 * rows);
}

const facetsOf = (head) => [...new Set(head.facets || [""])];
const facetColumns = (head, width) => Math.min(facetsOf(head).length, width < 500 ? 2 : width < 800 ? 3 : 4);

// Circles: the units of both axes are of one length, so that more width would stay empty.
const isSquare = (head) => Boolean(head.equal_axes) && facetsOf(head).length < 2;

function figureHeight(figure, width = 440) {
  const [, headIndex, traces] = frameOf(figure),
    head = figure.heads[headIndex];
  if (head.kind === "heatmap") return heatmapHeight(traces[0]?.[2]?.[1] ?? 6);
  if (isSquare(head)) return Math.min(420, Math.max(300, width)) + legendBelow(head, width);
  const rows = Math.ceil(facetsOf(head).length / facetColumns(head, width));
  return (rows > 1 ? 70 + 170 * rows : 330) + legendBelow(head, width);
}

// A figure that needs the whole width: many bars, a long legend, small multiples.
function isWide(figure) {
  return figure.heads.some((head, i) => {
    const frame = figure.frames.find(([, index]) => index === i);
    const bars = head.kind === "bar" ? barPlaces(head, frame?.[2] || []).length * Math.max(1, head.traces.length) : 0;
    return facetsOf(head).length > 2 || bars > 60 || (head.kind !== "heatmap" && !isSquare(head) && hasLongLegend(head));
  });
}

// So many pixels have room for a name below each bar; a narrow page scrolls such a figure sideways.
function leastWidth(figure) {
  const [, headIndex, traces] = frameOf(figure),
    head = figure.heads[headIndex];
  return head.kind === "bar" && barPlaces(head, traces).length > 25 ? 80 + 9 * barPlaces(head, traces).length : 0;
}

// The axes of what is no heatmap.
function traceAxes(figure, head, traces, xaxis, yaxis, width) {
  if (figure.range.y && head.kind !== "histogram")
    Object.assign(yaxis, fixedRange(figure.range.y, head.y_log, head.kind === "bar"));
  if (figure.range.x && head.kind === "scatter") {
    const fixed = fixedRange(figure.range.x, head.x_log, false);
    // Names stand to the right of their points.
    if (fixed.range && head.labels) fixed.range[1] += 0.2 * (fixed.range[1] - fixed.range[0]);
    Object.assign(xaxis, fixed);
  }
  if (head.kind === "histogram") {
    const {start, end, size} = sharedBins(figure, head, traces);
    xaxis.range = [start - size / 4, end + size / 4];
  }
  if (head.kind !== "bar") return;
  const places = barPlaces(head, traces);
  if (places.length <= 130 && places.every(Number.isInteger))
    Object.assign(xaxis, barTicks(head, places, (width - 80) / facetColumns(head, width)), {showgrid: false});
}

function heatmapAxes(head, traces, xaxis, yaxis, width, height) {
  const [, rows, columns] = traces[0]?.[2] || [];
  const ticks = (names, count, room) => (names ? namedTicks(names, room / 13) : wholeTicks(count));
  Object.assign(yaxis, {autorange: "reversed", showgrid: false, ...ticks(head.y_ticks, rows, height - 70)});
  Object.assign(xaxis, {showgrid: false, ...ticks(head.x_ticks, columns, width - 150)});
}

// `width` is that of the plot.
function figureAtStep(figure, {width = 560} = {}) {
  const [step, headIndex, traces] = frameOf(figure),
    head = figure.heads[headIndex];
  const heatmap = head.kind === "heatmap",
    height = figureHeight(figure, width),
    inner = height - legendBelow(head, width);
  const xaxis = axisStyle(brokenTitle(head.x_label, width / 7.2), {log: head.x_log, ticks: head.x_ticks});
  const yaxis = axisStyle(brokenTitle(head.y_label, (inner - 60) / 6), {log: head.y_log, ticks: head.y_ticks});
  if (heatmap) heatmapAxes(head, traces, xaxis, yaxis, width, height);
  else traceAxes(figure, head, traces, xaxis, yaxis, width);
  if (head.equal_axes) {
    Object.assign(yaxis, {scaleanchor: "x", scaleratio: 1, constrain: "domain"});
    xaxis.constrain = "domain";
  }
  const suffix = figure.concluding ? "" : step < 0 ? "_null" : `_step_${String(step).padStart(8, "0")}`;
  const above = hasLegend(head) && !hasLongLegend(head);
  return {
    data: heatmap ? heatmapData(figure, head, traces, height) : traceData(figure, head, traces),
    title: titleOf(figure),
    file: figure.file + suffix,
    layout: {
      height,
      ...facetLayout(head, xaxis, yaxis, width),
      barmode: head.kind === "histogram" ? "overlay" : "group",
      bargap: head.kind === "histogram" ? 0.02 : 0.15,
      legend: figureLegend(head, width, height),
      showlegend: hasLegend(head),
      margin: {
        l: width < 420 ? 52 : 60,
        r: heatmap ? 8 : 14,
        t: above ? 30 : 10,
        b: 46 + legendBelow(head, width),
      },
    },
  };
}

function figureCard(figure, label) {
  figure.file = `${label}_${figure.name}`;
  const fewer =
    figure.frames.length < figure.of
      ? `Shown at ${shown(figure.frames.length)} of ${shown(figure.of)} checkpoints`
      : "";
  const title = element("span", {className: "title"}),
    plot = element("div", {role: "img"});
  plot.style.height = `${figureHeight(figure)}px`;
  plot.style.minWidth = `${leastWidth(figure)}px`;
  const name = () => {
    title.textContent = titleOf(figure);
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
  addFigure(plot, (size) => figureAtStep(figure, size));
  return element(
    "figure",
    {className: isWide(figure) ? "card wide" : "card", id: `figure-${figure.file}`},
    element(
      "figcaption",
      {title: fewer},
      title,
      element("span", {className: "from"}, label),
    ),
    plot,
  );
}

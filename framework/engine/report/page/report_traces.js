"use strict";
// Lines, bars, points and histograms of the figures of probes, with error bars, names of points and small multiples.

const legendNames = (head) => [...new Set(head.traces.filter((name) => name))];
const hasLegend = (head) => head.kind !== "heatmap" && legendNames(head).length > 1;
const legendLetters = (head) => legendNames(head).reduce((sum, name) => sum + name.length + 5, 0);
const hasLongLegend = (head) => hasLegend(head) && (legendNames(head).length > 6 || legendLetters(head) > 110);

// On a narrow page a long legend stands below the plot: the height that it takes.
function legendBelow(head, width) {
  if (!hasLongLegend(head) || width >= 560) return 0;
  const longest = Math.max(...legendNames(head).map((name) => name.length));
  const perRow = Math.max(1, Math.floor((width - 20) / (42 + 6.6 * longest)));
  return 18 * Math.ceil(legendNames(head).length / perRow) + 20;
}

// A short legend stands above the plot, a long one beside it.
function figureLegend(head, width, height) {
  if (!hasLongLegend(head)) return legendStyle();
  // Below the buttons of the figure, which stand in the corner.
  if (width >= 560)
    return {...legendStyle(), orientation: "v", x: 1.01, y: 1 - 16 / Math.max(120, height - 80), yanchor: "top"};
  return {...legendStyle(), y: -56 / Math.max(120, height - legendBelow(head, width) - 60), yanchor: "top"};
}

// The positions of all bars, ascending.
function barPlaces(head, traces) {
  const places = new Set();
  for (const [x, y] of traces)
    if (x) numbers(x).forEach((place) => places.add(place));
    else if (y) numbers(y).forEach((_, i) => places.add(i));
  return [...places].sort((a, b) => a - b);
}

// Every bar has its name or its number below it, upright where they would touch.
function barTicks(head, places, width) {
  const names = places.map((place) => nameAt(head.x_ticks, place).replaceAll(",", ""));
  const room = width / Math.max(1, places.length),
    longest = Math.max(1, ...names.map((name) => name.length));
  const size = room < 11 ? 8 : room < 15 ? 9.5 : 11;
  return {
    type: "linear",
    tickmode: "array",
    tickvals: places,
    ticktext: names,
    tickangle: longest * size * 0.62 + 4 > room ? -90 : 0,
    tickfont: {size, color: theme().soft},
  };
}

// The error bars of a trace whose fourth entry is [reference, 1 or 2].
function errorBars(error, colour) {
  if (!error) return undefined;
  const all = numbers(error[0]),
    n = all.length / error[1];
  const style = {type: "data", thickness: 1.2, width: 3, color: colour};
  return error[1] === 1
    ? {...style, array: all}
    : {...style, symmetric: false, arrayminus: all.subarray(0, n), array: all.subarray(n)};
}

function hoverOf(head, i, values, xs) {
  const labels = head.labels?.[i] || [],
    extra = `<extra>${head.traces[i] || ""}</extra>`;
  if (labels.length === 0 && !head.x_ticks)
    return {hovertemplate: `${head.x_label || "x"} %{x}<br>${head.y_label || "y"} %{y:.4~g}${extra}`};
  const places = Array.from(values, (_, n) => nameAt(head.x_ticks, xs ? xs[n] : n));
  return {
    customdata: places.map((place, n) => [place, labels[n] ?? ""]),
    hovertemplate: `${labels.length > 0 ? "<b>%{customdata[1]}</b><br>" : ""}${head.x_label || "x"} ${
      "%{customdata[0]}"
    }<br>${head.y_label || "y"} %{y:.4~g}${extra}`,
  };
}

// Bars over frequencies: key frequencies in their colours, all others grey. A second trace is paler.
function barColours(head, i, xs, colour) {
  if (!/^frequency( k)?$/.test(head.x_label) || head.traces.length > 2 || !xs) return colour;
  const keys = keyFrequencies();
  if (keys.length === 0) return colour;
  return Array.from(xs, (k) => (keys.includes(k) ? lineColour(keys.indexOf(k)) : theme().axis));
}

function pointTrace(head, i, style, values) {
  const labels = head.labels?.[i] || [],
    few = labels.length > 0 && labels.length <= 40;
  return {
    type: "scatter",
    mode: few ? "markers+text" : "markers",
    text: few ? labels : undefined,
    textposition: "top right",
    textfont: {size: 10, color: theme().soft},
    cliponaxis: !few,
    marker: {
      color: style.colour,
      symbol: style.symbol,
      size: values.length > 300 ? 4 : 6,
      opacity: 0.8,
      line: {width: 0},
    },
  };
}

// Bins that all traces and all steps share: whole numbers if the values are.
function sharedBins(figure, head, traces) {
  const values = traces.flatMap(([x]) => (x ? Array.from(numbers(x)).filter(Number.isFinite) : []));
  const [low, high] = scrubber.perStep || !figure.range.x ? extent([values]) : figure.range.x;
  const whole = values.every(Number.isInteger);
  let size = (high - low) / 30 || 1;
  if (whole) size = Math.max(1, Math.ceil((high - low) / 40));
  return whole ? {start: low - 0.5, end: high + size - 0.5, size} : {start: low, end: high + size, size};
}

function histogramTrace(figure, head, i, style, traces) {
  return {
    type: "histogram",
    y: undefined,
    autobinx: false,
    xbins: sharedBins(figure, head, traces),
    marker: {color: style.colour, line: {width: 0}},
    opacity: traces.length > 1 && !head.facets ? 0.6 : 1,
    hovertemplate: `${head.x_label || "x"} %{x}<br>${head.y_label || "count"} %{y}<extra>${head.traces[i] || ""}</extra>`,
  };
}

function lineTrace(style, values) {
  return {
    type: "scatter",
    mode: values.length <= 30 ? "lines+markers" : "lines",
    line: {color: style.colour, width: 1.6, dash: style.dash},
    marker: {size: 5},
  };
}

// Among lines, labels without a line are names of places.
const isText = (head, i) => !head.traces[i] && head.traces.length > 1 && (head.labels?.[i] || []).length > 0;
function textTrace(labels) {
  return {
    type: "scatter",
    mode: "text",
    text: labels,
    textposition: "top center",
    textfont: {size: 11, color: theme().ink},
    cliponaxis: false,
    hoverinfo: "skip",
    hovertemplate: undefined,
  };
}

function oneTrace(figure, head, i, style, traces) {
  const [x, y, , error] = traces[i],
    xs = x ? numbers(x) : undefined,
    values = y ? numbers(y) : [];
  const trace = {
    name: head.traces[i] || "",
    x: xs,
    y: values,
    error_y: errorBars(error, theme().soft),
    ...hoverOf(head, i, values, xs),
  };
  if (head.kind === "histogram") return {...trace, ...histogramTrace(figure, head, i, style, traces)};
  if (head.kind === "line" && isText(head, i)) return {...trace, ...textTrace(head.labels[i])};
  if (head.kind === "line") return {...trace, ...lineTrace(style, values)};
  if (head.kind === "scatter") return {...trace, ...pointTrace(head, i, style, values)};
  const color = barColours(head, i, xs, style.colour);
  return {...trace, type: "bar", marker: {color, opacity: Array.isArray(color) && i > 0 ? 0.5 : 1}};
}

// The traces in natural order, one style for each name, each in the axes of its facet.
function traceData(figure, head, traces) {
  const names = legendNames(head),
    styles = stylesOf(names.length > 0 ? names : [""]),
    facets = facetsOf(head),
    seen = new Set();
  const order = inNaturalOrder(
    traces.map((_, i) => i),
    (i) => head.traces[i] || "",
  );
  return order.map((i) => {
    const name = head.traces[i] || "",
      first = !seen.has(name),
      facet = facets.indexOf(head.facets?.[i] || facets[0]),
      number = facet > 0 ? String(facet + 1) : "";
    seen.add(name);
    const style = styles[Math.max(0, names.indexOf(name))];
    return {
      ...oneTrace(figure, head, i, style, traces),
      legendgroup: name,
      showlegend: first && name !== "",
      xaxis: `x${number}`,
      yaxis: `y${number}`,
    };
  });
}

// Small multiples: the axes of each facet, with ticks at the outer edges alone, and the facets' names above them.
function facetLayout(head, xaxis, yaxis, width) {
  const facets = facetsOf(head),
    columns = facetColumns(head, width),
    rows = Math.ceil(facets.length / columns);
  if (facets.length < 2) return {xaxis, yaxis, annotations: []};
  const layout = {annotations: []},
    gap = [0.03, 0.14 / rows];
  facets.forEach((name, i) => {
    const column = i % columns,
      row = Math.floor(i / columns),
      number = i > 0 ? String(i + 1) : "",
      lowest = i + columns >= facets.length;
    const domain = [
      [column / columns + (column > 0 ? gap[0] / 2 : 0), (column + 1) / columns - gap[0] / 2],
      [1 - (row + 1) / rows + gap[1] / 2, 1 - row / rows - gap[1]],
    ];
    layout[`xaxis${number}`] = {
      ...xaxis,
      domain: domain[0],
      anchor: `y${number}`,
      matches: i > 0 ? "x" : undefined,
      showticklabels: lowest,
      title: lowest ? xaxis.title : undefined,
    };
    layout[`yaxis${number}`] = {
      ...yaxis,
      domain: domain[1],
      anchor: `x${number}`,
      matches: i > 0 ? "y" : undefined,
      showticklabels: column === 0,
      title: column === 0 ? yaxis.title : undefined,
    };
    layout.annotations.push({
      text: name,
      xref: "paper",
      yref: "paper",
      x: (domain[0][0] + domain[0][1]) / 2,
      y: domain[1][1],
      yanchor: "bottom",
      showarrow: false,
      font: {size: 11.5, color: theme().ink},
    });
  });
  return layout;
}

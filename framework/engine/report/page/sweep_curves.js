"use strict";
// All curves of a metric in one panel.

// One trace of several curves, with gaps between them: a thousand curves are drawn as fast as ten.
function curveTrace(curves, colour, name, opacity) {
  const x = [], y = [], meta = [];
  for (const {run, steps, values} of curves) {
    const at = numbers(steps), value = numbers(values);
    for (let i = 0; i < at.length; ++i) {
      x.push(at[i]);
      y.push(Number.isFinite(value[i]) ? value[i] : null);
      meta.push(run);
    }
    x.push(null);
    y.push(null);
    meta.push(run);
  }
  return {type: "scatter", mode: "lines", x, y, meta, name, legendgroup: name, showlegend: false, opacity,
    line: {color: colour, width: 1.3}, customdata: meta.map((run) => runHover(runs[run])),
    hovertemplate: "%{customdata}<br>step %{x:,}: %{y:.4g}<extra></extra>"};
}

// Lines fade as they become many, but each can still be seen.
const curveOpacity = (n) => Math.max(0.3, Math.min(0.9, 4 / Math.sqrt(Math.max(1, n))));

// A trace does not darken where it crosses itself, so the curves of a colour are dealt out to several.
const mostCurveTraces = 120;
function dealtOut(curves, all) {
  const n = Math.max(1, Math.min(curves.length, Math.round((mostCurveTraces * curves.length) / Math.max(all, mostCurveTraces))));
  return Array.from({length: n}, (_, i) => curves.filter((_, j) => j % n === i));
}

function curvesFigure(state) {
  const metric = pageData.metrics[state.metric], colours = colouring(state.colour);
  const n = metric.curves.length;
  const data = colours.names.flatMap((name, group) => dealtOut(metric.curves.filter(({run}) => colours.of(runs[run]) === group), n)
    .map((curves) => curveTrace(curves, colours.colour(group), name, curveOpacity(n)))).filter((trace) => trace.x.length > 0);
  for (const curve of metric.curves.filter(({run}) => isChosen(run))) {
    const trace = curveTrace([curve], theme().ink, "chosen", 1);
    data.push({...trace, line: {color: theme().ink, width: 2.6}});
  }
  const drawn = new Set(metric.curves.map(({run}) => run));
  const going = runs.filter((run, i) => drawn.has(i) && run.state !== "done").length;
  return {
    file: `${metric.name.replaceAll("/", "-")}-curves`, title: `${metricTitle(metric.name)} of all runs${state.colour === null ? "" : `, by ${colours.title}`}`,
    data: [...data, ...legendTraces(colours, (group) => metric.curves.some(({run}) => colours.of(runs[run]) === group), "line")],
    layout: {height: 420, uirevision: JSON.stringify(state), showlegend: colours.names.length > 1, legend: colourLegend(colours),
      xaxis: axisStyle("step", {log: state.logSteps}), yaxis: axisStyle(metricTitle(metric.name), {log: state.log})},
    pick: (point) => [point.data.meta[point.pointNumber]],
    note: `${plural(metric.curves.length, "curve")} of ${plural(runs.length, "run")}` +
      `${going ? `; ${shown(going)} of runs that are not done, up to where they are` : ""}. Click a curve for its run.`,
  };
}

function curvesSection() {
  if (pageData.metrics.length === 0) return;
  const names = pageData.metrics.map(({name}) => name);
  const asked = readings.findIndex((reading) => reading.name.includes("grok"));
  const wanted = [readings[Math.max(0, asked)]?.metric, "test/loss", "train/loss"].find((name) => names.includes(name));
  const state = {metric: Math.max(0, names.indexOf(wanted)), colour: colourMenu()[0][1], logSteps: false};
  const isLog = () => unitOf(names[state.metric]) === "nats";
  state.log = isLog();
  const scale = element("span", {className: "holder"});
  const target = figureSection("curves", "Curves of all runs", null, (redraw) => {
    const showScale = () => scale.replaceChildren(logOrLinear("y axis", state.log, (log) => { state.log = log; redraw(); }));
    showScale();
    return [
      menu("metric", names.map((name, i) => [name, i]), state.metric, (metric) => {
        state.metric = metric;
        state.log = isLog();
        showScale();
        redraw();
      }),
      menu("colour", colourMenu(), state.colour, (colour) => { state.colour = colour; redraw(); }),
      scale, logOrLinear("x axis", state.logSteps, (log) => { state.logSteps = log; redraw(); })];
  }, () => curvesFigure(state));
  onChoice(() => updateFigure(target));
}

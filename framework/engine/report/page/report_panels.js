"use strict";
// Which curves are drawn in which panel: one quantity and one unit each.

// "loss/train" belongs to the panel "loss"; "k=14/margin" to the panel "margin", beside that of the other k.
function panelOf(name) {
  const slash = name.indexOf("/");
  if (slash < 0) return [name, name];
  const [first, rest] = [name.slice(0, slash), name.slice(slash + 1)];
  return /[=0-9]/.test(first) ? [rest, first] : [first, rest];
}

// Of the network's own losses.
const lossUnit = () => lossLabel(pageData.loss);

// Where the parts of `wanted` stand in those of a name, or -1.
function placeIn(parts, wanted) {
  for (let at = 0; at + wanted.length <= parts.length; ++at)
    if (wanted.every((part, i) => parts[at + i] === part)) return at;
  return -1;
}

// What a probe says that a scalar measures, and the rest of the scalar's name; orrery/recorder.h has the rule. Without
// it, the name has to do.
function measuredBy(probe, name) {
  const parts = name.split("/");
  let best = null;
  for (const {scalars, title, y_label} of probe.panels || []) {
    const wanted = scalars.split("/"),
      at = placeIn(parts, wanted);
    if (at < 0 || (best && (at > best.at || (at === best.at && wanted.length <= best.length)))) continue;
    const rest = [...parts.slice(0, at), ...parts.slice(at + wanted.length)].join("/");
    best = {at, length: wanted.length, title, unit: y_label, scalars, label: rest || parts.at(-1)};
  }
  if (best) return best;
  const [group, label] = panelOf(name),
    last = readable(group.split("/").at(-1));
  const unit = /(^|_|\/)loss(_|\/|$)/.test(group) ? lossUnit() : last;
  return {title: `${readable(group)} (${probe.label})`, unit, scalars: group, label};
}

// A headline that is recorded under a second name too is drawn once: "c_gen" and "c_gen/train".
function withoutRepeats(curves) {
  const repeats = (curve) =>
    curves.some(
      (other) =>
        other !== curve && curve.name.startsWith(`${other.name}/`) && other.values === curve.values,
    );
  return curves.filter((curve) => !repeats(curve));
}

// Without the first parts that all of `names` share: "a/b/x_1" and "a/b/x_2" are "x_1" and "x_2".
function withoutCommonParts(names) {
  const parts = names.map((name) => name.split("/"));
  let shared = 0;
  while (parts.every((one) => one.length > shared + 1 && one[shared] === parts[0][shared])) ++shared;
  return parts.map((one) => one.slice(shared).join("/"));
}

// Curves [{name, steps, values}] of a probe as panels, in the order of their first curves.
function panelsOf(probe, curves, file) {
  const panels = new Map();
  for (const curve of curves) {
    const {title, unit, scalars, label} = measuredBy(probe, curve.name),
      key = `${title}\n${unit}`;
    if (!panels.has(key)) panels.set(key, {title, unit, scalars: new Set(), curves: [], file: ""});
    const panel = panels.get(key);
    panel.scalars.add(scalars);
    panel.file ||= `${file}_${scalars.replaceAll("/", "_")}`;
    panel.curves.push({...curve, label, null: probe.null?.[curve.name] ?? undefined});
  }
  return [...panels.values()].map((panel) => {
    const several = panel.scalars.size > 1,
      labels = several ? withoutCommonParts(panel.curves.map((curve) => curve.name)) : panel.curves.map((curve) => curve.label);
    const named = panel.curves.map((curve, i) => ({...curve, label: readable(labels[i])}));
    return {...panel, curves: inNaturalOrder(withoutRepeats(named), (curve) => curve.label)};
  });
}

// All scalars of a probe.
function scalarPanels(probe) {
  return panelsOf(probe, probe.curves, probe.label);
}

// Whether a headline is a loss in the unit of the network's own.
const isLoss = (probe, curve) => /(^|\/|_)loss(\/|$)/.test(curve.name) && measuredBy(probe, curve.name).unit === lossUnit();

// The headlines of a probe that are losses, for the panel with the loss of the network itself.
function lossHeadlines(probe) {
  return probe.curves
    .filter((curve) => probe.headlines.includes(curve.name) && isLoss(probe, curve))
    .map((curve) => {
      const own = curve.name.replace(/(^|\/)loss(\/|$)/, "$1").replace(/\/$/, "");
      return {...curve, probe: probe.label, name: `${probe.label}/${curve.name}`, label: `${probe.label} ${readable(own)}`.trim()};
    });
}

// The columns of metrics.jsonl that `like` fits; the name of each without what all have in common.
function metricCurves(left, like, strip) {
  const curves = left.filter((curve) => like.test(curve.name));
  for (const curve of curves) left.splice(left.indexOf(curve), 1);
  return curves.map((curve) => ({...curve, label: readable(curve.name.replace(strip, "") || curve.name)}));
}

// The network's own curves and the headlines of probes. Train, test, trig and excluded loss are in one panel, as Nanda
// et al. 2023 draw them.
function trainingPanels() {
  const left = pageData.metrics.filter((curve) => numbers(curve.values).some(Number.isFinite));
  const rules = [
    {title: "Loss", unit: lossUnit(), like: /^[^/]+\/loss$/, strip: /\/loss$/, height: 230, labelled: true},
    {title: "Accuracy", unit: "share right", like: /^[^/]+\/accuracy$/, strip: /\/accuracy$/},
    {title: "Loss by group", unit: lossUnit(), like: /\/loss\//, strip: /loss\//},
    {title: "Accuracy by group", unit: "share right", like: /\/accuracy\//, strip: /accuracy\//},
    {title: "Norm of all weights", unit: "L2 norm", like: /^weights\/norm$/, strip: /^weights\//},
  ];
  const panels = rules.map(({like, strip, ...panel}) => ({
    ...panel,
    curves: inNaturalOrder(metricCurves(left, like, strip), (curve) => curve.label),
    file: `curves_${panel.title.toLowerCase().replaceAll(" ", "_")}`,
  }));
  const probes = pageData.probes.flatMap(lossHeadlines);
  const labels = [...new Set(probes.map((curve) => curve.probe))];
  if (labels.length > 0)
    panels[0].title = `Loss, with ${labels.length > 2 ? `those of ${labels.length} probes` : labels.join(" and ")}`;
  panels[0].curves.push(...probes);
  // Others measure we know not what: each has a panel of its own, where a task's metric is of train and of test.
  const others = new Map();
  for (const curve of left) {
    const [, set, own] = /^(train|test|all)\/(.*)$/.exec(curve.name) || [null, curve.name, curve.name];
    if (!others.has(own)) others.set(own, []);
    others.get(own).push({...curve, label: readable(set)});
  }
  for (const [name, curves] of others)
    panels.push({
      title: readable(name),
      unit: readable(name.split("/").at(-1)),
      curves: inNaturalOrder(curves, (curve) => curve.label),
      file: `curves_${name.replaceAll("/", "_")}`,
    });
  return [...panels.filter((panel) => panel.curves.length > 0), ...progressPanels()];
}

// The other headlines.
function progressPanels() {
  return pageData.probes.flatMap((probe) =>
    panelsOf(
      probe,
      probe.curves.filter((curve) => probe.headlines.includes(curve.name) && !isLoss(probe, curve)),
      `progress_${probe.label}`,
    ).map((panel) => ({...panel, from: probe.label})),
  );
}

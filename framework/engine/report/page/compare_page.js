"use strict";
// The page of `orrery compare`.

const page = document.getElementById("page");

function section(title, note, ...children) {
  const made = element("section", {}, element("header", {}, element("h2", {}, title),
    note ? element("p", {className: "note"}, note) : null), ...children);
  page.append(made);
  return made;
}
function figure(make) {
  const target = element("div");
  addFigure(target, make);
  return target;
}
// On a narrow page, `kind` says how a row stands below itself: "by-run", one value beside the other under its name, or
// "listed", each value beside the title of its column.
function table(kind, head, rows, numeric = () => false) {
  const cell = (tag, content, column) =>
    element(tag, {className: numeric(column) ? "number" : "", "data-column": typeof head[column] === "string" ? head[column] : ""},
      ...(Array.isArray(content) ? content : [content]));
  return element("div", {className: "scroll"}, element("table", {className: kind, style: `--values: ${head.length - 1}`},
    element("thead", {}, element("tr", {}, ...head.map((content, i) => cell("th", content, i)))),
    element("tbody", {}, ...rows.map((row) => (row.length === 1
      ? element("tr", {className: "group"}, element("th", {colSpan: head.length}, row[0]))
      : element("tr", {}, ...row.map((content, i) => cell("td", content, i))))))));
}

function folded(isFolded, title, content) {
  return isFolded ? element("details", {}, element("summary", {}, title), content) : content;
}

// A group of buttons, one of them pressed; calls `choose` with the chosen option.
function choices(label, options, choose) {
  const buttons = options.map(([text, value], i) => element("button", {
    type: "button", "aria-pressed": String(i === 0),
    onclick: () => {
      buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
      choose(value);
    },
  }, text));
  return element("div", {className: "choices", role: "group", "aria-label": label}, ...buttons);
}

const percent = (x) => (Number.isFinite(x) ? `${(Math.floor(x * 1e4) / 100).toFixed(2)} %` : "–");
const number = (x) => (Number.isFinite(x) ? shown(x) : "–");

// A run's name in its colour, which follows the theme.
function runName(index) {
  const dot = element("span", {className: "dot"});
  const paint = () => { dot.style.background = lineColour(index); };
  paint();
  onThemeChange(paint);
  return element("span", {}, dot, runNames[index]);
}

const lossText = (run, set) => `${number(run[`${set}/loss`])}${inNats(run.loss) ? " nats" : ""}`;

function runsSection() {
  const rows = [
    ["task", ...pageData.runs.map((run) => run.task)],
    ["checkpoint", ...pageData.runs.map((run) => `step ${shown(run.step)} of ${shown(run.last_step)}`)],
    ["training", ...pageData.runs.map((run) => `${lossText(run, "train")}, ${percent(run["train/accuracy"])}`)],
    ["test", ...pageData.runs.map((run) => `${lossText(run, "test")}, ${percent(run["test/accuracy"])}`)],
    ...pageData.config.filter(({key}) => key !== "task.name").map(({key, values}) => [key, ...values]),
  ];
  section("The runs", "and where their configs differ", table("by-run", ["", ...runNames.map((_, i) => runName(i))], rows));
}

function frequenciesText(pair) {
  const first = pair.frequencies[0];
  return first ? `${first.common} of ${first.a} and ${first.b} (by chance ${number(first.by_chance)})` : "";
}

function distanceSection() {
  const sorted = [...pageData.pairs].sort((x, y) => (x.distance ?? 2) - (y.distance ?? 2));
  const rows = sorted.map((pair) => [runName(pair.a), runName(pair.b),
    pair.distance === null ? `not comparable: ${pair.not_comparable}` : pair.distance.toFixed(3),
    pair.to_random === null ? "–" : pair.to_random.toFixed(3),
    pair.distance === null ? "–" : `${pair.n_features} in ${pair.n_groups} groups`, frequenciesText(pair)]);
  const figures = runNames.length > 2
    ? [element("div", {className: "pair"}, figure(treeFigure), figure(distanceFigure))] : [];
  section("Distance",
    "From 0, alike, to 1, nothing in common: the mean over groups of features of the mean inside each. What has a unit " +
    "(counts, norms, steps) has no part in it, nor has which key frequencies they are. Beside it, the distance of each " +
    "network to the other's architecture at random weights.",
    ...figures, table("listed", ["", "", "distance", "to random weights", "features", "key frequencies in common"], rows));
}

function valueText(row, run) {
  const value = row.values[run];
  if (!value) return element("span", {className: "note"}, row.absent[run] || "–");
  const own = row.scale === "shares" ? (value.parts.length ? value.parts.map((x) => x.toFixed(2)).join(" ") : "none")
    : number(value.value);
  const null_ = row.nulls[run];
  const nullText = !null_ ? "" : row.scale === "shares" ? (null_.parts.length ? `null ${null_.value} of them` : "null none")
    : `null ${number(null_.value)}`;
  return element("span", {}, own, nullText ? element("span", {className: "note"}, ` ${nullText}`) : null,
    value.shown ? element("span", {className: "note block"}, value.shown) : null);
}

function featuresSection() {
  section("What is counted", "Filled: the network. Open: the same architecture at random weights.", figure(dotsFigure));
  const keyRows = pageData.features.filter((row) => row.scale === "shares" && row.values.some((value) => value?.parts.length));
  if (keyRows.length > 0) {
    let chosen = keyRows[0];
    const drawn = figure(() => sharesFigure(chosen));
    section("Key frequencies and representations, by share",
      "Sorted, as the distance sees them: which ones they are is a matter of names.",
      choices("Measured by", keyRows.map((row) => [row.name, row]), (row) => { chosen = row; updateFigure(drawn); }), drawn);
  }
  const rows = [];
  let group = null;
  for (const row of pageData.features) {
    if (row.group !== group) rows.push([group = row.group]);
    rows.push([row.name, ...runNames.map((_, run) => valueText(row, run)), row.distance === null ? "" : row.distance.toFixed(3)]);
  }
  section("Side by side", "Each value with its null, the same measure at random weights.",
    table("by-run", ["", ...runNames.map((_, i) => runName(i)), runNames.length > 2 ? "largest distance" : "distance"], rows,
      (column) => column === runNames.length + 1));
}

function activationsSection() {
  if (!pageData.pairs.some((pair) => pair.activations)) return;
  const sites = sitesWithActivations(), made = [];
  if (sites.length > 0 && runNames.length > 2) {
    let chosen = sites.at(-1);
    const drawn = figure(() => ckaHeatmap(chosen));
    made.push(choices("Where", [...sites].reverse().map((site) => [site, site]),
      (site) => { chosen = site; updateFigure(drawn); }), drawn);
  } else if (sites.length > 0) {
    made.push(figure(ckaDots));
  }
  const rows = [];
  for (const pair of pageData.pairs) {
    const names = `${runNames[pair.a]}, ${runNames[pair.b]}`;
    if (!pair.activations?.sites.length) {
      rows.push([`${names}: no common inputs: ${pair.activations?.why_not || "not looked at"}`]);
      continue;
    }
    rows.push([`${names}: on ${pair.activations.inputs}`]);
    for (const site of pair.activations.sites)
      rows.push([site.site, `${number(site.cka)} (null ${number(site.cka_null)})`, site.dims.join(" and "),
        `${number(site.shared)} (null ${number(site.shared_null)})`,
        site.angles_degrees.slice(0, 5).map((x) => `${Math.round(x)}°`).join(" ")]);
  }
  section("Activations on the same inputs",
    "Linear CKA (Kornblith et al. 2019), and the principal angles between the subspaces that hold 99 % of the variance.",
    ...made, folded(pageData.pairs.length > 3, "Every pair and place",
      table("listed", ["", "CKA", "dimensions", "shared", "smallest angles"], rows)));
}

function curvesSection() {
  let quantity = "loss", byFraction = true;
  const drawn = figure(() => curvesFigure(quantity, byFraction));
  section("Training", "Test solid, training dotted.",
    element("div", {className: "choices"},
      choices("Quantity", [["loss", "loss"], ["accuracy", "accuracy"]], (value) => { quantity = value; updateFigure(drawn); }),
      choices("Axis", [["fraction of training", true], ["step", false]], (value) => { byFraction = value; updateFigure(drawn); })),
    drawn);
}

function partlyConcludedSection() {
  if (pageData.partly_concluded.length === 0) return;
  section("Concluded from a part of a run", "the other checkpoints were pruned before the probe had measured them",
    table("", ["run", "probe", "checkpoints"],
      pageData.partly_concluded.map(({run, probe, seen, made}) => [runNames[run], probe, `${seen} of ${made}`])));
}

function missingSection() {
  if (pageData.missing.length === 0) return;
  section("Not measured", "though two of these runs or more could have it; orrery compare --probe-missing does it",
    table("", ["probe", "runs without it"], pageData.missing.map(({probe, runs}) => [probe, runs.map((i) => runNames[i]).join(", ")])));
}

document.addEventListener("DOMContentLoaded", () => {
  page.append(masthead(runNames.length > 4 ? `${runNames.length} networks` : runNames.join(", "),
    `${runNames.length} networks set side by side`));
  runsSection();
  distanceSection();
  featuresSection();
  circuitsSection();
  carriedSection();
  activationsSection();
  curvesSection();
  partlyConcludedSection();
  missingSection();
});

"use strict";
// What every figure of a sweep needs: names with units, menus, what is missing, and the run that is chosen.

const runs = pageData.runs, keys = pageData.keys, readings = pageData.readings, classes = pageData.classes;

// "loss (nats)" for a loss; a number of another kind has no unit that we know.
function unitOf(metric) {
  if (/(^|_|\/)loss(_|\/|$)/.test(metric)) return "nats";
  return /(^|_|\/)accuracy(_|\/|$)/.test(metric) ? "share" : "";
}
const withUnit = (name, unit) => (unit && !name.endsWith(unit) ? `${name} (${unit})` : name);
const metricTitle = (metric) => withUnit(metric, unitOf(metric));
const readingTitle = (reading) => withUnit(reading.name, reading.is_step ? "step" : unitOf(reading.metric));

const plural = (n, one, many = `${one}s`) => `${shown(n)} ${n === 1 ? one : many}`;
const listed = (parts) => parts.filter((part) => part).join(", ");
// For hovers, which read their text as HTML.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// "train.weight_decay 3, seed 1".
function pointText(run) {
  return keys.map((key, k) => `${key.name} ${key.values[run.keys[k]]}`).join(", ") || run.id;
}
const className = (run) => (run.class === null ? "no class" : classes[run.class].name);

// {value, censored}, or null if nothing is known of it.
function readingOf(run, reading) {
  const read = run.readings[reading];
  if (!read) return null;
  if (Number.isFinite(read.value)) return {value: read.value, censored: false};
  return read.censored_at === undefined ? null : {value: read.censored_at, censored: true};
}
function readingText(run, reading) {
  const read = run.readings[reading];
  if (!read) return "–";
  if (read.censored_at !== undefined) return `never (> ${shown(read.censored_at)})`;
  return typeof read.value === "number" ? shown(read.value) : `none: ${read.why || "not read"}`;
}

function runHover(run, ...lines) {
  const state = run.state === "done" ? (classes.length ? className(run) : "") : run.state;
  return [`<b>${plain(pointText(run))}</b>`, ...lines, state].filter((line) => line).map((line, i) => (i ? plain(line) : line)).join("<br>");
}

// "33 of 36 runs. Not drawn: 2 failed, 1 missing." for those of which `drawn` is false.
function countText(drawn, all = runs) {
  const left = new Map();
  let n = 0;
  for (const run of all) {
    if (drawn(run)) ++n;
    else {
      const why = run.state === "done" ? "without this reading" : run.diverged ? "diverged" : run.state;
      left.set(why, (left.get(why) || 0) + 1);
    }
  }
  const missing = [...left].map(([why, count]) => `${shown(count)} ${why}`).join(", ");
  return `${shown(n)} of ${plural(all.length, "run")}.${missing ? ` Not drawn: ${missing}.` : ""}`;
}

// A menu with a label; null if there is nothing to choose.
function menu(label, options, chosen, choose) {
  if (options.length < 2) return null;
  const select = element("select", {onchange: () => choose(options[select.selectedIndex][1])},
    ...options.map(([text]) => element("option", {}, text)));
  select.selectedIndex = Math.max(0, options.findIndex(([, value]) => value === chosen));
  return element("label", {className: "menu"}, element("span", {}, label), select);
}
// A group of buttons, one of them pressed.
function buttons(label, options, chosen, choose) {
  if (options.length < 2) return null;
  const made = options.map(([text, value]) => element("button", {
    type: "button", className: "scale", "aria-pressed": String(value === chosen),
    onclick: (event) => {
      for (const one of made) one.setAttribute("aria-pressed", String(one === event.currentTarget));
      choose(value);
    },
  }, text));
  return element("span", {className: "menu"}, element("span", {}, label),
    element("span", {className: "scales", role: "group", "aria-label": label}, ...made));
}
const logOrLinear = (label, isLog, choose) => buttons(label, [["linear", false], ["log", true]], isLog, choose);

const page = document.getElementById("page");
function section(id, title, note, ...children) {
  const made = element("section", {id}, element("header", {}, element("h2", {}, title),
    note ? element("p", {className: "note"}, note) : null), ...children);
  page.append(made);
  return made;
}

// A section with one figure. `controls(redraw)` makes its menus, make() the figure as {data, layout, title, file, note,
// pick}: `title` goes above it, `note` below it, `pick(point)` gives the runs of a point that is clicked.
function figureSection(id, title, note, controls, make) {
  const target = element("div"), heading = element("h3"), caption = element("p", {className: "note caption"});
  let last = {};
  const redraw = () => { updateFigure(target); };
  section(id, title, note, element("div", {className: "controls"}, ...controls(redraw).filter((one) => one)), heading, target, caption);
  addFigure(target, (size) => {
    const made = make(size);
    if (size.image) return made;
    last = made;
    heading.textContent = made.title;
    caption.textContent = made.note || "";
    return made;
  });
  target.addEventListener("drawn", () => target.on("plotly_click", ({points}) => {
    const picked = last.pick?.(points[0]);
    if (picked) choose(picked);
  }), {once: true});
  return target;
}

const classMenu = classes.map(({name}, i) => [name, i]);
const readingMenu = readings.map((reading, i) => [reading.name, i]);
const keyMenu = keys.map((key, i) => [key.name, i]);
// All runs at one place of an axis, where a figure may have a key: the key null.
const allRuns = {name: "", values: ["all runs"], numbers: []};

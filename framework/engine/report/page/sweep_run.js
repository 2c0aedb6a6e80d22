"use strict";
// The panel of the run, or the runs, that were clicked.

let chosenRuns = [];
const choiceListeners = [];
const isChosen = (index) => chosenRuns.length === 1 && chosenRuns[0] === index;
// Called when another run is chosen.
function onChoice(listener) {
  choiceListeners.push(listener);
}

const encodedPath = (path) => path.split("/").map(encodeURIComponent).join("/");
const pairTable = (pairs) => element("table", {}, element("tbody", {},
  ...pairs.map(([name, value]) => element("tr", {}, element("th", {scope: "row"}, name), element("td", {}, value)))));

function outcomeText(run) {
  if (run.state !== "done") return listed([run.state, run.step > 0 ? `step ${shown(run.step)}` : ""]);
  return listed([run.class === null ? "done" : className(run), `${shown(run.step)} steps`]);
}

function runDetails(index) {
  const run = runs[index];
  return [
    element("p", {className: "outcome"}, outcomeText(run)),
    run.error ? element("p", {className: "note"}, run.error) : null,
    element("h3", {}, "What sets it apart"),
    run.sets.length ? pairTable(run.sets) : element("p", {className: "note"}, "nothing"),
    readings.length ? element("h3", {}, "Readings") : null,
    readings.length ? pairTable(readings.map((reading, i) => [reading.name, readingText(run, i)])) : null,
    element("h3", {}, "Folder"),
    element("p", {className: "code"}, run.folder),
    run.report ? element("p", {}, element("a", {href: encodedPath(run.report)}, "Its report"))
      : run.state === "missing" ? null
      : element("p", {className: "note"}, "For its report: ", element("span", {className: "code"}, `orrery report ${run.folder}`)),
  ];
}

function runList(indices) {
  const most = 40;
  return [
    element("p", {className: "note"}, plural(indices.length, "run")),
    ...indices.slice(0, most).map((index) => element("button", {type: "button", className: "one", onclick: () => choose([index])},
      pointText(runs[index]), element("span", {className: "note"}, ` ${outcomeText(runs[index])}`))),
    indices.length > most ? element("p", {className: "note"}, `and ${shown(indices.length - most)} more`) : null,
  ];
}

// Shows one run, or a list of several to choose from; [] closes the panel.
function choose(indices) {
  chosenRuns = indices;
  document.getElementById("run")?.remove();
  if (indices.length > 0) {
    const one = indices.length === 1;
    page.append(element("aside", {id: "run", "aria-label": "The chosen run"},
      element("header", {}, element("h2", {}, one ? `Run ${runs[indices[0]].id}` : "Runs"),
        element("button", {type: "button", className: "quiet", "aria-label": "Close", onclick: () => choose([])}, "×")),
      ...(one ? runDetails(indices[0]) : runList(indices)).filter((part) => part)));
  }
  for (const listener of choiceListeners) listener();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosenRuns.length > 0) choose([]);
});

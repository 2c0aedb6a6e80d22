"use strict";
// Assembles the page of one run.

function probeSection(probe) {
  const scalars = scalarPanels(probe),
    figures = [...probe.figures, ...probe.concluding.map((figure) => ({...figure, concluding: true}))],
    children = [];
  if (figures.length > 0)
    children.push(
      element("div", {className: "grid"}, ...figures.map((figure) => figureCard(figure, probe.label))),
    );
  if (scalars.length > 0) children.push(element("h3", {}, `${probe.label} over training`), stack(scalars));
  return section(`probe-${probe.label}`, probe.label, probe.summary, ...children);
}

function configSection() {
  return section(
    "config",
    "Config",
    null,
    pageData.differences.length > 0
      ? element("p", {className: "note"}, `Unlike the defaults: ${pageData.differences.join(" · ")}`)
      : null,
    element(
      "details",
      {},
      element("summary", {}, "The whole config"),
      element("pre", {className: "code scroll"}, JSON.stringify(pageData.config, null, 2)),
    ),
  );
}

// Every step with something to show.
function prepareSteps() {
  const steps = new Set();
  for (const probe of pageData.probes)
    for (const figure of probe.figures) for (const [step] of figure.frames) steps.add(step);
  const ofCurves = (curves) =>
    curves.forEach((curve) => numbers(curve.steps).forEach((step) => steps.add(step)));
  if (steps.size === 0) pageData.probes.forEach((probe) => ofCurves(probe.curves));
  if (steps.size === 0) ofCurves(pageData.metrics);
  scrubber.steps = [...steps].sort((a, b) => a - b);
  if (scrubber.steps.length === 0) scrubber.steps = [0];
  let last = scrubber.steps.at(-1),
    firstPositive = Infinity;
  for (const curve of [...pageData.metrics, ...pageData.probes.flatMap((probe) => probe.curves)])
    for (const step of numbers(curve.steps)) {
      last = Math.max(last, step);
      if (step > 0) firstPositive = Math.min(firstPositive, step);
    }
  scrubber.lastStep = Math.max(last, 1);
  scrubber.firstPositive = Number.isFinite(firstPositive) ? firstPositive : 1;
  const asked = addressParts().get("step");
  scrubber.index = asked === null ? scrubber.steps.length - 1 : nearestIndex(scrubber.steps, Number(asked));
}

function trainingSection() {
  return section(
    "training",
    "Over training",
    null,
    headlineCards(),
    element(
      "div",
      {className: "tools"},
      timeAxisButtons(),
      element(
        "span",
        {className: "note"},
        "Drag to zoom, double-click to see everything, click to go to a step.",
      ),
    ),
    stack(trainingPanels()),
    pageData.phases.length > 0 ? phasesTable() : null,
  );
}

function buildPage() {
  prepareSteps();
  const page = document.getElementById("page");
  const head = masthead(pageData.title, pageData.facts);
  head.querySelector("#theme")?.remove();
  if (pageData.differences.length > 0)
    head.firstChild.append(
      element("p", {className: "facts code"}, pageData.differences.slice(0, 8).join(" · ")),
    );
  const made = [trainingSection()];
  for (const probe of pageData.probes)
    if (probe.figures.length + probe.curves.length + probe.concluding.length > 0) made.push(probeSection(probe));
  if (findingRows().length > 0 || pageData.probes.some((probe) => probe.findings.length > 0))
    made.push(section("findings", "Findings", null, findingsTable()));
  made.push(configSection());
  page.append(head, navigation(), ...made);
  if (pageData.notes.length > 0)
    page.append(
      element(
        "footer",
        {className: "note", id: "notes"},
        ...pageData.notes.map((text) => element("p", {}, text)),
      ),
    );
  const hasNull = pageData.probes.some((probe) => probe.figures.some((figure) => figure.null));
  page.append(scrubberBar(hasNull));
  onStep(() => panels.forEach(placeCursor));
  openSections();
  onStep(keepAddress);
  announceStep();
}

document.addEventListener("DOMContentLoaded", () => {
  if (isExport(runFigures)) return;
  buildPage();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});

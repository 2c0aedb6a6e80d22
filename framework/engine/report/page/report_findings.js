"use strict";
// The findings of probes as text: at the scrubber's step, and for the run as a whole.

function valueText(value) {
  if (!Array.isArray(value)) return shown(value);
  const most = 12,
    items = value.slice(0, most).map(shown).join(", ");
  return `[${items}${value.length > most ? `, … ${value.length} in all` : ""}]`;
}
function fieldsText(fields) {
  return Object.entries(fields)
    .filter(([name]) => name !== "kind")
    .map(([name, value]) => `${name} ${valueText(value)}`)
    .join(" · ");
}

// The value of a log [[step, value], ...] at `step`.
function atStep(log, step) {
  let value = null;
  for (const [from, recorded] of log) if (from <= step) value = recorded;
  return value;
}

function findingRows() {
  const rows = [];
  for (const probe of pageData.probes) {
    for (const finding of probe.findings) {
      const fields = atStep(finding.at, currentStep());
      if (fields) rows.push([probe.label, finding.name, fieldsText(fields)]);
    }
    for (const [name, fields] of Object.entries(probe.conclusion?.findings || {}))
      if (fields.kind !== "phase_change")
        rows.push([probe.label, `${name} (of the run)`, fieldsText(fields)]); // those have a table
  }
  return rows;
}

function findingsTable() {
  const body = element("tbody"),
    caption = element("p", {className: "note"});
  onStep(() => {
    caption.textContent = `At step ${shown(currentStep())}`;
    body.replaceChildren(
      ...findingRows().map(([probe, name, text]) =>
        element(
          "tr",
          {},
          element("td", {}, probe),
          element("td", {}, readable(name)),
          element("td", {}, text),
        ),
      ),
    );
  });
  return element(
    "div",
    {},
    caption,
    element(
      "div",
      {className: "scroll"},
      element(
        "table",
        {id: "findings-table"},
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            ...["probe", "finding", "what"].map((text) => element("th", {scope: "col"}, text)),
          ),
        ),
        body,
      ),
    ),
  );
}

// The value of a curve at its last point up to `step`.
function curveAt(curve, step) {
  const steps = numbers(curve.steps),
    values = numbers(curve.values);
  let at = nearestIndex(steps, step);
  if (steps[at] > step && at > 0) --at;
  return values[at];
}

// The headlines of all probes at the scrubber's step, each beside its null.
function headlineCards() {
  const cards = [];
  const add = (probe, name, value, ofNull) => {
    const number = element("span", {className: "value"});
    const show = () => {
      number.textContent = shown(value());
    };
    onStep(show);
    const beside =
      Number.isFinite(ofNull)
        ? element("span", {className: "note", title: "The same of random weights"}, `null ${shown(ofNull)}`)
        : null;
    cards.push(
      element(
        "div",
        {className: "headline"},
        element("span", {className: "from"}, probe),
        element("span", {className: "name"}, readable(name)),
        element("span", {}, number, beside),
      ),
    );
  };
  for (const name of ["train/loss", "test/loss", "test/accuracy"]) {
    const curve = pageData.metrics.find((metric) => metric.name === name);
    if (curve) add("metrics", name, () => curveAt(curve, currentStep()));
  }
  for (const probe of pageData.probes)
    for (const name of probe.headlines) {
      const curve = probe.curves.find((one) => one.name === name);
      if (curve) add(probe.label, name, () => curveAt(curve, currentStep()), probe.null?.[name]);
    }
  return element("div", {className: "headlines", id: "headlines"}, ...cards);
}

function phasesTable() {
  const range = (phase) => `${shown(phase.low)} to ${shown(phase.high)}`;
  return element(
    "div",
    {className: "scroll"},
    element(
      "table",
      {id: "phases"},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ...["phase", "curve"].map((text) => element("th", {scope: "col"}, text)),
          ...["ends at step", "interval", "confidence"].map((text) =>
            element("th", {scope: "col", className: "number"}, text),
          ),
        ),
      ),
      element(
        "tbody",
        {},
        ...pageData.phases.map((phase) =>
          element(
            "tr",
            {},
            element("td", {}, phase.boundary),
            element("td", {}, phase.curve),
            element("td", {className: "number"}, shown(phase.step)),
            element("td", {className: "number"}, range(phase)),
            element("td", {className: "number"}, `${Math.round(100 * phase.confidence)} %`),
          ),
        ),
      ),
    ),
  );
}

"use strict";
// The page of `orrery sweep report`.

function simpleTable(head, all, more = {}) {
  return element("div", {className: "scroll"}, element("table", {className: "listed", ...more},
    element("thead", {}, element("tr", {}, ...head.map((title) => element("th", {scope: "col"}, title)))),
    element("tbody", {}, ...all.map((cells) => element("tr", {}, ...cells.slice(0, head.length).map((cell, i) =>
      element("td", {"data-column": head[i]}, cell)))))));
}

const verdictWords = {ok: "ok", failed: "failed", open: "not all runs are done"};

function claimsSection() {
  if (pageData.claims.length === 0) return;
  const count = (verdict) => pageData.claims.filter((claim) => claim.verdict === verdict).length;
  const counts = [["ok", "ok"], ["failed", "failed"], ["open", "open"]].filter(([verdict]) => count(verdict))
    .map(([verdict, word]) => `${count(verdict)} ${word}`).join(", ");
  section("claims", "Claims", `${counts}; as orrery verify ${pageData.file} judges them`,
    simpleTable(["expected", "got", "95 % interval", "n", "source", "verdict"], pageData.claims.map((claim) => [claim.expected, claim.got,
      claim.interval || "–", String(claim.n), claim.source, element("span", {className: `verdict ${claim.verdict}`}, verdictWords[claim.verdict])]), {id: "verdicts"}));
}

function stateChips() {
  return element("p", {className: "chips", id: "states"}, ...pageData.states.map(({state, n}) =>
    element("span", {className: `chip ${state}`}, element("b", {}, shown(n)), ` ${state}`)));
}

function failedList() {
  const failed = runs.map((run, index) => ({run, index})).filter(({run}) => ["failed", "damaged", "blocked"].includes(run.state));
  if (failed.length === 0) return null;
  const list = element("ul", {className: "failed"}, ...failed.map(({run, index}) => element("li", {},
    element("button", {type: "button", className: "link", onclick: () => choose([index])}, pointText(run)), ` ${run.error}`)));
  return failed.length <= 5 ? list : element("details", {}, element("summary", {}, `The ${failed.length} that failed, are damaged or cannot start`), list);
}

function leftText() {
  const missing = pageData.states.filter(({state}) => state !== "done").reduce((sum, {n}) => sum + n, 0);
  const last = pageData.states.every(({state}) => ["done", "failed", "blocked"].includes(state));
  if (missing === 0 || last) return null;
  return element("p", {className: "note"}, "Not all runs are done. Go on with ", element("span", {className: "code"}, `orrery sweep run ${pageData.file}`),
    " and draw this page again.");
}

function setSection() {
  const few = (values) => (values.length > 16 ? [...values.slice(0, 15), "…", values.at(-1)] : values).join(", ");
  const all = keys.map((key) => [key.name, few(key.values), plural(key.values.length, "value"), key.sets.join(", ")]);
  const fixed = pageData.fixed.map(([key, value]) => `${key} ${value}`).join(" · ");
  section("set", "The set", null, stateChips(), failedList(), leftText(),
    all.length ? simpleTable(["key", "values", "", "sets"].slice(0, keys.some((key) => key.sets.length) ? 4 : 3), all, {id: "keys"}) : null,
    fixed ? element("p", {className: "note caption"}, `Every run: ${fixed}`) : null);
}

document.addEventListener("DOMContentLoaded", () => {
  if (isExport(sweepFigures)) return;
  page.append(masthead(pageData.title, `${pageData.facts} · ${pageData.folder}`));
  setSection();
  claimsSection();
  pointsSection();
  gridSection();
  curvesSection();
  survivalSection();
  scatterSection();
  tableSection();
  if (pageData.notes.length > 0)
    page.append(element("footer", {className: "note", id: "notes"}, ...pageData.notes.map((text) => element("p", {}, text))));
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});

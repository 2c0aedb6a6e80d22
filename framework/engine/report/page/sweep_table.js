"use strict";
// The table of the runs. It sorts by any column; on a narrow page each run is a card.

const rowsAtFirst = () => (window.innerWidth < 620 ? 12 : 100);

// {title, number, text(run, index), order(run, index)}: numbers sort by size, what never came after all that did.
function tableColumns() {
  const columns = [{title: "run", text: (run) => run.id, order: (run, index) => index}];
  // On a card, which is narrow, the last part of a key if no other has it.
  const last = keys.map(({name}) => name.split(".").at(-1));
  keys.forEach((key, k) => columns.push({title: key.name, short: last.filter((part) => part === last[k]).length > 1 ? key.name : last[k], number: key.numbers.length > 0, text: (run) => key.values[run.keys[k]], order: (run) => run.keys[k]}));
  columns.push({title: "state", text: (run) => run.state, order: (run) => run.state});
  if (classes.length) columns.push({title: "class", text: (run) => (run.class === null ? "–" : className(run)), order: (run) => run.class ?? classes.length});
  readings.forEach((reading, i) => columns.push({title: reading.name, number: true, text: (run) => readingText(run, i), order: (run) => {
    const known = readingOf(run, i);
    return known === null ? [2, 0] : [known.censored ? 1 : 0, known.value];
  }}));
  return columns;
}

function compared(a, b) {
  if (Array.isArray(a)) return a[0] - b[0] || a[1] - b[1];
  return typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
}

function sortedRuns(column, descending) {
  const order = runs.map((run, index) => ({index, by: column.order(run, index)}));
  // What has no value stays last either way.
  const known = (by) => !Array.isArray(by) || by[0] < 2;
  order.sort((a, b) => known(b.by) - known(a.by) || (descending ? -1 : 1) * compared(a.by, b.by) || a.index - b.index);
  return order.map(({index}) => index);
}

function tableSection() {
  const columns = tableColumns(), state = {column: 0, descending: false, all: runs.length <= rowsAtFirst()};
  const body = element("tbody"), more = element("p", {className: "note"});
  const heads = columns.map((column, i) => element("th", {scope: "col", className: column.number ? "number" : ""},
    element("button", {type: "button", className: "sort", onclick: () => sortBy(i)}, column.title)));
  const select = element("select", {onchange: () => sortBy(select.selectedIndex)}, ...columns.map(({title}) => element("option", {}, title)));
  function sortBy(column) {
    state.descending = state.column === column && !state.descending;
    state.column = column;
    select.selectedIndex = column;
    fill();
  }
  function fill() {
    const order = sortedRuns(columns[state.column], state.descending), some = state.all ? order : order.slice(0, rowsAtFirst());
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== state.column ? "none" : state.descending ? "descending" : "ascending"));
    body.replaceChildren(...some.map((index) => element("tr", {className: isChosen(index) ? "chosen" : ""}, ...columns.map((column, i) => {
      const text = column.text(runs[index], index);
      return element("td", {className: column.number ? "number" : "", "data-column": column.short || column.title},
        i === 0 ? element("button", {type: "button", className: "link code", onclick: () => choose([index])}, text) : text);
    }))));
    more.replaceChildren(...(state.all ? [] : [`${shown(some.length)} of ${plural(runs.length, "run")}. `,
      element("button", {type: "button", onclick: () => { state.all = true; fill(); }}, "Show all")]));
  }
  fill();
  onChoice(fill);
  section("runs", "The runs", null,
    element("div", {className: "controls narrow"}, element("label", {className: "menu"}, element("span", {}, "sort by"), select),
      element("button", {type: "button", onclick: () => sortBy(state.column)}, "⇅")),
    element("div", {className: "scroll"}, element("table", {className: "listed"}, element("thead", {}, element("tr", {}, ...heads)), body)), more);
}

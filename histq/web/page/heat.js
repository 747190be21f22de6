// The heat map of coverage: a table whose cells are reached with the arrow keys, one tab stop in all.

import { small } from "./charts.js";
import { byId, element, instant, say, seriesName, share } from "./format.js";

const MOST = 0.9;

let found = { rows: [], starts: [] }; // what is shown

// `choose(row, start)` is called when a cell is clicked, or Enter is pressed on it.
export function connectHeat(choose) {
  const table = byId("coverage");
  table.addEventListener("click", (event) => open(event.target.closest("td"), choose));
  table.addEventListener("keydown", (event) => onKey(event, choose));
  table.addEventListener("focusin", (event) => tell(event.target));
  table.addEventListener("mouseover", (event) => tell(event.target.closest("td")));
}

export function drawHeat(news) {
  const table = byId("coverage");
  const at = position(table);
  const first = !found.rows.length;
  found = news;
  if (!found.rows.length) {
    table.replaceChildren();
    say("coverage-readout", "Nothing is known of any series yet.");
    return;
  }
  table.replaceChildren(
    element("thead", {}, [element("tr", {}, [element("th"), ...heads()])]), ...bodies());
  reach(table, at.row, at.column, at.focused);
  if (!at.focused) summary();
  if (first) table.parentElement.scrollLeft = table.scrollWidth; // the latest first
}

function heads() {
  // Not every column: a name is wider than its cell.
  const every = Math.ceil(found.starts.length / (small() ? 4 : 8));
  const named = (at) => (found.starts.length - at) % every === 0;
  return found.starts.map((start, at) =>
    element("th", { scope: "col", textContent: named(at) ? label(start, found.unit) : "" }));
}

function label(start, unit) {
  const day = new Date(start).toISOString();
  return { year: day.slice(0, 4), day: day.slice(5, 10), week: day.slice(5, 10) }[unit]
    ?? day.slice(0, 7);
}

// A group of rows a source, under its name.
function bodies() {
  const sources = [...new Set(found.rows.map((row) => row.source))];
  return sources.map((source) => element("tbody", {}, [
    element("tr", {}, [element("th", { scope: "rowgroup", textContent: source })]),
    ...found.rows.filter((row) => row.source === source).map((row) => line(row)),
  ]));
}

function line(row) {
  const cells = row.shares.map((value, at) => {
    const cell = element("td", { tabIndex: -1, className: look(value) });
    cell.setAttribute("role", "gridcell");
    cell.setAttribute("aria-label", told(row, at));
    return cell;
  });
  const name = `${row.symbol} ${row.interval}`;
  return element("tr", {}, [element("th", { scope: "row", textContent: name }), ...cells]);
}

function look(value) {
  if (value === null) return "cell";
  if (value === 1) return "cell full";
  if (value === 0) return "cell none";
  return value > MOST ? "cell most" : "cell some";
}

function told(row, at) {
  const held = row.shares[at] === null ? "nothing wanted" : `${share(row.shares[at])} held`;
  const when = found.unit === "day" ? "" : `${found.unit} of `;
  return `${seriesName(row)}, ${when}${instant(found.starts[at])}: ${held}`;
}

function summary() {
  const all = found.rows.filter((row) => row.shares.every((value) => value === null || value === 1));
  say("coverage-readout", `${all.length} of ${found.rows.length} series are complete.`
    + " Choose a cell to see its prices.");
}

const lines = (table) => [...table.rows].filter((line) => line.cells[1]?.tagName === "TD");

function place(cell) {
  const row = lines(cell.closest("table")).indexOf(cell.parentElement);
  return { row, column: cell.cellIndex - 1 };
}

// Where the one cell is that tab reaches, to keep it over a redraw.
function position(table) {
  const cell = table.querySelector('td[tabindex="0"]');
  if (!cell) return { row: 0, column: Infinity, focused: false };
  return { ...place(cell), focused: cell === document.activeElement };
}

function reach(table, row, column, focus) {
  const all = lines(table);
  const line = all[Math.max(0, Math.min(row, all.length - 1))];
  const cell = line.cells[Math.max(1, Math.min(column + 1, line.cells.length - 1))];
  for (const old of table.querySelectorAll('td[tabindex="0"]')) old.tabIndex = -1;
  cell.tabIndex = 0;
  if (focus) cell.focus();
}

function tell(cell) {
  if (cell?.tagName !== "TD") return;
  const { row, column } = place(cell);
  say("coverage-readout", told(found.rows[row], column));
}

function open(cell, choose) {
  if (!cell) return;
  const { row, column } = place(cell);
  reach(cell.closest("table"), row, column, true);
  choose(found.rows[row], found.starts[column]);
}

const MOVES = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
  Home: [0, -Infinity], End: [0, Infinity], PageUp: [-10, 0], PageDown: [10, 0],
};

function onKey(event, choose) {
  if (event.target.tagName !== "TD") return;
  const { row, column } = place(event.target);
  if (event.key === "Enter" || event.key === " ") {
    open(event.target, choose);
  } else if (MOVES[event.key]) {
    const [down, right] = MOVES[event.key];
    reach(event.currentTarget, row + down, column + right, true);
  } else {
    return;
  }
  event.preventDefault();
}

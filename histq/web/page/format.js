// How figures are written, and how the page is filled with them. Text only: nothing that comes from
// the database is ever read as HTML.

const whole = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 12 });
const brief = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const number = (value) => whole.format(value);
export const compact = (value) => brief.format(value);

export function share(value) {
  // Never rounded up to all, nor down to nothing.
  if (value === 0 || value === 1) return `${value * 100} %`;
  const percent = Math.min(99.99, Math.max(0.01, value * 100));
  return `${percent.toFixed(percent > 99 || percent < 1 ? 2 : 1)} %`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${number(Math.round(seconds / 86400))} days`;
}

// 2024-01-01 or 2024-01-01 12:30, UTC.
export function instant(ms) {
  const [day, time] = new Date(ms).toISOString().split("T");
  return time.startsWith("00:00:00") ? day : `${day} ${time.slice(0, 5)}`;
}

export const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
export const seriesName = (one) => `${one.source}/${one.symbol}/${one.interval}`;
export const byId = (id) => document.getElementById(id);

export function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Columns are [title, cell(row), classes]; the first is the head of its row. A cell is text, or a
// pair of text and one more class.
export function list(id, columns, rows, nothing) {
  const table = byId(id);
  if (!rows.length) {
    table.replaceChildren(element("caption", { className: "muted", textContent: nothing }));
    return;
  }
  const heads = columns.map(([title, , classes = ""]) =>
    element("th", { scope: "col", textContent: title, className: classes }));
  const lines = rows.map((row) => element("tr", {}, columns.map((column, at) => cell(column, at, row))));
  table.replaceChildren(
    element("thead", {}, [element("tr", {}, heads)]),
    element("tbody", {}, lines),
  );
}

function cell([title, content, classes = ""], at, row) {
  const [text, more = ""] = [content(row)].flat();
  const properties = { textContent: text, className: `${classes} ${more}`.trim() };
  if (at === 0) return element("th", { ...properties, scope: "row" });
  const made = element("td", properties);
  made.dataset.name = title;
  return made;
}

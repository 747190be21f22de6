// The candle chart and its controls: which series, how many candles, from when.

import { ask } from "./ask.js";
import { drawPrices, small, stepOf } from "./charts.js";
import { byId, element, instant, number, say, seriesName } from "./format.js";

let series = new Map();
let shown = null; // what the chart shows
let latest = true; // whether it follows the latest candle

export function offer(found) {
  series = new Map(found.filter((one) => one.points).map((one) => [seriesName(one), one]));
  const select = byId("series");
  const names = [...series.keys()];
  if (names.join() !== [...select.options].map((option) => option.value).join()) {
    const wanted = select.value || decodeURIComponent(location.hash.slice(1));
    select.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
    if (series.has(wanted)) select.value = wanted;
  }
  if (latest) return toLatest();
}

// `guard` wraps what may fail.
export function connect(guard) {
  const again = () => (latest || !shown?.candles.length ? toLatest() : show(first()));
  byId("count").value = small() ? 60 : 150;
  const since = (event) => event.target.value && show(Date.parse(event.target.value));
  byId("series").onchange = guard(toLatest);
  byId("count").onchange = guard(again);
  byId("since").onchange = guard(since);
  byId("earlier").onclick = guard(() => show(first() - count() * step()));
  byId("later").onclick = guard(() => show(shown.next));
  byId("latest").onclick = guard(toLatest);
}

// The chart of this series from then on, for who chose it in the heat map.
export function choose(row, start) {
  if (!series.has(seriesName(row))) return undefined; // nothing of it is stored yet
  byId("series").value = seriesName(row);
  byId("prices-title").scrollIntoView({ block: "start" });
  return show(start);
}

export const redraw = () => shown && drawPrices(shown);

const chosen = () => byId("series").value;
const count = () => Number(byId("count").value);
const step = () => stepOf(series.get(chosen()).interval);
const first = () => shown.candles[0]?.timestamp ?? series.get(chosen()).last;

function toLatest() {
  const one = series.get(chosen());
  if (!one) {
    say("prices-summary", "No candle is stored yet.");
    return undefined;
  }
  return show(one.last - (count() - 1) * step(), true);
}

async function show(start, follow = false) {
  const one = series.get(chosen());
  if (!one) return;
  const from = Math.max(one.first, Number(start));
  const { source, symbol, interval } = one;
  const query = new URLSearchParams({ source, symbol, interval, cursor: from, limit: count() });
  const found = await ask(`api/prices?${query}`);
  if (chosen() !== seriesName(found)) return; // another was chosen meanwhile
  [shown, latest] = [found, follow];
  history.replaceState(null, "", `#${encodeURIComponent(seriesName(found))}`);
  describe(one);
  await drawPrices(found);
}

function describe(one) {
  const { candles, next } = shown;
  byId("earlier").disabled = !candles.length || candles[0].timestamp <= one.first;
  byId("later").disabled = next === null;
  byId("latest").disabled = latest;
  if (!candles.length) {
    say("prices-summary", `${seriesName(one)} holds nothing from there on.`);
    return;
  }
  const end = candles.at(-1);
  byId("since").value = new Date(candles[0].timestamp).toISOString().slice(0, 10);
  say("prices-summary", `${instant(candles[0].timestamp)} to ${instant(end.timestamp)}, `
    + `${number(candles.length)} of ${number(one.points)} candles, last close ${number(end.close)}`);
}

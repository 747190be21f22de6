// The charts, by plotly.js, in the colours of the page.

import { byId, element } from "./format.js";

const STEPS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5, M: 26784e5 };
const OPTIONS = { displayModeBar: false, responsive: true, scrollZoom: false };

// Milliseconds from one candle to the next; an hour where they come as they come.
export const stepOf = (interval) =>
  interval === "spot" ? STEPS.h : parseInt(interval, 10) * STEPS[interval.at(-1)];

let loading;

// The library is large, so that the figures do not wait for it.
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = element("script", { src: "assets/plotly.min.js" });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the charts' library could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const small = () => window.matchMedia("(max-width: 640px)").matches;

function layout(more) {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false,
    fixedrange: true, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: small() ? 11 : 12, color: colour("muted") },
    margin: { l: 8, r: 8, t: 8, b: 28, pad: 2 },
    dragmode: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"),
      font: { color: colour("text") } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    showlegend: false,
    ...more,
    xaxis: { ...axis, type: "date", nticks: small() ? 4 : 10, hoverformat: "%Y-%m-%d %H:%M",
      ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
    ...(more.yaxis2 && { yaxis2: { ...axis, ...more.yaxis2 } }),
  };
}

async function draw(id, traces, shape, nothing) {
  const place = byId(id);
  const library = await plotly();
  place.querySelector(".empty")?.remove();
  if (traces.every((trace) => !trace.x.length)) {
    library.purge(place);
    place.replaceChildren(element("p", { className: "empty muted", textContent: nothing }));
    return;
  }
  await library.react(place, traces, layout(shape), OPTIONS);
}

const utc = (ms) => new Date(ms).toISOString();

// Points by step, those of all sources together, as stacked bars.
export function drawThroughput(found) {
  const steps = new Map();
  for (const step of found.steps) {
    const sum = steps.get(step.start) ?? { inserted: 0, duplicates: 0, dead: 0 };
    for (const name of Object.keys(sum)) sum[name] += step[name];
    steps.set(step.start, sum);
  }
  const x = [...steps.keys()].map((start) => utc(start + found.step_ms / 2));
  const trace = (name, about, tint) => ({
    type: "bar", name: about, x, y: [...steps.values()].map((sum) => sum[name]),
    marker: { color: colour(tint) }, width: found.step_ms * 0.9, hovertemplate: "%{y:,}",
  });
  const traces = [
    trace("inserted", "stored", "full"), trace("duplicates", "duplicates", "most"),
    trace("dead", "dead letters", "none"),
  ];
  const shape = {
    barmode: "stack", showlegend: true,
    margin: { l: 8, r: 8, t: 26, b: 28, pad: 2 },
    xaxis: { range: [utc(found.start), utc(found.end)] },
    yaxis: { rangemode: "tozero", nticks: 5, tickformat: "~s" },
  };
  return draw("throughput", traces, shape, "Nothing was consumed in this time.");
}

// Candles where the source says open, high and low; a line through the closes where it does not.
export function drawPrices(found) {
  const candles = found.candles;
  const whole = candles.some((one) => one.open !== null);
  const traces = [whole ? bars(candles) : line(candles, stepOf(found.interval))];
  const shape = { xaxis: { rangeslider: { visible: false } }, yaxis: { tickformat: ",~r" } };
  if (candles.some((one) => one.volume !== null)) {
    traces.push(volumes(candles, stepOf(found.interval)));
    shape.xaxis.anchor = "y2";
    shape.yaxis.domain = [0.22, 1];
    shape.yaxis2 = { domain: [0, 0.19], nticks: 3, tickformat: "~s", rangemode: "tozero" };
  }
  return draw("prices", traces, shape, "No candle is stored from here on.");
}

function bars(candles) {
  const of = (name) => candles.map((one) => one[name] ?? one.close);
  const limb = (tint) => ({ line: { color: colour(tint), width: 1.2 }, fillcolor: colour(tint) });
  return {
    type: "candlestick", name: "price", x: candles.map((one) => utc(one.timestamp)),
    open: of("open"), high: of("high"), low: of("low"), close: of("close"),
    increasing: limb("up"), decreasing: limb("down"),
  };
}

function line(candles, step) {
  const x = [], y = [];
  for (const [at, one] of candles.entries()) {
    if (at && one.timestamp - candles[at - 1].timestamp > 1.9 * step) {
      x.push(utc(candles[at - 1].timestamp + step));
      y.push(null); // a hole stays a hole
    }
    x.push(utc(one.timestamp));
    y.push(one.close);
  }
  return { type: "scatter", mode: "lines", name: "close", x, y, connectgaps: false,
    line: { color: colour("accent"), width: 1.6 } };
}

function volumes(candles, step) {
  return {
    type: "bar", name: "volume", yaxis: "y2", width: step * 0.8,
    x: candles.map((one) => utc(one.timestamp)), y: candles.map((one) => one.volume),
    marker: { color: colour("most") }, hovertemplate: "%{y:,.4~r}",
  };
}

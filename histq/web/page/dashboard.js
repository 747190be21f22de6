// Asks for the figures again and again while somebody looks, and shows them.

import { ask } from "./ask.js";
import { drawThroughput } from "./charts.js";
import { byId, bytes, clock, compact, duration, instant, list, number, say, seriesName, share } from "./format.js";
import { connectHeat, drawHeat } from "./heat.js";
import * as prices from "./prices.js";

const OFTEN_MS = 5000;
const SELDOM_MS = 60000;

const last = { throughput: null };

async function figures() {
  const [standing, waiting, { alerts }] = await Promise.all([
    ask("api/health"), ask("api/queue"), ask("api/alerts")]);
  showStanding(standing);
  showQueue(waiting, standing.health.at);
  showAlerts(alerts, standing.ready);
  showDead(waiting.dead_letters);
  showHosts(standing.health.hosts);
  return standing;
}

function showStanding({ ready, checks, environment, version, health }) {
  const state = byId("state");
  state.className = `state ${ready ? "good" : "bad"}`;
  say("state", ready ? "Ready" : "Not ready");
  say("updated", `as of ${clock(health.at)} UTC`);
  say("version", `histq ${version}`);
  say("environment", environment);
  byId("environment").hidden = !environment;
  problems(checks.filter((check) => !check.ok).map((check) => `${check.check}: ${check.why}`));
  const rate = health.failure_rate;
  say("failure-rate", rate === null ? "–" : share(rate));
  byId("tile-failures").classList.toggle("bad", rate > 0.1);
  say("disk-detail", `${bytes(health.disk.free_bytes)} free of ${bytes(health.disk.total_bytes)}`);
}

function problems(lines) {
  const place = byId("problems");
  place.hidden = !lines.length;
  place.replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}

function showQueue({ queue, alert_depth: alertDepth }, now) {
  say("queue-points", number(queue.points));
  const states = ["ready", "leased", "delayed"].filter((name) => queue[name]);
  const parts = states.map((name) => `${number(queue[name])} ${name}`);
  say("queue-detail", queue.messages ? `candles; pages: ${parts.join(", ")}` : "candles: it is empty");
  byId("tile-queue").classList.toggle("bad", queue.points > alertDepth);
  const age = queue.oldest_age_s;
  say("queue-age", age === null ? "–" : duration(age));
  say("queue-age-detail", age === null ? "nothing waits" : `since ${instant(now - age * 1000)}`);
}

function showAlerts(alerts, ready) {
  const nothing = ready ? "Nothing is wrong." : "None so far; what is wrong now stands above.";
  list("alerts", [
    ["Condition", (one) => [one.name, one.severity === "critical" ? "bad" : ""]],
    ["Subject", (one) => one.subject, "wide"],
    ["Since", (one) => instant(one.since), "when"],
    ["What", (one) => one.text, "text wide"],
  ], alerts, nothing);
}

function showDead(letters) {
  const total = letters.reduce((sum, one) => sum + one.letters, 0);
  say("dead-letters", number(total));
  say("dead-detail", total ? "histq dlq list shows them" : "none");
  byId("tile-dead").classList.toggle("bad", total > 0);
  list("dead", [
    ["Series", seriesName],
    ["Letters", (one) => number(one.letters), "number"],
    ["Reason", (one) => one.reason],
    ["Latest", (one) => instant(one.last_at), "when wide"],
    ["Error", (one) => one.error, "text wide"],
  ], letters, "None: everything that came could be stored.");
}

function showHosts(hosts) {
  list("hosts", [
    ["Provider", (one) => `${one.source} ${one.host}`, "text"],
    ["Budget left", (one) => [share(one.left), one.left < 0.1 ? "bad" : ""]],
    ["Silent for", (one) => (one.silent_s ? [duration(one.silent_s), "bad"] : "–")],
    ["Credits left", (one) => one.credits.map(credits).join("; ") || "–", "text"],
  ], hosts, "No provider is asked regularly.");
}

const credits = (one) => `${number(one.left)} of ${number(one.limit)} this ${one.period}`;

async function stored() {
  const [stats, { series }, coverage] = await Promise.all([
    ask("api/stats"), ask("api/series"), ask("api/coverage")]);
  say("database-size", bytes(stats.database.bytes));
  showSeries(series);
  drawHeat(coverage);
  await prices.offer(series);
}

function showSeries(series) {
  const stale = series.filter((one) => one.stale).length;
  const points = series.reduce((sum, one) => sum + one.points, 0);
  say("points", points < 1e7 ? number(points) : compact(points));
  byId("points").title = number(points);
  say("points-detail", `in ${number(series.length)} series${stale ? `, ${stale} stale` : ""}`);
  byId("tile-stored").classList.toggle("bad", stale > 0);
  const worst = (one) => (one.stale ? 2 : one.failed || one.missing ? 1 : 0);
  list("fresh", [
    ["Series", seriesName],
    ["Last candle", (one) => (one.last === null ? "–" : instant(one.last)), "when"],
    ["Late", late],
    ["Candles", (one) => number(one.points), "number"],
    ["Missing", (one) => (one.missing === null ? "–" : number(one.missing)), "number"],
    ["Failed", (one) => [number(one.failed), one.failed ? "bad" : ""], "number"],
  ], [...series].sort((one, other) => worst(other) - worst(one)), "No series is known yet.");
}

function late(one) {
  if (one.late_s === null) return one.stale === null ? "not fetched regularly" : "–";
  return [one.late_s ? duration(one.late_s) : "no", one.stale ? "bad" : ""];
}

async function throughput() {
  const stretch = document.querySelector("input[name=stretch]:checked");
  const found = await ask(`api/throughput?from=${stretch.value}`);
  last.throughput = found;
  const sum = (name) => found.steps.reduce((total, step) => total + step[name], 0);
  const seconds = sum("elapsed_ms") / 1000;
  const rate = seconds ? `, ${number(Math.round(sum("points") / seconds))} a second at work` : "";
  say("throughput-summary", `${number(sum("points"))} candles consumed in`
    + ` ${stretch.nextElementSibling.textContent}${rate}; a bar is ${duration(found.step_ms / 1000)}`);
  await drawThroughput(found);
}

// Whatever fails is said, what is shown stays, and the next round tries again.
function guarded(job) {
  return async (...given) => {
    try {
      return await job(...given);
    } catch (error) {
      byId("state").className = "state bad";
      say("state", "No answer");
      problems([`The server did not answer as it should: ${error.message}`]);
      return undefined;
    }
  };
}

function every(ms, job) {
  const round = async () => {
    if (!document.hidden) await job();
    setTimeout(round, ms);
  };
  return round();
}

prices.connect(guarded);
connectHeat(guarded(prices.choose));
byId("stretch").onchange = guarded(throughput);
window.matchMedia("(prefers-color-scheme: dark)").onchange = () => {
  if (last.throughput) drawThroughput(last.throughput);
  prices.redraw();
};
document.onvisibilitychange = () => document.hidden || guarded(figures)();
every(OFTEN_MS, guarded(figures));
every(SELDOM_MS, guarded(async () => {
  await stored();
  await throughput();
}));

// Asks its own address for JSON again and again, and shows what it says: as text, never as HTML.
"use strict";
const EVERY = 2000, PATIENCE = 3000; // milliseconds
const SEVERITY = { fail: 0, warn: 1, pass: 2 };
const SIGN = { fail: "✖", warn: "▲", pass: "●" };
const COLOR = { fail: "#d03b34", warn: "#c98a1b", pass: "#2c9a59" };
const byId = (id) => document.getElementById(id);

let told, toldAt = Date.now(); // the latest answer
let silent = false, paused = false, asking = false, timer, announced;

async function refresh() {
  if (asking) return;
  clearTimeout(timer);
  asking = true;
  try {
    const answer = await fetch(location.pathname, {
      headers: { Accept: "application/health+json" },
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
    });
    const news = await answer.json(); // whatever its code: 503 is an answer
    if (!news.checks) throw new TypeError("another program answers");
    told = news;
    toldAt = Date.now();
    silent = false;
  } catch {
    silent = true;
  }
  asking = false;
  if (!paused && !document.hidden) timer = setTimeout(refresh, EVERY);
  show();
}

function show() {
  const at = new Date(toldAt).toTimeString().slice(0, 8);
  document.body.classList.toggle("silent", silent);
  byId("silence").hidden = !silent;
  text(byId("silence"), `✖ No answer from the service since ${at}, for ${lasting((Date.now() - toldAt) / 1000)}.`
    + (told ? " Below is what it said last." : ""));
  text(byId("refreshed"), paused ? `Paused at ${at}` : `As of ${at}`);
  byId("told").hidden = !told;
  if (told) showAnswer();
  announce(...(silent ? ["fail", "No answer", "The service is silent."] : judge(told, checksOf(told))));
}

function showAnswer() {
  const checks = checksOf(told), [status, word, reason] = judge(told, checks);
  const [slowest] = [...checks].sort((a, b) => longestOf(b) - longestOf(a));
  text(byId("service"), told.serviceId ?? "Health");
  text(byId("version"), told.version ?? "");
  byId("verdict").dataset.status = status;
  text(byId("verdict").querySelector("b"), word);
  text(byId("verdict").querySelector("b + span"), reason);
  showPairs(byId("figures"), [
    ...Object.entries(told.probes).map(([probe, code]) => {
      const status = code !== 200 ? "fail" : probe === "ready" ? told.status : "pass";
      return [probe, `${SIGN[status]} ${code} ${status}`, status];
    }),
    ["load score", `${told.loadScore.toFixed(2)} of 1`],
    ["asked every", lasting(told.interval)],
    ["draining", told.draining ? "▲ yes" : "no", told.draining && "warn"],
    ["slowest lately", slowest ? `${slowest.name} ${took(longestOf(slowest))}` : "none"],
  ]);
  showChecks(checks);
}

// What matters most: a status, a word, and a sentence without figures, which is news when it changes.
function judge({ probes, draining }, checks) {
  const named = ({ name, error }) => (error ? `${name} (${error})` : name);
  const list = (those) => checks.filter(those).map(named).join(", ");
  const failing = list(({ status }) => status === "fail");
  const warning = list(({ status }) => status === "warn");
  const shaken = list(isShaken), slow = list(isSlow);
  const more = slow ? ` Close to its timeout: ${slow}.` : "";
  if (draining) return ["warn", "Draining", "It takes no new requests and is about to end."];
  if (probes.live !== 200) return ["fail", "Not live", "Its checks have stopped: only a restart mends that."];
  if (probes.startup !== 200) return ["warn", "Starting", `It waits for ${failing || "work of its own"}.${more}`];
  if (failing) return ["fail", "Not ready", `Failing: ${failing}.${more}`];
  if (warning) return ["warn", "Ready, with a warning", `Look at ${warning}.${more}`];
  if (shaken) return ["pass", "Ready, for now", `Failed just now: ${shaken}.${more}`];
  return ["pass", slow ? "Ready, but slow" : "Ready", more.trim() || "Every check passes."];
}

function showChecks(checks) {
  const list = byId("checks"), known = [...list.children];
  const rows = checks.map((check) => {
    const row = known.find(({ dataset }) => dataset.name === check.name) ?? copyOf("check");
    showCheck(row, check);
    return row;
  });
  if (rows.length !== known.length || rows.some((row, index) => row !== known[index])) list.replaceChildren(...rows);
}

function showCheck(row, check) {
  const put = (selector, words) => {
    const node = row.querySelector(selector);
    node.hidden = !words;
    text(node, words);
  };
  const latest = check.attempts ? `${took(check.duration)}, ${ago(check.age)}` : "not checked yet";
  const notes = [
    check.consecutiveFailures > 1 && `${check.consecutiveFailures} failures in a row`,
    check.stale && "nobody has looked for too long",
    isSlow(check) && `slow: close to its timeout of ${took(check.timeout)}`,
    check.impact === "warn" && "a failure only warns",
  ];
  const { lent, capacity, ...others } = check.observedValue, isPool = lent >= 0 && capacity > 0;
  row.dataset.name = check.name;
  row.dataset.status = check.status;
  put(".name", check.name);
  put(".word", check.status);
  put(".since", `for ${lasting(check.since)}`);
  put(".error", check.error ?? "");
  put(".output", check.output);
  put(".note", notes.filter(Boolean).join(" · "));
  put("figcaption", check.attempts > 1 ? `${latest} · longest ${took(longestOf(check))}` : latest);
  row.querySelector(".use").hidden = !isPool;
  if (isPool) showUse(row.querySelector(".use"), lent, capacity);
  showPairs(row.querySelector(".values"), Object.entries(isPool ? others : check.observedValue));
  drawHistory(row.querySelector("svg"), check);
}

function showUse(node, lent, capacity) {
  Object.assign(node.querySelector("meter"), { max: capacity, high: 0.8 * capacity, optimum: 0, value: lent });
  text(node.querySelector("span"), `${lent} of ${capacity} in use`);
}

// A line from the oldest attempt to the newest, up to the longest (10 ms at least); a cross where one failed.
function drawHistory(svg, check) {
  const top = Math.max(0.01, longestOf(check)), oldest = 118 - 2 * (check.history.length - 1);
  const points = check.history.map(([, took, ok], index) => [oldest + 2 * index, 23 - 22 * (took / top), ok]);
  const failed = points.filter(([, , ok]) => !ok);
  const line = points.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  const crosses = failed.map(([x, y]) => `M${x - 1} ${y - 2}l2 4m0 -4l-2 4`).join("");
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".failed").setAttribute("d", crosses);
  svg.setAttribute("aria-label", `Latest attempts: ${points.length}, of which ${failed.length} failed`);
}

function showPairs(list, pairs) {
  while (list.children.length > pairs.length) list.lastElementChild.remove();
  while (list.children.length < pairs.length) list.append(copyOf("pair"));
  pairs.forEach(([name, value, status], index) => {
    const pair = list.children[index], [term, description] = pair.children;
    text(term, name);
    text(description, typeof value === "object" ? JSON.stringify(value) : String(value));
    if (status) pair.dataset.status = status;
    else delete pair.dataset.status;
  });
}

// The title and the icon say it in another tab; a screen reader says it once, and not at every refresh.
function announce(status, word, reason) {
  const news = `${word}. ${reason}`;
  if (news === announced) return;
  announced = news;
  text(byId("news"), news);
  document.title = `${SIGN[status]} ${word}: ${told?.serviceId ?? "Health"}`;
  const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">`
    + `<text y="14" font-size="16" fill="${COLOR[status]}">${SIGN[status]}</text></svg>`;
  document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${encodeURIComponent(icon)}`;
}

// The worst first, then those that may soon be; else in the service's order.
function checksOf({ checks }) {
  const rank = (check) => 2 * SEVERITY[check.status] - (isShaken(check) || isSlow(check));
  return Object.entries(checks).map(([name, [check]]) => ({ name, ...check })).sort((a, b) => rank(a) - rank(b));
}

const longestOf = ({ history }) => Math.max(0, ...history.map(([, took]) => took));
const isShaken = ({ status, error }) => status === "pass" && error !== null;
const isSlow = ({ error, duration, timeout }) => error === null && duration > timeout / 2;
const copyOf = (template) => byId(template).content.firstElementChild.cloneNode(true);

// Nothing is replaced that stays the same: a selection and a reader's place survive a refresh.
function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

const took = (seconds) =>
  seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
const ago = (seconds) => (seconds < 1 ? "just now" : `${lasting(seconds)} ago`);

function lasting(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  text(byId("pause"), paused ? "Resume" : "Pause");
  clearTimeout(timer);
  if (paused) show();
  else refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || paused || refresh());
refresh();

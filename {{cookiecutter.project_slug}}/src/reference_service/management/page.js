// Fetches the JSON of this address again and again, and shows it: as text, never as HTML.
"use strict";
const REFRESH_INTERVAL = 2000, FETCH_TIMEOUT = 3000; // milliseconds
const SEVERITY = { fail: 0, warn: 1, pass: 2 };
const SIGN = { fail: "✖", warn: "▲", pass: "●" };
const COLOR = { fail: "#d03b34", warn: "#c98a1b", pass: "#2c9a59" };
const byId = (id) => document.getElementById(id);

let report, reportedAt = Date.now(); // the latest response
let unreachable = false, paused = false, fetching = false, timer, lastMessage;

async function refresh() {
  if (fetching) return;
  clearTimeout(timer);
  fetching = true;
  try {
    const response = await fetch(location.pathname, {
      headers: { Accept: "application/health+json" },
      cache: "no-store",
      signal: AbortSignal.timeout(FETCH_TIMEOUT),
    });
    const body = await response.json(); // whatever the status code: 503 has a report too
    if (!body.checks) throw new TypeError("another program has responded");
    report = body;
    reportedAt = Date.now();
    unreachable = false;
  } catch {
    unreachable = true;
  }
  fetching = false;
  if (!paused && !document.hidden) timer = setTimeout(refresh, REFRESH_INTERVAL);
  render();
}

function render() {
  const at = new Date(reportedAt).toTimeString().slice(0, 8);
  document.body.classList.toggle("unreachable", unreachable);
  byId("unreachable").hidden = !unreachable;
  setText(byId("unreachable"), `✖ No response since ${at}, for ${formatDuration((Date.now() - reportedAt) / 1000)}.`
    + (report ? " The last report is below." : ""));
  setText(byId("updated"), paused ? `Paused at ${at}` : `Updated at ${at}`);
  byId("report").hidden = !report;
  if (report) renderReport();
  announce(...(unreachable ? ["fail", "No response", "The service does not respond."] : summarize(report, sortChecks(report))));
}

function renderReport() {
  const checks = sortChecks(report), [status, headline, reason] = summarize(report, checks);
  const [slowest] = [...checks].sort((a, b) => longestOf(b) - longestOf(a));
  setText(byId("service"), report.serviceId ?? "Health");
  setText(byId("version"), report.version ?? "");
  byId("summary").dataset.status = status;
  setText(byId("summary").querySelector("b"), headline);
  setText(byId("summary").querySelector("b + span"), reason);
  renderPairs(byId("overview"), [
    ...Object.entries(report.probes).map(([probe, code]) => {
      const status = code !== 200 ? "fail" : probe === "ready" ? report.status : "pass";
      return [probe, `${SIGN[status]} ${code} ${status}`, status];
    }),
    ["requests in the last 10 s", ...describeTraffic(report)],
    ["load score", `${report.loadScore.toFixed(2)} of 1`],
    ["check interval", formatDuration(report.interval)],
    ["draining", report.draining ? "▲ yes" : "no", report.draining && "warn"],
    ["slowest recent attempt", slowest ? `${slowest.name} ${formatLatency(longestOf(slowest))}` : "none"],
  ]);
  renderChecks(checks);
}

// What matters most: a status, a headline, and a sentence. No numbers: a new text is a new message.
function summarize({ probes: { startup, live }, draining }, checks) {
  const describe = ({ name, error }) => (error ? `${name} (${error})` : name);
  const list = (matches) => checks.filter(matches).map(describe).join(", ");
  const failing = list(({ status }) => status === "fail");
  const warning = list(({ status }) => status === "warn");
  const flapping = list(isFlapping), slow = list(isSlow);
  const more = slow ? ` Close to the timeout: ${slow}.` : "";
  if (draining) return ["warn", "Draining", "The service is shutting down."];
  if (live !== 200) return ["fail", "Not live", "The checks no longer run. Only a restart fixes that."];
  if (startup !== 200) return ["warn", "Starting", `Waiting for ${failing || "the application's own start-up work"}.${more}`];
  if (failing) return ["fail", "Not ready", `Failing: ${failing}.${more}`];
  if (warning) return ["warn", "Ready, with warnings", `Warning: ${warning}.${more}`];
  if (flapping) return ["pass", "Ready, but unstable", `Latest attempt failed: ${flapping}.${more}`];
  return ["pass", slow ? "Ready, but slow" : "Ready", more.trim() || "All checks pass."];
}

function renderChecks(checks) {
  const list = byId("checks"), current = [...list.children];
  const rows = checks.map((check) => {
    const row = current.find(({ dataset }) => dataset.name === check.name) ?? cloneTemplate("check");
    renderCheck(row, check);
    return row;
  });
  if (rows.length !== current.length || rows.some((row, index) => row !== current[index])) list.replaceChildren(...rows);
}

function renderCheck(row, check) {
  const fill = (selector, text) => {
    const node = row.querySelector(selector);
    node.hidden = !text;
    setText(node, text);
  };
  const latest = check.attempts ? `${formatLatency(check.duration)}, ${formatAge(check.age)}` : "not checked yet";
  const notes = [
    check.consecutiveFailures > 1 && `${check.consecutiveFailures} consecutive failures`,
    check.stale && "stale: the next attempt is overdue",
    isSlow(check) && `slow: close to the timeout of ${formatLatency(check.timeout)}`,
    check.impact === "warn" && `a failure is only a warning: ${check.impactReason}`,
  ];
  const { in_use: inUse, max, ...others } = check.observedValue, hasUsage = inUse >= 0 && max > 0;
  row.dataset.name = check.name;
  row.dataset.status = check.status;
  fill(".name", check.name);
  fill(".status", check.status);
  fill(".since", `for ${formatDuration(check.since)}`);
  fill(".error", check.error ?? "");
  fill(".output", check.output);
  fill(".note", notes.filter(Boolean).join(" · "));
  fill("figcaption", check.attempts > 1 ? `${latest} · longest ${formatLatency(longestOf(check))}` : latest);
  row.querySelector(".usage").hidden = !hasUsage;
  if (hasUsage) {
    Object.assign(row.querySelector("meter"), { max, high: 0.8 * max, optimum: 0, value: inUse });
    setText(row.querySelector(".usage span"), `${inUse} of ${max} in use`);
  }
  renderPairs(row.querySelector(".values"), Object.entries(hasUsage ? others : check.observedValue));
  drawHistory(row.querySelector("svg"), check);
}

// A line from the oldest attempt to the newest. Its full height is the longest duration, at least 10 ms.
// A cross marks each failed attempt.
function drawHistory(svg, check) {
  const top = Math.max(0.01, longestOf(check)), oldest = 118 - 2 * (check.history.length - 1);
  const points = check.history.map(([, duration, passed], index) => [oldest + 2 * index, 23 - 22 * (duration / top), passed]);
  const failed = points.filter(([, , passed]) => !passed);
  const line = points.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  const crosses = failed.map(([x, y]) => `M${x - 1} ${y - 2}l2 4m0 -4l-2 4`).join("");
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".failed").setAttribute("d", crosses);
  svg.setAttribute("aria-label", `Latest attempts: ${points.length}, of which ${failed.length} failed`);
}

function renderPairs(list, pairs) {
  while (list.children.length > pairs.length) list.lastElementChild.remove();
  while (list.children.length < pairs.length) list.append(cloneTemplate("pair"));
  pairs.forEach(([name, value, status], index) => {
    const pair = list.children[index], [term, description] = pair.children;
    setText(term, name);
    setText(description, typeof value === "object" ? JSON.stringify(value) : String(value));
    if (status) pair.dataset.status = status;
    else delete pair.dataset.status;
  });
}

// Updates the title and the icon, which show in another tab. A screen reader reads each message once.
function announce(status, headline, reason) {
  const message = `${headline}. ${reason}`;
  if (message === lastMessage) return;
  lastMessage = message;
  setText(byId("announcement"), message);
  document.title = `${SIGN[status]} ${headline}: ${report?.serviceId ?? "Health"}`;
  const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">`
    + `<text y="14" font-size="16" fill="${COLOR[status]}">${SIGN[status]}</text></svg>`;
  document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${encodeURIComponent(icon)}`;
}

// The worst first. Within a status, slow and flapping checks first, else in the order of the report.
function sortChecks({ checks }) {
  const rank = (check) => 2 * SEVERITY[check.status] - (isFlapping(check) || isSlow(check));
  return Object.entries(checks).map(([name, [check]]) => ({ name, ...check })).sort((a, b) => rank(a) - rank(b));
}

// The outcome of real traffic, which the check "requests" counts.
function describeTraffic({ checks: { requests } }) {
  if (!requests) return ["not counted"];
  const [{ status, observedValue: { requests: total = 0, failed = 0 } }] = requests;
  return [failed ? `${SIGN[status]} ${failed} of ${total} failed` : `${total}, none failed`, status !== "pass" && status];
}

const longestOf = ({ history }) => Math.max(0, ...history.map(([, duration]) => duration));
const isFlapping = ({ status, error }) => status === "pass" && error !== null;
const isSlow = ({ error, duration, timeout }) => error === null && duration > timeout / 2;
const cloneTemplate = (id) => byId(id).content.firstElementChild.cloneNode(true);

// Leaves unchanged text alone, so that a selection and the reading position survive a refresh.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const formatLatency = (seconds) =>
  seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
const formatAge = (seconds) => (seconds < 1 ? "just now" : `${formatDuration(seconds)} ago`);

function formatDuration(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  setText(byId("pause"), paused ? "Resume" : "Pause");
  clearTimeout(timer);
  if (paused) render();
  else refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || paused || refresh());
refresh();

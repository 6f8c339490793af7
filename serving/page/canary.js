// The canary beside production: its share, what both arms failed, how far it is from its end, and
// what it has yet to show before its next step.

import { byId, el, empty, moment, number, renew, versionName } from "./dom.js";

export function showCanary(canary, rollout) {
  const section = byId("canary");
  section.hidden = !canary;
  if (!canary) return empty(section);
  renew(section, [canary, rollout, Math.floor(Date.now() / 30_000)], () => [
    el("header", { class: "head" }, el("h2", { id: "canary-title" }, "Canary"), rollout?.state && el("ul", { class: "tags" }, el("li", { class: STATES.get(rollout.state) ?? "" }, rollout.state))),
    el("p", {}, headline(canary), ...step(canary, rollout)),
    rollout?.reason && el("p", { class: "lead" }, `${rollout.reason[0].toUpperCase()}${rollout.reason.slice(1)}.`),
    canary.counts && el("dl", { class: "facts" }, facts(canary).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    canary.counts && el("div", { class: "checks" }, against(canary), rollout && forNextStep(canary, rollout)),
    canary.warning && el("p", { class: "notice warn" }, canary.warning),
  ].filter(Boolean));
}

const STATES = new Map([["running", "good"], ["holding", "warn"], ["paused", "warn"], ["aborted", "bad"]]);

function headline({ version, percent, ready, problem }) {
  if (problem) return problem;
  return ready ? `${versionName(version)} answers ${percent} % of the callers.` : `${versionName(version)} is being loaded.`;
}

function step({ ready }, rollout) {
  if (!ready || !rollout) return [];
  if (!rollout.step) return [" It was set by hand: no rollout takes the next step."];
  return [` Step ${rollout.step.number} of ${rollout.step.of}, begun `, moment(rollout.step.since, false), "."];
}

const whole = (value) => Math.floor(value).toLocaleString("en");
const failed = ({ requests, failures }) => `${number(failures, 9)} of ${number(requests, 9)} requests`;

function facts({ counts }) {
  return [["Failed by the canary", failed(counts.canary)], ["Failed by production", failed(counts.production)]];
}

/** How far the canary is from its end, which failures bring about. */
function against({ abort }) {
  if (!abort) return part("What would end it", el("p", {}, "No number of failures: there is no production beside it to compare with."));
  const { failures, at, one_of, limit } = abort;
  const more = Math.max(0, at - failures);
  return part("What would end it",
    el("p", {}, `${whole(more)} ${more === 1 ? "failure" : "failures"} more than production's would be needed. A caller counts once.`),
    bar("Failures on the way to the canary's end", failures, at, "against"),
    el("small", {}, one_of > 1
      ? `${failures} of about ${at} failures that would end it. A version as good as production looks this bad in at most 1 of ${whole(one_of)} rollouts; 1 of ${whole(limit)} ends it.`
      : `${failures} of about ${at} failures that would end it.${failures ? " That may still be chance." : ""}`));
}

/** What is shown, and what is to be shown, before the canary gets more callers. */
function forNextStep({ percent }, { next, checks, decision, servers, step: driven }) {
  const goal = next >= 100 ? "production" : `${next} %`;
  const shown = driven ? `All of it is shown: ${goal} comes next.` : `All of it is shown. “cloche rollout” would take the step to ${goal}.`;
  return part(`What it takes until ${goal}`,
    el("p", {}, decision === "advance" ? shown : decision === "abort" ? "It fails too often, and is to be ended." : `It stays at ${percent} % until all of this is shown.`),
    el("ul", {}, checks.map(check)),
    el("small", {}, `Counted by ${servers === 1 ? "1 server" : `${whole(servers)} servers`}.`));
}

const UNITS = new Map([["failures", "requests"], ["slow", "requests"], ["requests", "requests"], ["minutes", "minutes"]]);

const CLAIMS = new Map([
  ["failures", "It fails no more often than allowed"],
  ["slow", "It is slow no more often than allowed"],
  ["requests", "It has had enough requests"],
  ["minutes", "It has had enough time"],
  ["callers", "The callers are not divided as the share says: a router or a cache before the server may treat the arms differently"],
]);

function check({ name, done, needed, passed }) {
  const about = name === "failures" || name === "slow" ? "about" : "at least";
  const left = needed === null
    ? done ? "cannot be shown at these rates" : "nothing is measured yet"
    : `${whole(done)} of ${about} ${whole(needed)} ${UNITS.get(name)}`;
  return el("li", {},
    el("span", { class: `sign ${passed ? "good" : "calm"}`, "aria-hidden": "true" }, passed ? "✓" : name === "callers" ? "✗" : "…"),
    el("span", {}, CLAIMS.get(name), name === "callers" ? "." : passed ? ": shown." : `: ${left}.`),
    !passed && needed !== null && bar(CLAIMS.get(name), done, needed));
}

const part = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);
const bar = (label, value, max, kind = "") => el("meter", { class: kind, min: 0, max, value, "aria-label": label });

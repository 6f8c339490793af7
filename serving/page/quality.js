// What `cloche monitor` found: quality by day, how much of it is known, drift, and the last alarm.

import { ago, byId, el, number, renew } from "./dom.js";
import { QualityChart } from "./quality_chart.js";

/** What each metric says, for who knows no statistics. */
const MEANINGS = new Map([
  ["roc_auc", "how well scores tell the classes apart (1 is perfect, 0.5 is guessing)"],
  ["average_precision", "how far the rows that it looks for come before the others (1 is perfect)"],
  ["log_loss", "how far the probabilities are from what happened (0 is perfect)"],
  ["brier", "how far the probabilities are from what happened (0 is perfect)"],
  ["accuracy", "the share of right answers"],
  ["balanced_accuracy", "the share of right answers, if all classes were as frequent"],
  ["f1", "misses and false alarms in one number (1 is perfect)"],
  ["precision", "how many of those that it names are right (1 is all)"],
  ["recall", "how many of those that are there it finds (1 is all)"],
  ["r2", "how much of the differences between rows it predicts (1 is all)"],
  ["mae", "the average error (0 is perfect)"],
  ["rmse", "the typical error, in which large ones count more (0 is perfect)"],
  ["mape", "the average error as a part of the true value (0 is perfect)"],
]);

export function showQuality(model, series) {
  const section = byId("quality");
  const { history, monitor, monitor_command: command } = model;
  section.hidden = !monitor && !command;
  if (section.hidden) return;
  const promoted = (history ?? []).filter((one) => one.promoted_at).map(({ version, promoted_at: at }) => ({ version, at }));
  const key = [model.name, monitor, command, promoted, series.versions, section.clientWidth, Math.floor(Date.now() / 3_600_000)];
  renew(section, key, () => [heading(monitor), ...(monitor ? found(monitor, promoted, series, section) : [none(command)])]);
}

function heading(monitor) {
  const title = el("h2", { id: "quality-title" }, "Quality");
  if (!monitor) return el("header", { class: "head" }, title);
  const { alarms } = monitor;
  const mark = alarms ? el("li", { class: "bad" }, alarms === 1 ? "1 alarm" : `${alarms} alarms`) : el("li", { class: "good" }, "no alarm");
  return el("header", { class: "head" }, title, el("ul", { class: "tags", "aria-label": "Alarms" }, mark));
}

const none = (command) => el("p", { class: "empty" }, "Predictions are logged, and nothing has compared them with what was true yet. Type ", el("code", {}, command), ".");

function found(monitor, promoted, series, section) {
  const { versions } = monitor;
  const order = [...new Set([...series.versions, ...versions.map((one) => one.version)])];
  const kind = (version) => `v${Math.max(0, order.indexOf(version)) % 4}`;
  const metrics = [...new Set(versions.map((one) => one.metric))].filter(Boolean);
  const charts = metrics.map((metric) => new QualityChart(metric, versions.filter((one) => one.metric === metric), promoted, kind));
  const width = Math.max(200, section.clientWidth - 2 * parseFloat(getComputedStyle(section).paddingLeft));
  return [
    alarm(monitor),
    ...charts.map((chart) => el("figure", {}, el("figcaption", {}, el("h3", {}, chart.title), reading(chart)), chart.draw(width), chart.legend(), chart.table())),
    ...versions.filter((one) => !one.metric).map((one) => el("p", { class: "empty" }, `Version ${one.version} says nothing of how it is measured: only its rows were counted.`)),
    ...versions.filter((one) => one.drift_day && one.days.at(-1)?.day === monitor.last_day).map(drift),
  ];
}

/** The last alarm, or since when there is none, with the run that says more. */
function alarm({ alarms, alarm: first, last_alarm_day: last, first_day: begin, last_day: end, text, run_id: id, link }) {
  const short = el("code", {}, id.slice(0, 8));
  const run = [" Run ", link ? el("a", { href: link, rel: "noreferrer" }, short) : short, ", ", ago(endOf(end)), "."];
  if (first) {
    const others = alarms > 1 ? ` ${alarms === 2 ? "1 more alarm is" : `${alarms - 1} more alarms are`} in the run.` : "";
    return el("p", { class: "notice bad" }, `Since ${dayOf(first.first_day)}: ${first.text}${others}`, ...run);
  }
  if (!begin) return el("p", { class: alarms ? "notice bad" : "lead" }, text, ...run);
  const since = last ? `No alarm since ${dayOf(last)}, on which the last one ended.` : `No alarm since ${dayOf(begin)}, the first day that was looked at.`;
  return el("p", { class: "lead" }, `${since} The last day is ${dayOf(end)}.`, ...run);
}

/** The last day with all its labels, beside what is usual. */
function reading({ metric, versions }) {
  const measured = versions.flatMap((one) => one.days.filter((day) => day.value !== null && !day.unfinished).map((day) => ({ ...day, ...one.usual, version: one.version })));
  const last = measured.reduce((found, day) => (found && found.day > day.day ? found : day), null);
  const meaning = MEANINGS.get(metric);
  const waiting = new Set(versions.flatMap((one) => one.days.map(({ day }) => day)).filter((day) => last && day > last.day)).size;
  const late = waiting ? ` ${waiting === 1 ? "1 later day waits" : `${waiting} later days wait`} for labels.` : "";
  const says = el("p", { class: "hint" }, `${metric} is ${meaning ?? "the metric of the recipe"}.${late}`);
  if (!last) return [el("p", {}, "No day has enough labels yet."), says];
  const range = last.low === null ? "" : `, usually ${number(last.low)} to ${number(last.high)}`;
  return [el("p", { class: "value" }, number(last.value), el("small", {}, ` on ${dayOf(last.day)}, version ${last.version}${range}`)), says];
}

function drift({ version, drift_day: day, drift: columns, more_drift: more }) {
  const title = el("h3", {}, `Inputs and scores of version ${version} on ${dayOf(day)}`);
  if (!columns.length) return el("section", {}, title, el("p", {}, "None of them differs from its training more than the days of the training did."));
  return el("section", {}, title,
    el("p", {}, "These differ from the training. A single day may be chance or a holiday; two of three days are an alarm."),
    el("ul", { class: "drift" }, columns.map(({ name, limits, label, before, after }) => el("li", {},
      el("strong", {}, name), `: ${percent(after)} of the rows have “${label}”${before === null ? "" : `, in training ${percent(before)}`}; ${number(limits)} times its limit.`))),
    more > 0 && el("p", { class: "empty" }, `And ${more} more in the run.`));
}

const percent = (share) => `${number(100 * share, 2)} %`;
const endOf = (day) => new Date(Date.parse(`${day}T00:00Z`) + 86_400_000);
export const dayOf = (day) => new Date(`${day}T00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

// One metric by day: a line for each version, what is usual for it, promotions, and below it the
// share of rows whose labels are known.

import { el, number, svg } from "./dom.js";

const DAY = 86_400_000;
const [LEFT, RIGHT, TOP] = [44, 6, 16]; // pixels
const [TALL, SPACE, SHORT, BOTTOM] = [150, 20, 34, 18]; // the metric, between, the share, the days

export class QualityChart {
  /** `versions` as the server tells them, `promoted` as [{version, at}], `kind` the colour of a version. */
  constructor(metric, versions, promoted, kind) {
    Object.assign(this, { metric, versions, kind });
    this.title = `${metric}, day by day`;
    const days = versions.flatMap((one) => one.days.map(({ day }) => time(day)));
    [this.from, this.to] = [Math.min(...days), Math.max(...days) + DAY];
    this.promoted = promoted.filter(({ at }) => Date.parse(at) >= this.from && Date.parse(at) < this.to).sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    this.scale();
  }

  /** The range of values, and the round numbers in it. */
  scale() {
    const values = this.versions.flatMap(({ usual, days }) => [usual.low, usual.high, ...days.flatMap((day) => [day.value, day.low, day.high])]).filter((value) => value !== null);
    const [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const size = Math.max(Math.abs(least), Math.abs(most));
    const room = Math.max(0.06 * (most - least), 0.01 * size) || 1; // values that hardly differ are no mountains
    [this.low, this.high] = [least - room, most + room];
    const rough = (this.high - this.low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
    this.ticks = [];
    for (let at = Math.ceil(this.low / step); at * step <= this.high; at++) this.ticks.push(at * step + 0); // no -0
  }

  draw(width) {
    const height = TOP + TALL + SPACE + SHORT + BOTTOM;
    const right = width - RIGHT;
    this.x = (at) => LEFT + ((right - LEFT) * (at - this.from)) / (this.to - this.from);
    this.y = (value) => TOP + TALL * (1 - (value - this.low) / (this.high - this.low));
    const ground = TOP + TALL + SPACE + SHORT;
    const half = (this.x(this.from + DAY) - LEFT) / 2;
    return svg("svg", { class: "quality", width, height, role: "img", "aria-label": this.words() },
      this.versions.flatMap((one) => this.alarms(one, half)),
      this.ticks.map((value) => gridline(this.y(value), right, number(value, 4))),
      gridline(ground - SHORT, right, "100 %"), gridline(ground, right, "0 %", "base"),
      this.days().map((day) => svg("text", { x: this.x(day) + half, y: height - 3, class: "tick", "text-anchor": "middle" }, dayText(day))),
      this.versions.map((one) => this.version(one, half, ground)),
      this.promoted.map((one) => this.promotion(one, ground, right)));
  }

  /** The days that are named: the first, the last and the one between. */
  days() {
    const count = (this.to - this.from) / DAY;
    return [...new Set([0, count > 4 ? Math.floor(count / 2) : 0, count - 1])].map((day) => this.from + day * DAY);
  }

  /** The days that raised an alarm. */
  alarms({ days }, half) {
    return days.filter((day) => day.alarm).map(({ day }) => svg("rect", { class: "alarmed", x: this.x(time(day)), width: 2 * half, y: TOP, height: TALL }));
  }

  version({ version, usual, days }, half, ground) {
    const x = ({ day }) => this.x(time(day)) + half;
    const measured = days.filter((day) => day.value !== null);
    const finished = measured.filter((day) => !day.unfinished);
    return svg("g", { class: this.kind(version) },
      usual.low !== null && days.length && svg("rect", { class: "usual", x: x(days[0]) - half, width: x(days.at(-1)) - x(days[0]) + 2 * half, y: this.y(usual.high), height: this.y(usual.low) - this.y(usual.high) }),
      measured.filter((day) => day.low !== null).map((day) => svg("line", { class: "chance", x1: x(day), x2: x(day), y1: this.y(day.high), y2: this.y(day.low) })),
      svg("path", { class: "line", d: finished.map((day, at) => `${at && time(day.day) - time(finished[at - 1].day) === DAY ? "L" : "M"}${x(day).toFixed(1)} ${this.y(day.value).toFixed(1)}`).join("") }),
      measured.map((day) => svg("circle", { class: day.unfinished ? "unfinished" : "measured", cx: x(day), cy: this.y(day.value), r: 3 })),
      days.filter((day) => day.labelled).map((day) => this.bar(version, day, x(day), Math.min(1.2 * half, 18), ground)));
  }

  /** The share of a day's rows that have labels; versions that share a day stand side by side. */
  bar(version, { day, labelled }, x, width, ground) {
    const beside = this.versions.filter(({ days }) => days.some((one) => one.day === day)).map((one) => one.version);
    const height = SHORT * Math.min(1, labelled);
    return svg("rect", { class: "labelled", x: x + width * (beside.indexOf(version) / beside.length - 0.5), width: width / beside.length, y: ground - height, height });
  }

  promotion({ version, at }, ground, right) {
    const x = this.x(Date.parse(at));
    const late = x > right - 84;
    return svg("g", { class: `mark ${this.kind(version)}` },
      svg("line", { x1: x, x2: x, y1: 4, y2: ground }),
      svg("text", { x: x + (late ? -4 : 4), y: 11, "text-anchor": late ? "end" : "start" }, `v${version} promoted`));
  }

  legend() {
    const unfinished = this.versions.some(({ days }) => days.some((day) => day.unfinished && day.value !== null));
    const alarmed = this.versions.some(({ days }) => days.some((day) => day.alarm));
    const usual = this.versions.find((one) => one.usual.low !== null)?.usual;
    return el("div", { class: "explained" },
      el("ul", { class: "legend" }, this.versions.map(({ version }) => el("li", {}, el("span", { class: `swatch ${this.kind(version)}`, "aria-hidden": "true" }), `version ${version}`))),
      el("small", {}, [
        "A dot is a day (UTC), and the thin line through it is how far chance alone may move it.",
        usual && (usual.of_days ? "Shaded is where 95 of 100 days of its test lay." : "Shaded is what chance leaves open of its test as a whole; days differ more."),
        unfinished && "Hollow dots are days whose labels have mostly not arrived: they mean little yet.",
        alarmed && "Red days are those of an alarm.",
        "Bars below are the share of the day’s rows whose truth is known.",
      ].filter(Boolean).join(" ")));
  }

  words() {
    const told = this.versions.map(({ version, days, usual }) => {
      const values = days.filter((day) => day.value !== null && !day.unfinished);
      if (!values.length) return `version ${version} has no day with enough labels`;
      const all = values.map((day) => day.value);
      const range = usual.low === null ? "" : `, usually ${number(usual.low)} to ${number(usual.high)}`;
      return `version ${version} ${number(all.at(-1))} on ${dayText(time(values.at(-1).day))}, between ${number(Math.min(...all))} and ${number(Math.max(...all))}${range}`;
    });
    const promoted = this.promoted.map(({ version, at }) => `version ${version} was promoted on ${dayText(Date.parse(at))}`);
    return `${this.title}: ${[...told, ...promoted].join("; ")}.`;
  }

  table() {
    const rows = this.versions.flatMap(({ version, days }) => days.map((day) => ({ version, ...day }))).sort((a, b) => b.day.localeCompare(a.day) || b.version.localeCompare(a.version));
    return el("details", {}, el("summary", {}, "As a table"),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${this.title}, as a table` }, el("table", {},
        el("caption", { class: "hidden" }, this.title),
        el("thead", {}, el("tr", {}, ["Day", "Version", "Rows", "Labelled", this.metric, "By chance"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map(({ day, version, rows: count, labelled, value, low, high, unfinished }) => el("tr", {},
          el("th", { scope: "row" }, dayText(time(day))),
          [version, count.toLocaleString("en"), labelled === null ? "–" : `${number(100 * labelled, 3)} %${unfinished ? ", unfinished" : ""}`, number(value), low === null ? "–" : `${number(low)} to ${number(high)}`].map((text) => el("td", {}, text))))))));
  }
}

const time = (day) => Date.parse(`${day}T00:00Z`);
const dayText = (at) => new Date(at).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

function gridline(y, right, text, kind = "grid") {
  return svg("g", {},
    svg("line", { x1: LEFT, x2: right, y1: y, y2: y, class: kind }),
    svg("text", { x: LEFT - 5, y: y + 3.5, class: "tick", "text-anchor": "end" }, text));
}

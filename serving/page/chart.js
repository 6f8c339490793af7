// Line charts of the last minutes: a value in words, a drawing, and the same as a table.

import { clock, el, number, svg } from "./dom.js";

const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [124, 38, 4, 16, 18]; // pixels
const [SHORTEST, LONGEST] = [60_000, 300_000]; // milliseconds from the left end to the right
const GAP = 3 * 5_000;
const ROWS = 12;

/** One chart: `lines(samples, series)` gives [{label, kind, value: (sample) => number or null}]. */
export class Chart {
  constructor({ title, unit, lines, headline, format = number, empty, counts = false }) {
    Object.assign(this, { title, unit, lines, headline, format, empty, counts });
    this.value = el("p", { class: "value" }, "–");
    this.drawing = svg("svg", { height: HEIGHT, role: "img", "aria-label": title });
    this.legend = el("ul", { class: "legend" });
    this.table = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}: the last looks` });
    this.details = el("details", { ontoggle: () => this.tabulate() }, el("summary", {}, "As a table"), this.table);
    this.element = el("figure", { class: "card chart" },
      el("figcaption", {}, el("h2", {}, title), this.value), this.drawing, this.legend, this.details);
  }

  draw(series, now) {
    this.series = series;
    this.now = now;
    const { samples } = series;
    const [large, small] = samples.length ? this.headline(samples.at(-1)) : ["–", ""];
    this.value.replaceChildren(large, el("small", {}, small));
    const span = Math.min(LONGEST, Math.max(SHORTEST, now - (samples[0]?.time ?? now)));
    const width = this.drawing.clientWidth || 280;
    const shown = samples.filter((one) => one.time >= now - span);
    const lines = this.lines(series);
    const values = lines.flatMap((line) => shown.map(line.value)).filter((value) => value !== null);
    const most = Math.max(0, ...values);
    const top = nice(this.counts ? Math.max(2, most) : most);
    const idle = most === 0;
    const x = (time) => LEFT + (width - LEFT - RIGHT) * (1 - (now - time) / span);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    this.drawing.replaceChildren(
      ...(idle ? [0] : [0, top / 2, top]).map((value) => this.gridline(value, y(value), width)),
      ...[minutes(span), "now"].map((text, end) => svg("text", { x: end ? width - RIGHT : LEFT, y: HEIGHT - 3, class: "tick", "text-anchor": end ? "end" : "start" }, text)),
      ...this.marks(series.swaps.filter((swap) => swap.time > now - span), series, x, width),
      ...lines.map((line) => svg("path", { class: `line ${line.kind}`, d: path(shown, line.value, x, y) })),
      ...(idle ? [svg("text", { x: (LEFT + width) / 2, y: HEIGHT / 2, class: "idle", "text-anchor": "middle" }, this.empty)] : []),
    );
    this.legend.replaceChildren(...lines.map((line) => el("li", {}, el("span", { class: `swatch ${line.kind}`, "aria-hidden": "true" }), line.label)));
    this.drawing.setAttribute("aria-label", this.words(lines, shown));
    this.tabulate();
  }

  gridline(value, y, width) {
    return svg("g", {},
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: value ? "grid" : "base" }),
      svg("text", { x: LEFT - 5, y: y + 3.5, class: "tick", "text-anchor": "end" }, this.format(value)));
  }

  /** Where another version took over. */
  marks(swaps, { versions }, x, width) {
    return swaps.map(({ time, version }) => {
      const kind = `v${versions.indexOf(version) % 4}`;
      const late = x(time) > width - 40;
      return svg("g", { class: `mark ${kind}` },
        svg("line", { x1: x(time), x2: x(time), y1: 4, y2: HEIGHT - BOTTOM }),
        svg("text", { x: x(time) + (late ? -4 : 4), y: 11, "text-anchor": late ? "end" : "start" }, `v${version}`));
    });
  }

  words(lines, shown) {
    if (!shown.length) return `${this.title}: nothing was seen yet.`;
    const told = lines.map((line) => {
      const values = shown.map(line.value).filter((value) => value !== null);
      if (!values.length) return `${line.label} none`;
      return `${line.label} ${this.format(values.at(-1))}, at most ${this.format(Math.max(...values))}`;
    });
    return `${this.title}, ${this.unit}, lately: ${told.join("; ")}.`;
  }

  tabulate() {
    if (!this.details.open || !this.series) return;
    const lines = this.lines(this.series);
    const rows = this.series.samples.slice(-ROWS).reverse();
    this.table.replaceChildren(el("table", {},
      el("caption", { class: "hidden" }, `${this.title}, ${this.unit}`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), lines.map((line) => el("th", { scope: "col" }, line.label)))),
      el("tbody", {}, rows.map((one) => el("tr", {},
        el("th", { scope: "row" }, clock(new Date(one.time))),
        lines.map((line) => el("td", {}, line.value(one) === null ? "–" : this.format(line.value(one)))))))));
  }
}

function path(samples, value, x, y) {
  let [text, before] = ["", null];
  for (const one of samples) {
    const found = value(one);
    if (found === null) { before = null; continue; }
    const joined = before !== null && !one.broken && one.time - before.time < GAP;
    text += `${joined ? "L" : "M"}${x(one.time).toFixed(1)} ${y(found).toFixed(1)}`;
    if (!joined) text += "h.01"; // a single look is a dot
    before = one;
  }
  return text;
}

const minutes = (span) => (span < 90_000 ? `${Math.round(span / 1000)} s ago` : `${Math.round(span / 60_000)} min ago`);

/** The next round number: 1, 2 or 5 times a power of ten. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

// The charts over time, drawn by uPlot.

import { duration, number, time } from "./format.js";

const PHASES = ["blocked", "dns", "connecting", "tls handshaking", "sending", "waiting", "receiving"];
// Shortest time that a chart shows, in seconds.
const SHORTEST = 20;
const SYNC = "golo";

const line = (column, label, colour, options = {}) => ({ column, label, colour, ...options });

const CHARTS = [
  {
    id: "chart-requests", format: number, unit: "/s",
    lines: [
      line("requests", "requests", "--p50", { fill: true }),
      line("failed", "failed", "--bad", { fill: true, isQuiet: true }),
      line("asked", "asked starts", "--soft", { dash: [4, 4], ifAny: true }),
      line("dropped", "dropped starts", "--warning", { ifAny: true }),
    ],
  },
  {
    id: "chart-latency", format: duration, unit: "", log: true,
    lines: [line("p50", "p50", "--p50"), line("p95", "p95", "--p95"), line("p99", "p99", "--p99")],
  },
  { id: "chart-users", format: number, unit: "", lines: [line("users", "users", "--p90", { fill: true })] },
  {
    id: "chart-phases", format: duration, unit: "", stacked: true,
    lines: PHASES.map((phase, at) => line(phase, phase, `--phase${at + 1}`, { ifAny: true })),
  },
];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Makes a colour transparent. Colours are #rrggbb.
const faint = (value, share) => value + Math.round(share * 255).toString(16).padStart(2, "0");

class Chart {
  constructor(about, marks) {
    this.about = about;
    this.figure = document.getElementById(about.id);
    this.host = this.figure.querySelector(".chart");
    this.legend = this.figure.querySelector(".legend");
    this.hidden = new Set();
    this.marks = marks;
    this.values = about.lines.map(() => null);
    this.items = about.lines.map((line, at) => this.item(line, at));
    this.legend.replaceChildren(...this.items.map(({ node }) => node));
    new ResizeObserver(() => this.resize()).observe(this.host);
  }

  item(line, at) {
    const value = document.createElement("b");
    const swatch = document.createElement("i");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(swatch, line.label, " ", value);
    button.addEventListener("click", () => {
      const isShown = this.hidden.delete(at) || !this.hidden.add(at);
      button.setAttribute("aria-pressed", String(isShown));
      this.show();
    });
    const node = document.createElement("li");
    node.append(button);
    return { node, value, swatch };
  }

  // Builds the chart anew: at the beginning, and when the colours change.
  build() {
    const { about } = this;
    this.plot?.destroy();
    const [ink, grid] = [colour("--soft"), colour("--grid")];
    const font = "12px system-ui, sans-serif";
    const series = about.lines.map((line, at) => {
      const stroke = colour(line.colour);
      this.items[at].swatch.style.background = stroke;
      const fill = about.stacked ? faint(stroke, 0.75) : line.fill ? faint(stroke, 0.12) : undefined;
      return { label: line.label, stroke, fill, width: about.stacked ? 0.5 : 1.75, dash: line.dash, points: about.stacked ? { show: false } : { size: 5, show: (_, __, from, to) => to - from < 20 } };
    });
    const axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    // Bands draw each phase from the top of the one below it.
    const bands = about.stacked ? about.lines.slice(1).map((_, at) => ({ series: [at + 2, at + 1] })) : [];
    this.plot = new uPlot({
      width: Math.max(100, this.host.clientWidth), height: this.host.clientHeight,
      legend: { show: false },
      cursor: { sync: { key: SYNC }, points: { size: 7 }, drag: { x: true, y: false } },
      scales: {
        x: { time: false },
        y: about.log
          ? { distr: 3, range: (_, low, high) => [Math.max(low, 1e-6) / 1.5, Math.max(high, 1e-6) * 1.5] }
          : { range: (_, low, high) => [0, Math.max(high || 0, about.format === number ? 1 : 1e-3) * 1.08] },
      },
      series: [{}, ...series],
      bands,
      axes: [
        { ...axis, size: 30, space: 70, values: (_, splits) => splits.map((value) => (value === null ? "" : clock(value))) },
        {
          ...axis, size: 58, space: 28,
          ...(about.log ? { splits: (_, __, low, high) => steps(low, high), filter: (_, splits) => splits } : {}),
          values: (_, splits) => splits.map((value) => (value === null ? "" : about.format(value))),
        },
      ],
      hooks: {
        setCursor: [(plot) => this.tell(plot.cursor.idx)],
        setSelect: [(plot) => plot.select.width > 0 && this.onZoom?.()],
        draw: [(plot) => this.drawMarks(plot)],
      },
    }, this.columns ?? [[], ...about.lines.map(() => [])], this.host);
    this.show();
  }

  // Shows the columns of the run, from `span` seconds before the end, or all of them.
  set(data, span) {
    const { about } = this;
    const times = data.get("t");
    let columns = about.lines.map((line) => data.get(line.column));
    this.raw = columns;
    this.hasAny = about.lines.map((line, at) => (!line.ifAny && !line.isQuiet) || columns[at].some((value) => value > 0));
    if (about.stacked) {
      let below = times.map(() => 0);
      columns = columns.map((column, at) => {
        if (this.hidden.has(at)) return below.slice();
        below = below.map((sum, row) => sum + (column[row] ?? 0));
        return below;
      });
    }
    if (about.log) columns = columns.map((column) => column.map((value) => (value > 0 ? value : null)));
    this.columns = [times, ...columns];
    if (!this.plot) this.build();
    const last = times.at(-1) ?? 0;
    const range = span ? [Math.max(0, last - span), Math.max(last, span)] : [0, Math.max(last, SHORTEST)];
    const zoom = this.zoom;
    this.plot.batch(() => {
      this.plot.setData(this.columns, true);
      this.plot.setScale("x", zoom ?? { min: range[0], max: range[1] });
      this.show();
    });
    this.tell(this.plot.cursor.idx);
  }

  show() {
    this.about.lines.forEach((line, at) => {
      // A quiet line without any value is not drawn, but its zero is in the legend.
      const isUsed = this.hasAny?.[at] ?? true;
      this.items[at].node.hidden = !isUsed && !line.isQuiet;
      const isShown = isUsed && !this.hidden.has(at);
      if (this.plot && this.plot.series[at + 1].show !== isShown) this.plot.setSeries(at + 1, { show: isShown });
    });
  }

  // Writes the values under the cursor into the legend, or the last ones.
  tell(row) {
    if (!this.raw) return;
    const at = row ?? this.raw[0].length - 1;
    this.raw.forEach((column, item) => {
      const value = column[at];
      const text = value === null || value === undefined ? "-" : this.about.format(value) + this.about.unit;
      if (this.items[item].value.textContent !== text) this.items[item].value.textContent = text;
    });
  }

  // Draws a dashed line at each change of the load.
  drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--soft");
    ctx.setLineDash([3, 4]);
    for (const at of this.marks()) {
      const x = Math.round(plot.valToPos(at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (this.plot && width && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  describe() {
    const said = this.about.lines.filter((_, at) => !this.items[at].node.hidden);
    const values = said.map((line) => `${line.label} ${this.items[this.about.lines.indexOf(line)].value.textContent}`);
    this.host.setAttribute("role", "img");
    this.host.setAttribute("aria-label", `${this.figure.querySelector("figcaption").textContent}: ${values.join(", ")}`);
  }
}

// Formats a time on the axis: `5s`, `1:30`, `1:00:00`.
const clock = (seconds) => {
  if (seconds < 60) return time(seconds);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds % 60)];
  const two = (part) => String(part).padStart(2, "0");
  return parts[0] ? `${parts[0]}:${two(parts[1])}:${two(parts[2])}` : `${parts[1]}:${two(parts[2])}`;
};

// Returns marks of a logarithmic axis: 1, 2 and 5 of each power of ten, or only powers if there would be many.
const steps = (low, high) => {
  const all = [];
  for (let unit = 10 ** Math.floor(Math.log10(low)); unit <= high; unit *= 10) {
    for (const part of high / low > 2000 ? [1] : [1, 2, 5]) {
      const value = Number((unit * part).toPrecision(1));
      if (value >= low && value <= high) all.push(value);
    }
  }
  return all;
};

export class Charts {
  constructor(marks) {
    this.data = new Map();
    this.span = 0;
    this.charts = CHARTS.map((about) => new Chart(about, marks));
    for (const chart of this.charts) {
      chart.onZoom = () => this.zoom(chart);
      chart.host.addEventListener("dblclick", () => this.show(this.span));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.forEach((chart) => chart.build()));
  }

  // Replaces everything.
  reset(columns, points) {
    this.names = columns;
    this.data = new Map(columns.map((name, at) => [name, points.map((point) => point[at])]));
    this.draw();
  }

  // Adds seconds.
  add(points) {
    for (const point of points) this.names.forEach((name, at) => this.data.get(name).push(point[at]));
    this.draw();
  }

  // Shows the last `span` seconds, or everything if it is 0.
  show(span) {
    this.span = span;
    for (const chart of this.charts) chart.zoom = null;
    this.draw();
  }

  // Shows in all charts what was selected in one.
  zoom({ plot }) {
    const [min, max] = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
    if (max - min < 1) return;
    for (const chart of this.charts) {
      chart.zoom = { min, max };
      chart.plot?.setScale("x", chart.zoom);
    }
  }

  title(id, text) {
    const caption = document.querySelector(`#${id} figcaption`);
    if (caption.textContent !== text) caption.textContent = text;
  }

  draw() {
    if (this.isAsked || !this.names) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      for (const chart of this.charts) {
        chart.set(this.data, this.span);
        chart.describe();
      }
      document.documentElement.dataset.drawn = String(this.data.get("t").length);
    });
  }
}

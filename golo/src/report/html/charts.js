"use strict";
// Draws the charts of the page from its document. Durations are in nanoseconds, in the document and on the axes.
{
  const run = JSON.parse(document.getElementById("document").textContent);
  const { points, stages, step } = run.timeline;
  const isOpen = run.run.model === "open";
  const hasDueTimes = run.run.model !== "closed";
  // If there is no request, latency is that of measured steps.
  const hasRequests = run.requests.total.duration.count > 0;
  const latencyOf = (point) => (hasRequests ? point.duration : point.step_duration);
  // The time axis is an axis of dates that begins at the start of a year, since dates get good ticks at every zoom
  // level. The year is not 1970, because plotly takes small numbers for years.
  const begin = Date.UTC(2000);
  const millis = (nanos) => nanos / 1e6;
  const date = (nanos) => begin + millis(nanos);
  const middles = points.map((point) => date(point.at - point.length / 2));
  const ends = points.map((point) => date(point.at));
  const edges = points.map((point) => date(point.at - point.length)).concat(ends.slice(-1));
  const length = points.length ? points[points.length - 1].at : 0;
  // The part after the last second can be too short for a rate.
  const perSecond = (point, number) =>
    point.length < step / 5 && points.length > 1 ? null : number / (point.length / 1e9);

  // Durations in three digits, as in the tables.
  const duration = (nanos) => {
    if (nanos === null || nanos === undefined) return "-";
    if (nanos < 1e3) return `${nanos && Number(nanos.toPrecision(3))}${nanos ? "ns" : "s"}`;
    for (const [unit, most, name] of [[1e3, 1e6, "µs"], [1e6, 1e9, "ms"], [1e9, 6e10, "s"]]) {
      // Half of a step is rounded up, as in the tables. A binary fraction may be less than half.
      const whole = nanos / unit;
      const step = unit / (whole >= 100 ? 1 : whole >= 10 ? 10 : whole >= 1 ? 100 : 1000);
      const rounded = Math.floor((nanos + step / 2) / step) * step;
      if (rounded < most) return `${Number((rounded / unit).toFixed(3))}${name}`;
    }
    const seconds = Math.round(nanos / 1e9);
    const two = (number, of, large, small) =>
      `${Math.floor(number / of)}${large}${number % of ? (number % of) + small : ""}`;
    return seconds < 3600 ? two(seconds, 60, "m", "s") : two(Math.round(nanos / 6e10), 60, "h", "m");
  };
  const count = (number) => number.toLocaleString("en");

  const marks = [];
  for (let unit = 1; unit < 1e9; unit *= 10) marks.push(unit, 2 * unit, 5 * unit);
  for (const seconds of [1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 18000, 36000, 86400])
    marks.push(seconds * 1e9);
  const ones = marks.filter((mark) => /^(1[0]{0,2}[nµm]?s|[1]0?[mh]|24h)$/.test(duration(mark)));

  // A logarithmic axis of durations, with ticks close enough that some are visible.
  const durations = (values) => {
    const positive = values.filter((value) => value > 0);
    let low = Math.min(...positive), high = Math.max(...positive);
    if (!positive.length) [low, high] = [1e6, 1e9];
    [low, high] = [low / 1.25, high * 1.25];
    const widen = Math.sqrt(Math.max(1, 6 / (high / low)));
    [low, high] = [low / widen, high * widen];
    const values_ = high / low < 3e3 ? marks : ones;
    return {
      type: "log", range: [Math.log10(low), Math.log10(high)],
      tickmode: "array", tickvals: values_, ticktext: values_.map(duration),
    };
  };

  const times = () => {
    const hours = length > 3600e9, days = length > 86400e9;
    const format = days ? "day %-j %H:%M" : hours ? "%H:%M:%S" : length < 5e9 ? "%-S.%fs" : "%M:%S";
    const axis = {
      type: "date", range: [begin, date(Math.max(length, 1e3))], tickformat: format, hoverformat: format, nticks: 9,
      // Ticks closer than a second show fractions, since two of them would look the same otherwise.
      tickformatstops: [{ dtickrange: [null, 999], value: days ? "day %-j %H:%M:%S.%3f" : hours ? "%H:%M:%S.%3f" : "%M:%S.%3f" }],
    };
    if (length >= 5e9) return axis;
    // Ticks of dates cannot be shorter than a millisecond.
    const unit = 10 ** Math.floor(Math.log10(Math.max(length, 1e3)));
    const gap = length / unit < 2 ? unit / 4 : length / unit < 5 ? unit / 2 : unit;
    const at = Array.from({ length: 11 }, (_, number) => number * gap);
    return { ...axis, tickmode: "array", tickvals: at.map(date), ticktext: at.map(duration) };
  };

  // The current colours of the page.
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  };

  const isNarrow = () => window.matchMedia("(max-width: 40rem)").matches;

  const layout = (colour, { x = {}, y = {}, ...more }) => {
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, automargin: true, fixedrange: isTouched,
      title: { font: { size: 12 } },
    };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: isNarrow() ? 11 : 12, color: colour("soft") },
      margin: { l: 48, r: 12, t: 8, b: 32 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
      hovermode: "x unified", dragmode: isTouched ? false : "zoom",
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      xaxis: { ...axis, ...x }, yaxis: { rangemode: "tozero", ...axis, ...y },
      ...more,
    };
  };
  const isTouched = window.matchMedia("(pointer: coarse)").matches;

  // Lines with few points have markers, so that a single point is visible.
  const line = (colour, name, x, y, more = {}) => ({
    type: "scatter", mode: x.length > 40 ? "lines" : "lines+markers", name, x, y,
    marker: { size: x.length > 3 ? 4 : 8, color: colour },
    line: { color: colour, width: 1.6, ...more.line }, ...more.trace,
  });
  const spoken = (values) => ({ customdata: values.map(duration), hovertemplate: "%{customdata}" });

  // The ends of stages, with the value that each leads to if there is room.
  const stageMarks = (colour, isNamed) => {
    const inside = stages.filter(([at]) => at < length);
    const shapes = inside.map(([at]) => ({
      type: "line", x0: date(at), x1: date(at), y0: 0, y1: 1, yref: "paper", layer: "between",
      line: { color: colour("soft"), width: 1, dash: "dot" },
    }));
    const named = stages.map(([at, target], number) => {
      const from = number ? stages[number - 1][0] : 0;
      const what = isOpen ? `${Number(target.toPrecision(3))}/s` : count(target);
      return {
        x: date((from + Math.min(at, length)) / 2), y: 1, yref: "paper", yanchor: "top", showarrow: false,
        text: `→ ${what}`, font: { size: 11, color: colour("soft") }, bgcolor: colour("card"), from, at,
      };
    });
    // A name takes about 8 percent of the width.
    const fits = named.filter(({ from, at }) => from < length && (Math.min(at, length) - from) / length > 0.08);
    return { shapes, annotations: isNamed ? fits.map(({ from, at, ...name }) => name) : [] };
  };

  const latency = (colour) => {
    const shown = [["max", "max", "dot"], ["p99", "p99"], ["p95", "p95"], ["p90", "p90"], ["p50", "p50"]];
    const traces = shown.map(([name, key, dash]) => {
      const values = points.map((point) => latencyOf(point)[key]);
      return line(colour(key), name, middles, values, { line: { dash, width: dash ? 1 : 1.6 }, trace: spoken(values) });
    });
    if (hasDueTimes) {
      const values = points.map((point) => point.response.p99);
      traces.push(line(colour("response"), "response p99", middles, values, {
        line: { dash: "dash", width: 1.2 }, trace: { ...spoken(values), visible: "legendonly" },
      }));
    }
    const all = points.flatMap((point) => [latencyOf(point).p50, latencyOf(point).max]);
    return [traces, layout(colour, { x: times(), y: durations(all), ...stageMarks(colour, true) })];
  };

  const rate = (colour) => {
    const rates = (number) => points.map((point) => perSecond(point, number(point)));
    const traces = [];
    if (points.some((point) => point.asked_rate !== null))
      traces.push(line(colour("soft"), "asked", middles, points.map((point) => point.asked_rate), { line: { dash: "dash" } }));
    const started = rates((point) => point.due - point.dropped);
    traces.push(line(colour("p50"), "started", middles, started));
    for (const [name, key, tone] of [["dropped", "dropped", "p95"], ["failed", "failed", "bad"]]) {
      const fill = { fill: "tozeroy" };
      if (points.some((point) => point[key])) traces.push(line(colour(tone), name, middles, rates((point) => point[key]), { trace: fill }));
    }
    traces.forEach((trace) => { trace.hovertemplate = "%{y:,.3~r}/s"; });
    return [traces, layout(colour, { x: times(), y: { ticksuffix: "/s", separatethousands: true }, showlegend: true, ...stageMarks(colour, true) })];
  };

  const users = (colour) => {
    const values = points.map((point) => point.users);
    const trace = line(colour("p90"), isOpen ? "in flight" : "users", edges, values.slice(0, 1).concat(values), {
      line: { shape: "vh" }, trace: { mode: "lines", fill: "tozeroy", hovertemplate: "%{y:,}" },
    });
    return [[trace], layout(colour, { x: times(), y: { tickformat: ",~r" }, ...stageMarks(colour, false) })];
  };

  // Points at which a share 1 - 1/x of all values is at most y. The last of n values is at x = n.
  const curve = (distribution) => {
    const x = [], y = [], n = distribution.count;
    let below = 0, last = 0;
    for (const [low, number] of distribution.buckets) {
      const at = n / (n - below);
      if (!x.length || at > last * 1.004 || below + number === n) {
        x.push(at);
        y.push(Math.min(Math.max(low, distribution.min), distribution.max));
        last = at;
      }
      below += number;
    }
    x.push(n);
    y.push(distribution.max);
    return [x, y];
  };

  const percentiles = (colour) => {
    const { service, response } = run.triggers;
    const requests = run.requests.total.duration;
    const shown = hasDueTimes
      ? [["triggers: service, from start", service, "p90"], ["triggers: response, from due", response, "response", "dash"]]
      : [["triggers", service, "p90"]];
    shown.unshift(["requests", requests, "p50"], ["measured steps", run.steps.total.duration, "p95"]);
    const traces = shown.filter(([, distribution]) => distribution.count).map(([name, distribution, tone, dash]) => {
      const [x, y] = curve(distribution);
      return line(colour(tone), name, x, y, {
        line: { shape: "hv", dash, width: 2 },
        trace: { mode: x.length > 2 ? "lines" : "lines+markers", ...spoken(y) },
      });
    });
    const most = Math.max(10, ...traces.map((trace) => trace.x[trace.x.length - 1]));
    const nines = isNarrow() ? [1] : [1, 2, 4];
    for (let nine = 10; nine <= most * 1.01 && nine <= 1e12; nine *= 10) nines.push(nine);
    const named = nines.map((x) => (x === 1 ? "0%" : x === 2 ? "50%" : x === 4 ? "75%" : `${Number((100 - 100 / x).toPrecision(12))}%`));
    const x = {
      type: "log", range: [0, Math.log10(most * 1.05)], tickmode: "array", tickvals: nines, ticktext: named, tickangle: 0,
      title: { text: "share of all that took at most so long", font: { size: 12 } },
    };
    return [traces, layout(colour, { x, y: durations(traces.flatMap((trace) => trace.y)), hovermode: "closest", showlegend: true })];
  };

  const heat = (colour) => {
    const row = (low) => Math.round(Math.log2(Math.max(low, 1)) * 4);
    const rows = points.flatMap((point) => point.heat.map(([low]) => row(low)));
    const first = rows.reduce((one, other) => Math.min(one, other), Infinity);
    const last = rows.reduce((one, other) => Math.max(one, other), -Infinity);
    const z = [], text = [];
    for (let at = first; at <= last; at += 1) {
      z.push(new Array(points.length).fill(null));
      text.push(new Array(points.length).fill(""));
    }
    let most = 0;
    points.forEach((point, column) => {
      for (const [low, number] of point.heat) {
        const rate = number / (point.length / 1e9);
        if (!(rate < Infinity)) continue;
        z[row(low) - first][column] = Math.log10(Math.max(rate, 0.01));
        text[row(low) - first][column] = `${count(number)} from ${duration(low)} to ${duration(low * 2 ** 0.25)}`;
        most = Math.max(most, rate);
      }
    });
    const bounds = z.map((_, at) => 2 ** ((first + at) / 4)).concat(2 ** ((last + 1) / 4));
    const shades = [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7].filter((shade) => shade <= Math.log10(most || 1));
    const trace = {
      type: "heatmap", x: edges, y: bounds, z, text, hovertemplate: "%{x}<br>%{text}<extra></extra>", zsmooth: false,
      zmin: Math.min(0, Math.log10(most || 1) - 1), zmax: Math.max(1, Math.log10(most || 1)),
      colorscale: [[0, colour("heat-low")], [0.6, colour("heat-mid")], [1, colour("heat-high")]],
      colorbar: {
        thickness: 10, outlinewidth: 0, title: { text: "requests", font: { size: 11 } }, tickvals: shades, ticktext: shades.map((shade) => `${count(10 ** shade)}/s`),
        tickfont: { size: 11 }, ...(isNarrow() && { orientation: "h", y: 1, yanchor: "bottom" }),
      },
    };
    return [[trace], layout(colour, {
      x: times(), y: { ...durations(bounds), autorange: false }, hovermode: "closest", ...stageMarks(colour, false),
    })];
  };

  const scatter = (colour) => {
    const seen = points.filter((point) => point.requests && perSecond(point, 1));
    const traces = [["p99", "p99"], ["p50", "p50"]].map(([name, tone]) => ({
      type: "scatter", mode: "markers", name, x: seen.map((point) => perSecond(point, point.requests)),
      y: seen.map((point) => point.duration[name]), marker: { size: 6, color: colour(tone), opacity: 0.7 },
      customdata: seen.map((point) => [duration(point.duration[name]), duration(point.at)]),
      hovertemplate: "%{x:,.3~r}/s: %{customdata[0]}, at %{customdata[1]}",
    }));
    const x = { rangemode: "tozero", ticksuffix: "/s", separatethousands: true, title: { text: "requests a second", font: { size: 12 } } };
    return [traces, layout(colour, { x, y: durations(traces.flatMap((trace) => trace.y)), hovermode: "closest" })];
  };

  const statuses = (colour) => {
    const tones = { 0: "max", 1: "soft", 2: "p90", 3: "p50", 4: "p95", 5: "bad" };
    const seen = [...new Set(points.flatMap((point) => point.statuses.map(([status]) => status)))].sort((a, b) => a - b);
    const ofClass = {};
    const traces = seen.map((status) => {
      const kind = Math.floor(status / 100);
      const place = (ofClass[kind] = (ofClass[kind] ?? -1) + 1);
      const values = points.map((point) => {
        const found = point.statuses.find(([known]) => known === status);
        return perSecond(point, found ? found[1] : 0);
      });
      return {
        type: "bar", name: status ? String(status) : "no status", x: middles, y: values,
        width: points.map((point) => millis(point.length)),
        // The codes of one class are shades of one colour.
        marker: { color: colour(tones[kind] ?? "max"), opacity: Math.max(0.4, 1 - place * 0.25), line: { width: 0 } },
        hovertemplate: "%{y:,.3~r}/s",
      };
    });
    return [traces, layout(colour, {
      x: times(), y: { ticksuffix: "/s", separatethousands: true }, barmode: "stack", bargap: 0, showlegend: true, ...stageMarks(colour, false),
    })];
  };

  // A linear axis of durations from zero.
  const linear = (most) => {
    const step = marks.find((mark) => most / mark <= 6) ?? marks[marks.length - 1];
    const values = Array.from({ length: Math.floor(most / step) + 2 }, (_, number) => number * step);
    return { range: [0, most * 1.05 || 1], tickmode: "array", tickvals: values, ticktext: values.map(duration) };
  };

  const phases = (colour) => {
    const seen = run.requests.routes.filter((route) => route.phases).slice(0, 20).reverse();
    const tones = {
      blocked: "bad", dns: "response", connecting: "p90", tls_handshaking: "p95", sending: "max", waiting: "p50",
      receiving: "p99",
    };
    // Routes differ at their ends, so the middle of a long one is left out.
    const room = isNarrow() ? 18 : 40;
    const short = seen.map(({ name }) =>
      name.length > room ? `${name.slice(0, room / 2)}…${name.slice(1 - room / 2)}` : name);
    const names = short.map((name, at) => (short.indexOf(name) === at ? name : `${name} (${seen.length - at})`));
    const places = seen.map((_, at) => at);
    const traces = Object.entries(tones).map(([phase, tone]) => {
      const means = seen.map((route) => route.phases[phase].mean);
      return {
        type: "bar", orientation: "h", name: phase.replace("_", " "), y: places, x: means,
        marker: { color: colour(tone), line: { width: 0 } }, ...spoken(means),
      };
    });
    const sums = seen.map((_, at) => traces.reduce((sum, trace) => sum + trace.x[at], 0));
    const how = layout(colour, {
      x: linear(Math.max(...sums)), y: { tickmode: "array", tickvals: places, ticktext: names }, barmode: "stack",
      bargap: 0.3, showlegend: true, hovermode: "y unified",
    });
    how.legend.traceorder = "normal";
    return [traces, how];
  };

  const charts = {
    "chart-latency": latency, "chart-rate": rate, "chart-users": users, "chart-percentiles": percentiles,
    "chart-heat": heat, "chart-scatter": scatter, "chart-statuses": statuses, "chart-phases": phases,
  };
  const config = {
    displaylogo: false, displayModeBar: isTouched || isNarrow() ? false : "hover", plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };

  const places = Object.keys(charts).map((id) => document.getElementById(id)).filter(Boolean);
  const draw = (place) => {
    const [traces, how] = charts[place.id](colours());
    return Plotly.react(place, traces, how, config);
  };
  const drawAll = () => places.forEach(draw);

  // Charts are drawn one after the other, so that the page can be read in the meantime.
  const begun = performance.now();
  const drawFrom = (number) => {
    if (number === places.length) {
      document.documentElement.dataset.drawn = Math.round(performance.now());
      document.documentElement.dataset.drawing = Math.round(performance.now() - begun);
      return;
    }
    draw(places[number]);
    setTimeout(() => drawFrom(number + 1));
  };
  drawFrom(0);

  const resized = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const known = target._fullLayout;
      if (known && contentRect.width > 0 && Math.abs(known.width - contentRect.width) > 1) Plotly.Plots.resize(target);
    }
  });
  places.forEach((place) => resized.observe(place));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  // Paper is light.
  const print = (isOn) => {
    document.documentElement.classList.toggle("print", isOn);
    for (const details of document.querySelectorAll("#journeys details")) details.open ||= isOn;
    drawAll();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
}

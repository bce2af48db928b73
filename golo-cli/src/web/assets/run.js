// The page of a run: follows its events, and sends orders.

import { Charts } from "./charts.js";
import { time } from "./format.js";
import { Table, make } from "./tables.js";

const run = document.body.dataset.run;
const path = `/runs/${encodeURIComponent(run)}`;
const find = (id) => document.getElementById(id);
const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

let head = null;
let elapsed = 0;
let samplesSeen = -1;
const charts = new Charts(() => (head?.changes ?? []).filter((change) => !change.is_refused).map((change) => change.at));
const tables = new Map();

// The head.

const showHead = (next) => {
  head = next;
  write(find("job"), head.job);
  write(find("load-test"), head.load_test);
  write(find("state"), head.state);
  find("state").className = `pill ${head.tone}`;
  write(find("reason"), head.reason);
  write(find("plan"), head.plan);
  document.title = `${head.state}: ${head.job} · golo`;
  const unit = head.of_steps ? "Steps" : "Requests";
  charts.title("chart-requests", `${unit} per second`);
  charts.title("chart-latency", `Latency of ${unit.toLowerCase()}`);
  charts.title("chart-users", head.is_open ? "Triggers in flight" : "Users");
  showControls();
  showChanges();
  showAgents();
  showElapsed();
};

const showElapsed = () => {
  const isPlanned = head.planned > 0;
  const text = head.is_over ? "" : isPlanned ? `${time(elapsed)} of ${time(head.planned)}` : elapsed ? time(elapsed) : "";
  write(find("elapsed"), text);
  const progress = find("progress");
  progress.hidden = head.is_over || !isPlanned;
  if (isPlanned) progress.value = Math.min(1, elapsed / head.planned);
};

// Orders.

const showControls = () => {
  find("controls").hidden = !head.is_steered;
  find("load").hidden = !head.control;
  const level = find("level");
  write(find("level-label"), head.control === "rate" ? "Rate" : "Users");
  level.inputMode = head.control === "rate" ? "text" : "numeric";
  if (document.activeElement !== level && head.level !== null) {
    level.value = head.control === "rate" ? `${head.level}/s` : String(head.level);
  }
};

const order = async (what, body, said) => {
  const ordered = find("ordered");
  try {
    const answer = await fetch(`${path}/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = answer.ok ? said : (await answer.json()).error;
    ordered.classList.toggle("bad", !answer.ok);
    write(ordered, text);
  } catch {
    ordered.classList.add("bad");
    write(ordered, "the order did not arrive");
  }
};

find("load").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("level").value.trim();
  if (head.control === "rate") {
    order("load", { rate: text.includes("/") ? text : `${text}/s` }, `asked for ${text}`);
  } else if (/^\d+$/.test(text)) {
    order("load", { users: Number(text) }, `asked for ${text} users`);
  } else {
    find("ordered").classList.add("bad");
    write(find("ordered"), `“${text}” is no number of users`);
  }
});
find("stop").addEventListener("click", () => order("stop", {}, "stopping: triggers in flight may finish"));
find("abort").addEventListener("click", () => find("confirm").showModal());
find("confirm").addEventListener("close", () => {
  if (find("confirm").returnValue === "yes") order("abort", {}, "aborting");
  find("confirm").returnValue = "";
});

// Figures and tables.

const showTiles = (tiles) => {
  const list = find("tiles");
  while (list.children.length < tiles.length) list.append(make("div", {}, make("dt"), make("dd")));
  while (list.children.length > tiles.length) list.lastChild.remove();
  tiles.forEach(([label, text, tone], at) => {
    const tile = list.children[at];
    write(tile.children[0], label);
    write(tile.children[1], text);
    tile.classList.toggle("bad", tone === "bad" || (label === "failed" && text !== "0%" && text !== "-"));
  });
};

// Shows a table, and places it after the one before.
const showTable = (key, title, content, at) => {
  let table = tables.get(key);
  if (!table) {
    table = new Table(key, title);
    tables.set(key, table);
  }
  const sections = find("sections");
  if (sections.children[at] !== table.section) sections.insertBefore(table.section, sections.children[at] ?? null);
  table.update(content);
};

const plain = (heads, rows, caption) => ({
  table: { caption, heads, texts: heads.length, sortable: false, rows, total: null }, remarks: [],
});

let extra = [];
const showChanges = () => keep("changes", "Changes of the load", plain(
  ["At", "Change"],
  head.changes.map(({ at, text, is_refused: isRefused }) => [time(at), isRefused ? [`refused: ${text}`, "bad"] : text]),
  "Changes of the load during the run",
));
const showAgents = () => keep("agents", "Agents", plain(
  ["Agent", "State", "Reason"],
  head.agents.map(({ name, state, reason }) => [name, state === "lost" || state === "failed" ? [state, "bad"] : state, reason]),
  "Agents that share the run",
));
const showThresholds = (thresholds) => {
  const stateOf = ({ passed, lost: isLost }) => {
    if (head.is_over) return passed ? ["✓ passed", "good"] : ["✗ failed", "bad"];
    if (isLost) return ["✗ can no longer pass", "bad"];
    return passed ? ["✓ met so far", "good"] : "… not met so far";
  };
  const rows = thresholds.map((one) => [stateOf(one), one.text, one.actual]);
  keep("thresholds", "Thresholds", plain(["State", "Threshold", "Actual"], rows, "Thresholds, and what each comes to"));
};

// Tables of this page, before those of the view. Without rows they are not shown.
const ORDER = ["thresholds", "changes", "agents"];
const keep = (key, title, content) => {
  extra = extra.filter((one) => one.key !== key);
  if (content.table.rows.length) extra.push({ key, title, content });
  else tables.get(key)?.section.remove();
  extra.sort((one, other) => ORDER.indexOf(one.key) - ORDER.indexOf(other.key));
  extra.forEach((one, at) => showTable(one.key, one.title, one.content, at));
};

const showView = (view) => {
  showThresholds(view.thresholds);
  const shown = view.tables.map(({ id, title, table, remarks }, at) => {
    const key = id === "metrics" ? `metrics-${title.toLowerCase()}` : id;
    showTable(key, title, { table, remarks }, extra.length + at);
    return key;
  });
  for (const [key, { section }] of tables) {
    if (!shown.includes(key) && !ORDER.includes(key)) section.remove();
  }
  find("samples").hidden = view.samples === 0;
  write(find("samples-count"), view.samples ? `(${view.samples.toLocaleString("en")})` : "");
  if (view.samples !== samplesSeen && find("samples").querySelector("details").open) loadSamples();
  // While triggers are in flight, their number does not add up.
  const load = head.is_over ? view.load : [];
  const facts = [...view.run, ...load, ...view.generator, ...(view.warning ? [["warning", view.warning, "bad"]] : [])];
  find("facts").hidden = facts.length === 0;
  const rows = facts.map(([label, text, tone]) =>
    make("div", { className: tone ?? "" }, make("dt", { textContent: label }), make("dd", { textContent: text })));
  find("facts").querySelector("dl").replaceChildren(...rows);
  if (head.is_over && view.tiles.length) showTiles(view.tiles);
};

// Samples of failed requests are loaded when somebody wants to see them. The last event of a run that is going on has
// them, since its process ends then.

let samplesLoad = null;
const loadSamples = () => {
  samplesLoad ??= readSamples().finally(() => (samplesLoad = null));
};
const readSamples = async () => {
  try {
    const answer = await fetch(`${path}/failures`);
    if (answer.ok) showSamples(await answer.json());
  } catch {
    // The process of the run has ended. What was loaded before stays.
  }
};

const showSamples = ({ samples, further }) => {
  samplesSeen = samples.length;
  const list = find("samples-list");
  const open = new Set([...list.querySelectorAll("details[open]")].map((one) => [...list.children].indexOf(one)));
  const nodes = samples.map((sample, at) => sampleOf(sample, open.has(at)));
  list.replaceChildren(...nodes, ...(further ? [make("p", { className: "soft", textContent: further })] : []));
};

const sampleOf = ({ title, facts, request, response }, isOpen) => {
  const rows = facts.map(([label, text]) => make("div", {}, make("dt", { textContent: label }), make("dd", { textContent: text })));
  const messages = [["Request", request], ["Response", response]].filter(([, text]) => text);
  const texts = messages.flatMap(([name, text]) => [make("h3", { textContent: name }), make("pre", { textContent: text, tabIndex: 0 })]);
  const details = make("details", {}, make("summary", { textContent: title }), make("dl", { className: "facts" }, ...rows), ...texts);
  details.open = isOpen;
  return details;
};
find("samples").querySelector("details").addEventListener("toggle", (event) => {
  if (event.target.open && samplesSeen < 0) loadSamples();
});

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-span]")) other.setAttribute("aria-pressed", String(other === button));
    charts.show(Number(button.dataset.span));
  });
}

// Events.

let source = null;
let pause = 1000;
let next = 0;

const lost = (text) => {
  write(find("lost"), text);
  find("lost").hidden = !text;
};

const show = ({ columns, step, points, tiles, head: newHead, view, samples }) => {
  if (newHead) showHead(newHead);
  if (columns) {
    charts.reset(columns, points);
    find("step").hidden = step === 1;
    write(find("step"), `Each point stands for ${time(step)}: the largest percentiles, and the mean of rates.`);
  } else if (points) {
    charts.add(points);
  }
  elapsed = points?.at(-1)?.[0] ?? elapsed;
  if (newHead || points) showElapsed();
  if (tiles && !head.is_over) showTiles(tiles);
  if (tiles && head.is_over && !view?.tiles.length) showTiles(tiles);
  if (samples) showSamples(samples);
  if (view) showView(view);
};

const follow = () => {
  clearTimeout(next);
  source?.close();
  source = new EventSource(`${path}/events`);
  const take = (event) => {
    pause = 1000;
    lost("");
    show(JSON.parse(event.data));
  };
  source.addEventListener("state", take);
  source.addEventListener("second", take);
  source.addEventListener("end", (event) => {
    source.close();
    source = null;
    take(event);
    document.documentElement.dataset.ended = "";
  });
  source.addEventListener("error", () => {
    source.close();
    lost("The connection to golo is lost. Trying again.");
    next = setTimeout(follow, pause);
    pause = Math.min(pause * 2, 30_000);
  });
};

// A page that nobody sees needs no events, unless it is of a run whose process soon ends.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && source && head && !head.is_steered) {
    source.close();
    source = null;
    clearTimeout(next);
  } else if (!document.hidden && !source && head && !head.is_over) {
    follow();
  }
});

follow();

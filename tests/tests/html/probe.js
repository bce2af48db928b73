"use strict";
// Waits until the charts of the page in the frame are drawn, and writes down what it is like.
const look = (page) => {
  const root = page.documentElement;
  const charts = [...page.querySelectorAll(".chart")].map((chart) => {
    const marks = [...chart.querySelectorAll(".scatterlayer path, .barlayer path, .heatmaplayer image")];
    return {
      id: chart.id,
      isDrawn: Boolean(chart.querySelector("svg.main-svg")),
      seen: marks.filter((mark) => { const box = mark.getBoundingClientRect(); return box.width + box.height > 0; }).length,
      width: chart.getBoundingClientRect().width,
      drawnWidth: chart._fullLayout.width,
      isBroken: chart.innerHTML.includes("NaN"),
      axes: ["xtick", "ytick"].map((tick) => [...chart.querySelectorAll(`.${tick} text`)].map((mark) => mark.textContent)),
      label: chart.getAttribute("aria-label"),
    };
  });
  const text = (cell) => cell.textContent;
  const heads = [...page.querySelectorAll("#requests thead button")];
  const latency = page.getElementById("chart-latency");
  const trace = (name) => latency && latency.data.find((trace) => trace.name === name);
  const columns = { p50: 8, p90: 9, p95: 10, p99: 11, max: 12 };
  const figures = Object.entries(columns).map(([name, column]) => ({
    name,
    drawn: trace(name) && [...trace(name).customdata],
    written: [...page.querySelectorAll("#history tbody tr")].map((row) => text(row.cells[column])),
  }));
  const sorted = {};
  for (const head of heads.slice(0, 2)) {
    head.click();
    const column = heads.indexOf(head);
    sorted[column] = [...page.querySelectorAll("#requests tbody tr")].map((row) => text(row.cells[column]));
  }
  const search = page.getElementById("search");
  if (search) {
    search.value = "shop/7/";
    search.dispatchEvent(new frame.contentWindow.Event("input"));
  }
  return {
    charts, figures: latency ? figures : [], sorted,
    found: search && page.getElementById("found").textContent,
    title: page.title,
    isScrolled: root.scrollWidth > root.clientWidth,
    width: root.clientWidth,
    resources: frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
  };
};

const frame = document.querySelector("iframe");
const wait = setInterval(() => {
  const page = frame.contentDocument;
  if (page?.documentElement?.dataset.drawn === undefined) return;
  clearInterval(wait);
  let found;
  try { found = look(page); } catch (error) { found = { error: String(error) + error.stack }; }
  document.querySelector("pre").textContent = JSON.stringify(found);
}, 50);

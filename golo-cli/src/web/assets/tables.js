// A table that draws only the rows that are in sight, sorts by a click on a head, and filters by a search.

import { valueOf } from "./format.js";

// Number of rows from which only those in sight are drawn.
const MANY = 60;
// Rows beyond each edge that are drawn too.
const AROUND = 15;

const make = (name, options = {}, ...children) => {
  const node = Object.assign(document.createElement(name), options);
  node.append(...children);
  return node;
};

const textOf = (cell) => (Array.isArray(cell) ? cell[0] : cell);

const fill = (node, cell) => {
  const text = textOf(cell);
  if (node.textContent !== text) node.textContent = text;
  const tone = Array.isArray(cell) ? cell[1] : "";
  node.classList.toggle("bad", tone === "bad");
  node.classList.toggle("good", tone === "good");
};

export class Table {
  constructor(id, title) {
    this.rows = [];
    this.sorted = null;
    this.filter = "";
    this.heads = "";
    this.found = make("span", { className: "soft" });
    this.search = make("input", { type: "search", placeholder: "Search", autocomplete: "off" });
    this.search.setAttribute("aria-label", `Search in ${title}`);
    this.search.hidden = true;
    this.caption = make("caption", { className: "unseen" });
    this.head = make("tr");
    this.body = make("tbody");
    this.foot = make("tfoot");
    this.table = make("table", {}, this.caption, make("thead", {}, this.head), this.body, this.foot);
    this.box = make("div", { className: "scroll", tabIndex: 0 }, this.table);
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", title);
    this.remarks = make("div", { className: "remarks soft" });
    const bar = make("div", { className: "row" }, make("h2", { textContent: title }), make("span", {}, this.found, " ", this.search));
    this.section = make("section", { className: "card", id }, bar, this.box, this.remarks);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.search.addEventListener("input", () => {
      this.filter = this.search.value.toLowerCase();
      this.box.scrollTop = 0;
      this.arrange();
    });
  }

  update({ table, remarks }) {
    this.texts = table.texts;
    this.caption.textContent = table.caption;
    const heads = JSON.stringify(table.heads);
    if (heads !== this.heads) {
      this.heads = heads;
      this.head.replaceChildren(...table.heads.map((text, column) => this.headOf(text, column, table.sortable)));
    }
    this.rows = table.rows;
    this.search.hidden = table.rows.length <= 10;
    this.foot.replaceChildren(...(table.total ? [this.rowOf(table.total)] : []));
    this.remarks.replaceChildren(...remarks.map((text) => make("p", { textContent: text })));
    this.arrange();
  }

  headOf(text, column, isSortable) {
    const head = make("th", { scope: "col", className: column < this.texts ? "" : "number" });
    if (!isSortable) {
      head.textContent = text;
      return head;
    }
    const button = make("button", { type: "button", textContent: text });
    button.addEventListener("click", () => {
      const falls = this.sorted?.column === column ? !this.sorted.falls : column >= this.texts;
      this.sorted = { column, falls };
      for (const other of this.head.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      this.arrange();
    });
    head.append(button);
    return head;
  }

  rowOf(cells) {
    const row = make("tr");
    cells.forEach((cell, column) => {
      const node = make("td", { className: column < this.texts ? "text" : "number" });
      fill(node, cell);
      row.append(node);
    });
    return row;
  }

  // Sorts and filters the rows, and draws them.
  arrange() {
    let shown = this.rows;
    if (this.filter) {
      shown = shown.filter((row) => row.slice(0, this.texts).some((cell) => textOf(cell).toLowerCase().includes(this.filter)));
    }
    this.found.textContent = this.filter ? `${shown.length} of ${this.rows.length}` : "";
    if (this.sorted) {
      const { column, falls } = this.sorted;
      const key = column < this.texts ? (row) => textOf(row[column]) : (row) => valueOf(textOf(row[column]));
      const compare = (one, other) =>
        typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });
      shown = shown.map((row) => [key(row), row]);
      shown.sort((one, other) => (falls ? -1 : 1) * compare(one[0], other[0]));
      shown = shown.map(([, row]) => row);
    }
    this.shown = shown;
    this.table.classList.toggle("many", shown.length > MANY);
    this.draw();
  }

  // Draws the rows in sight. Rows that are already there keep their nodes.
  draw() {
    const { shown, body } = this;
    let [from, to] = [0, shown.length];
    const height = this.height ?? 0;
    if (shown.length > MANY && height) {
      from = Math.max(0, Math.floor(this.box.scrollTop / height) - AROUND);
      to = Math.min(shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + AROUND);
    } else if (shown.length > MANY) {
      to = MANY;
    }
    const space = (count) => {
      const cell = make("td", { colSpan: Math.max(1, this.head.children.length), className: "space" });
      cell.style.height = `${count * height}px`;
      const row = make("tr", {}, cell);
      row.setAttribute("aria-hidden", "true");
      return row;
    };
    const old = [...body.querySelectorAll("tr:not([aria-hidden])")];
    const rows = [];
    for (let at = from; at < to; at += 1) {
      const row = old[at - from];
      const cells = shown[at];
      if (row && row.children.length === cells.length) {
        cells.forEach((cell, column) => fill(row.children[column], cell));
        rows.push(row);
      } else {
        rows.push(this.rowOf(cells));
      }
    }
    const before = from > 0 ? [space(from)] : [];
    const after = to < shown.length ? [space(shown.length - to)] : [];
    const wanted = [...before, ...rows, ...after];
    if (wanted.length !== body.children.length || wanted.some((row, at) => row !== body.children[at])) {
      body.replaceChildren(...wanted);
    }
    if (shown.length > MANY && !height && rows.length) {
      this.height = rows[0].getBoundingClientRect().height;
      if (this.height) this.draw();
    }
  }
}

export { make };

"use strict";
// Sorts tables by the clicked head, and filters routes by the typed text.
{
  const of = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value || -1) : cell.textContent;
  };
  const compare = (one, other) =>
    typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });

  const sort = (table, column, head) => {
    const falls = head.getAttribute("aria-sort") !== "descending" && head.classList.contains("number")
      || head.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [of(row, column), row]);
    rows.sort((one, other) => (falls ? -1 : 1) * compare(one[0], other[0]));
    body.append(...rows.map(([, row]) => row));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
    });
  }

  const search = document.getElementById("search");
  if (search) {
    search.closest("p").hidden = false;
    const rows = [...document.querySelector("#requests tbody").rows];
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      let found = 0;
      for (const row of rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
        found += !row.hidden;
      }
      document.getElementById("found").textContent = wanted && `${found} of ${rows.length}`;
    });
  }
}

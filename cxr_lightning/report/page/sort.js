"use strict";
// Headings of a sortable table become buttons; cells without a number stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.key;
  const sort = (column, descending) => {
    const numeric = headings[column].dataset.sort === "number";
    const rows = [...body.rows].sort((first, second) => {
      const [a, b] = [key(first, column), key(second, column)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numeric ? a - b : a.localeCompare(b);
      return descending ? -order : order;
    });
    body.append(...rows);
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const descending = now ? now === "ascending" : heading.dataset.sort === "number";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(column, descending);
    });
  });
}

"use strict";
// Sorts and filters the rows that are there; without it the list is whole, in the order of the evidence.
const list = document.getElementById("doors"), tools = document.getElementById("tools");
const body = list.tBodies[0], rows = [...body.rows], heads = [...list.tHead.rows[0].cells];
const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
const compare = (a, b) => a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b, document.documentElement.lang, { numeric: true });

heads.forEach((head, at) => {
  if (!head.dataset.sort) return;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const was = head.getAttribute("aria-sort"), first = head.dataset.sort;
    const order = was === null ? first : was === "ascending" ? "descending" : "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    // An empty cell is last in either order.
    rows.sort((a, b) => (value(a, at) === "") - (value(b, at) === "") || sign * compare(value(a, at), value(b, at)));
    body.append(...rows);
  });
});

const find = document.getElementById("find"), chosen = [...tools.querySelectorAll("select")], shown = document.getElementById("shown");
const show = () => {
  const text = find.value.trim().toLowerCase();
  let number = 0;
  for (const row of rows) {
    row.hidden = !(row.textContent.toLowerCase().includes(text) && chosen.every((one) => one.value === "" || row.dataset[one.name] === one.value));
    number += !row.hidden;
  }
  shown.textContent = shown.dataset.told.replace("#", number);
};
[find, ...chosen].forEach((one) => one.addEventListener("input", show));
list.classList.add("live");
tools.hidden = false;
show();

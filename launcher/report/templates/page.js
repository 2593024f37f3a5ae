"use strict";
const table = document.getElementById("table"), find = document.getElementById("find");
const models = [...document.querySelectorAll("details.model")], more = document.getElementById("more");
const FIRST = 20;
let all = models.length <= FIRST;

function value(cell) {
  return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value || -Infinity);
}

function sort(head) {
  const up = head.getAttribute("aria-sort") !== "ascending", index = head.cellIndex, body = table.tBodies[0];
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map(row => [value(row.cells[index]), row]);
  rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
  const place = new Map(rows.map(([, row], number) => [row.dataset.job, number]));
  models.sort((a, b) => place.get(a.id) - place.get(b.id));
  for (const model of models) model.parentNode.append(model);
  show();
}

function show() {
  const words = find.value.trim().toLowerCase(), wanted = new Set();
  for (const row of table.tBodies[0].rows) {
    row.hidden = !row.textContent.toLowerCase().includes(words);
    if (!row.hidden) wanted.add(row.dataset.job);
  }
  let shown = 0;
  for (const model of models) {
    model.hidden = !model.open && (!wanted.has(model.id) || (!all && shown >= FIRST));
    if (!model.hidden) shown += 1;
  }
  if (more) more.hidden = all || words !== "";
  document.getElementById("found").textContent = words ? `${wanted.size} of ${table.tBodies[0].rows.length}` : "";
}

function open() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (found && found.tagName === "DETAILS") {
    found.hidden = false;
    found.open = true;
    found.scrollIntoView();
  }
}

for (const head of table.tHead.rows[0].cells) {
  const button = head.querySelector("button");
  if (button) button.addEventListener("click", () => sort(head));
}
find.addEventListener("input", show);
if (more) more.querySelector("button").addEventListener("click", () => { all = true; show(); });
addEventListener("hashchange", open);
show();
open();

"use strict";
const tables = [...document.querySelectorAll("table.sortable")], find = document.getElementById("find");
const models = [...document.querySelectorAll("details.model")], more = document.getElementById("more");
const FIRST = 20, FIRST_ROWS = 25, narrow = matchMedia("(max-width:60rem)");
const rests = new Map(tables.map(table => [table, addRest(table)]));
let all = models.length <= FIRST;

function addRest(table) { // a narrow page stacks each row's cells: of many rows it shows the first ones
  const place = document.createElement("p"), button = document.createElement("button");
  place.className = "more";
  button.type = "button";
  button.textContent = `Show all ${table.tBodies[0].rows.length} rows`;
  button.addEventListener("click", () => { place.dataset.all = "yes"; show(); });
  place.append(button);
  table.parentNode.after(place);
  return place;
}

function value(cell) {
  return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value || -Infinity);
}

function compare([a], [b]) {
  if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1; // a dash before numbers
  return a < b ? -1 : a > b ? 1 : 0;
}

function sort(head) {
  const up = head.getAttribute("aria-sort") !== "ascending", index = head.cellIndex;
  const table = head.closest("table"), body = table.tBodies[0];
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map(row => [value(row.cells[index]), row]);
  rows.sort((a, b) => compare(a, b) * (up ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
  if (models.length) {
    const place = new Map(rows.map(([, row], number) => [row.dataset.job, number]));
    models.sort((a, b) => place.get(a.id) - place.get(b.id));
    models[0].parentNode.append(...models);
  }
  show();
}

function show() {
  const words = find.value.trim().toLowerCase(), wanted = new Set();
  let count = 0, matching = 0, shown = 0;
  for (const table of tables) {
    const rest = rests.get(table), whole = words || !narrow.matches || rest.dataset.all;
    let here = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = row.textContent.toLowerCase().includes(words);
      count += 1;
      if (fits) {
        here += 1;
        wanted.add(row.dataset.job);
      }
      row.hidden = !fits || (!whole && here > FIRST_ROWS);
    }
    rest.hidden = whole || here <= FIRST_ROWS;
    matching += here;
  }
  for (const model of models) {
    model.hidden = !model.open && (!wanted.has(model.id) || (!all && shown >= FIRST));
    if (!model.hidden) shown += 1;
  }
  if (more) more.hidden = all || words !== "";
  document.getElementById("found").textContent = words ? `${matching} of ${count}` : "";
}

function open() {
  const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!found) return;
  found.hidden = false;
  if (found.tagName === "DETAILS") found.open = true;
  found.scrollIntoView();
}

for (const table of tables) {
  for (const head of table.tHead.rows[0].cells) {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => sort(head));
  }
}
find.addEventListener("input", show);
narrow.addEventListener("change", show);
if (more) more.querySelector("button").addEventListener("click", () => { all = true; show(); });
addEventListener("hashchange", open);
show();
open();

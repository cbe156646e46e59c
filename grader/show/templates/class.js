"use strict";
const table = document.getElementById("scores"), body = table.tBodies[0], rows = [...body.rows];
const find = document.getElementById("find"), search = document.getElementById("search"), only = document.getElementById("only");
const count = document.getElementById("count"), link = row => row.querySelector("a");
const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const names = new Map(rows.map(row => [row, plain(row.cells[0].textContent)]));
const places = new Map(rows.map((row, place) => [row, String(place)]));
let who = new Set();
const shown = () => [...body.rows].filter(row => !row.hidden);

function filter() {
  const words = plain(search.value).split(/\s+/).filter(Boolean), [kind, column] = only.value.split(" ");
  for (const row of rows) {
    const marks = row.dataset.p;
    const fits = kind === "all" || (kind === "who" ? who.has(places.get(row)) : kind === "part" ? "wosfx".includes(marks[column]) : kind === "half" ? row.classList.contains("low") : marks.includes(kind));
    row.hidden = !fits || !words.every(word => names.get(row).includes(word));
  }
  const left = shown().length;
  count.textContent = left === rows.length ? `${left} students` : `${left} of ${rows.length} students`;
}

function sort(heading) {
  const order = heading.getAttribute("aria-sort"), place = heading.cellIndex, numeric = place > 0;
  const down = order ? order === "ascending" : numeric;
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => numeric ? Number.parseFloat(row.cells[place].dataset.v ?? row.cells[place].textContent.replace(/,/g, "")) : names.get(row);
  const keys = new Map(rows.map(row => [row, key(row)]));
  const compare = (one, other) => numeric ? (Number.isNaN(one) - Number.isNaN(other) || one - other || 0) : one < other ? -1 : one > other ? 1 : 0;
  const sign = (one, other) => Number.isNaN(one) || Number.isNaN(other) ? 1 : down ? -1 : 1; /* who has nothing comes last both ways */
  rows.sort((a, b) => sign(keys.get(a), keys.get(b)) * compare(keys.get(a), keys.get(b)));
  body.append(...rows);
}

function move(event) {
  const list = shown(), row = event.target.closest("tbody tr"), at = row ? list.indexOf(row) : -1;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: list.length - 1 }[event.key];
  if (event.key === "Escape") search.focus();
  else if (to === -1) search.focus();
  else if (to !== undefined && list[to]) link(list[to]).focus();
  else return;
  event.preventDefault();
}

for (const heading of table.tHead.rows[0].cells) {
  if (!heading.textContent.trim()) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => sort(heading));
}
for (const cell of document.querySelectorAll("[data-who]")) {
  const button = document.createElement("button"), option = document.createElement("option");
  button.type = "button";
  button.className = "who";
  button.textContent = "show all";
  option.value = "who";
  option.textContent = `who ${cell.previousElementSibling.textContent}`;
  cell.append(" ", button);
  button.addEventListener("click", () => {
    who = new Set(cell.dataset.who.split(" "));
    only.querySelector("[value=who]")?.remove();
    only.append(option);
    only.value = "who";
    search.value = "";
    filter();
    find.scrollIntoView();
    only.focus();
  });
}
search.addEventListener("input", filter);
search.addEventListener("keydown", event => {
  if (event.key === "ArrowDown") move(event);
  if (event.key === "Escape") { search.value = ""; filter(); }
});
only.addEventListener("change", filter);
find.addEventListener("submit", event => event.preventDefault());
body.addEventListener("keydown", move);
find.hidden = false;
filter();

/* A student's page names nobody else: it asks for the page after its own, which only this page knows. */
const step = { "?next": 1, "?previous": -1 }[location.search], own = document.getElementById(location.hash.slice(1));
if (step && own) {
  const other = rows[rows.indexOf(own) + step];
  if (other) location.replace(link(other).href);
  else history.replaceState(null, "", location.pathname + location.hash);
}

// The table of a sweep as a heat map over two of its axes; a cell that is pressed shows its setting.
import { ARROWS, button, fileButton, make, menu } from "./dom.js";

const SWEEP_WIDE = 21; // em of the map
const SWEEP_DIGIT = 0.62; // em, at most
const SWEEP_ROW = 20; // cells in a row where a single one is broken into several
const SWEEP_HINT = "Point at a cell, or go to it with the arrow keys; press it for its samples.";
const longest = (words) => Math.max(0, ...words.map((one) => one.length));

export function sweepSection(store, section) {
  const help = "The table that toydiff sweep wrote";
  fileButton(section, "sweep-open", "Open sweep", help, ".csv", ([file]) => store.act("open-sweep", {}, [file.bytes]));
  const title = make(section, "p", { name: "sweep-title", textContent: `${help}: press a cell to see its samples.` });
  const menus = make(section, "div", { name: "sweep-menus", hidden: true });
  const metric = menu(menus, "sweep-metric", "metric", "What the colours show", (value) => look({ metric: value }));
  const x = menu(menus, "sweep-x", "across", "The axis from left to right", (value) => {
    look(value === seen.y ? { x: value, y: seen.x } : { x: value });
  });
  const y = menu(menus, "sweep-y", "upwards", "The axis from bottom to top", (value) => {
    look(value === seen.x ? { x: seen.y || value, y: value } : { y: value });
  });
  const note = make(section, "p", { name: "sweep-note" });
  const map = make(section, "div", { name: "sweep-map" }, { role: "group", "aria-label": "Cells of the sweep" });
  const about = make(section, "div", { name: "sweep-about" });
  const room = make(about, "p", {}, { "aria-hidden": "true" }); // for the longest words: nothing moves by pointing
  const words = make(about, "p");
  const look = (wanted) => store.act("sweep-view", wanted);
  let seen = { y: "", x: "" };
  let cells = []; // buttons by row and column; null where there is no setting

  store.on("sweep", (given) => {
    seen = given;
    metric.fill(given.metrics, given.metric);
    x.fill(given.axes, given.x);
    y.fill([["", "–"], ...given.axes], given.y);
    menus.hidden = false;
    title.textContent = given.title;
    note.textContent = given.note;
    const helps = given.cells.flat().map((cell) => cell?.help ?? "");
    room.textContent = helps.reduce((a, b) => (b.length > a.length ? b : a), "");
    words.textContent = helps.length ? SWEEP_HINT : "";
    draw(given);
  });

  // Values stand in the cells, and labels lie below them, where there is room for them; the words below say all.
  function draw({ rows, columns, cells: values }) {
    const broken = rows.length === 1 && columns.length > SWEEP_ROW;
    const label = Math.min(8, longest(rows) * SWEEP_DIGIT + 0.4);
    const across = broken ? SWEEP_ROW : columns.length;
    const wide = (SWEEP_WIDE - label) / across;
    const texts = longest(values.flat().map((cell) => cell?.text ?? "")) * SWEEP_DIGIT <= wide;
    map.replaceChildren();
    map.style.gridTemplateColumns = `${broken ? "" : "fit-content(8em) "}repeat(${across}, minmax(0, 1fr))`;
    cells = values.map((row, i) => {
      if (!broken) make(map, "span", { name: "sweep-row", textContent: rows[i].replaceAll("_", "_\u200b") });
      return row.map((cell, j) => cell ? made(cell, i, j, texts) : make(map, "span") && null);
    });
    const first = cells.flat().find(Boolean);
    if (first) first.tabIndex = 0;
    if (broken || !first) return;
    make(map, "span");
    const upright = longest(columns) * SWEEP_DIGIT > wide;
    const every = Math.ceil(1.3 / wide);
    columns.forEach((name, j) => {
      const textContent = upright && j % every ? "" : name;
      make(map, "span", { name: upright ? "sweep-upright" : "sweep-column", textContent });
    });
  }
  function made({ text, colour, help: words }, row, column, texts) {
    const cell = button(map, "sweep-cell", texts ? text : "", words, () => store.act("sweep-cell", { row, column }));
    cell.setAttribute("aria-label", words);
    cell.style.backgroundColor = colour;
    cell.tabIndex = -1; // one stop of the Tab key for all; arrows go from cell to cell
    cell.dataset.at = `${row} ${column}`;
    return cell;
  }
  for (const event of ["pointerover", "focusin"]) map.addEventListener(event, ({ target }) => {
    if (target.dataset.at) words.textContent = target.title;
  });
  map.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (!way || !event.target.dataset.at) return;
    event.preventDefault();
    let [row, column] = event.target.dataset.at.split(" ").map(Number);
    do [row, column] = [row - way[1], column + way[0]];
    while (cells[row]?.[column] === null);
    const next = cells[row]?.[column];
    if (!next) return;
    [event.target.tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  });
}

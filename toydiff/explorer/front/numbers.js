// The numbers of a panel beside those of exact samples, and in a few words.
import { make, news, put } from "./dom.js";

function inWords(value, share, digits = share ? 1 : 3) {
  if (value == null || Number.isNaN(value)) return "–";
  return share ? `${(100 * value).toFixed(digits)}%` : value.toFixed(digits);
}

export function sentence(numbers, about) {
  if (!numbers) return "";
  const says = ([name, row]) => `${about.metrics[name].title} ${inWords(row.value, about.metrics[name].share)}`;
  return `${numbers.count} samples: ${Object.entries(numbers.rows).map(says).join(", ")}`;
}

export class NumberTable {
  constructor() {
    this.element = make(null, "table", { name: "numbers" });
    this.caption = make(this.element, "caption");
    this.lines = [0, 1].map(() => make(this.caption, "div"));
    this.brief = make(null, "span", { name: "brief" });
  }

  // `best` are the names of metrics in which this panel is the best of several; `short` leaves the exact ones out.
  show(numbers, about, { best, short, title }) {
    this.lines.forEach((line, i) => put(line, { textContent: title[i] || "", hidden: !title[i] }));
    if (!numbers || !news(this.element, [numbers, [...best], short])) return;
    const shown = Object.entries(numbers.rows).filter(([name]) => about.metrics[name]);
    const [top, body] = ["thead", "tbody"].map((tag) => make(null, tag));
    const head = make(top, "tr");
    make(head, "th", { textContent: `${numbers.count.toLocaleString("en")} samples` });
    make(head, "th", { textContent: short ? "" : "here" }, { scope: "col" });
    if (!short) make(head, "th", { textContent: "exact" }, { scope: "col" });
    body.append(...shown.map(([name, row]) => this.row(name, row, about.metrics[name], { best, short, full: numbers.full })));
    this.element.replaceChildren(this.caption, top, body);
    const said = ([name, { value }]) => `${about.metrics[name].short.split(" ").at(-1)} ${inWords(value, about.metrics[name].share, value < 0.1 ? 1 : 0)}`;
    this.brief.textContent = shown.slice(0, 2).map(said).join(", ");
  }

  row(name, { value, exact, error, old }, { title, short: brief, share }, { best, short, full }) {
    const row = make(null, "tr", { className: old ? "toydiff-stale" : "" }, { title });
    make(row, "th", { textContent: brief }, { scope: "row" });
    const cell = make(row, "td", { className: best.has(name) ? "toydiff-best" : "", textContent: inWords(value, share) });
    const sure = full && error != null;
    make(cell, "span", { name: "error", textContent: ` ± ${sure ? inWords(error, share) : "…"}` });
    if (!short) make(row, "td", { name: "exact", textContent: inWords(exact, share) });
    return row;
  }

  dim(old) {
    this.element.classList.toggle("toydiff-stale", old);
    this.brief.classList.toggle("toydiff-stale", old);
  }
}

// For each panel the metrics in which it is the best; where two are equal, neither.
export function bestOf(all, about) {
  const best = all.map(() => new Set());
  for (const [name, { better }] of Object.entries(about.metrics)) {
    if (all.length < 2 || all.some((numbers) => !numbers?.rows[name])) continue;
    const worth = all.map(({ rows }) => {
      const { value, exact } = rows[name];
      return better === "lower" ? -value : better === "higher" ? value : -Math.abs(value - exact);
    });
    const top = Math.max(...worth);
    if (worth.filter((one) => one === top).length === 1) best[worth.indexOf(top)].add(name);
  }
  return best;
}

// A chart of lines over x, with one or two axes for their values: an SVG at full size, in the page's own font.
import { briefNumber, numberWords, ticksBetween, valueAxis } from "./axes.js";
import { clamp, news } from "./dom.js";
import { nowhere, rulerOf, svgLine, svgPart, svgPut } from "./svg.js";

const CHART_SPOKEN = 12; // values of a line: of more only the ends and the extremes are said

// What the lines say, for those who do not see them.
function chartWords({ x, xLabel, lines, mark, ...axes }) {
  const words = ({ label, values, errors, side = "left" }) => {
    const point = (i) => {
      if (!Number.isFinite(values[i])) return `nothing yet at ${briefNumber(x[i])}`;
      return `${briefNumber(values[i])}${errors?.[i] ? ` ± ${briefNumber(errors[i])}` : ""} at ${briefNumber(x[i])}`;
    };
    const known = [...x.keys()].filter((i) => Number.isFinite(values[i]));
    const [lowest, highest] = [1, -1].map((way) => [...known].sort((a, b) => way * (values[a] - values[b]))[0]);
    let all = x.length > CHART_SPOKEN
      ? `from ${point(known[0])} to ${point(known.at(-1))}, lowest ${point(lowest)}, highest ${point(highest)}`
      : [...x.keys()].map(point).join(", ");
    if (!known.length) all = "nothing yet";
    const axis = axes[side]?.label ?? "";
    return ` ${axis.startsWith(label) ? axis : `${label}, ${axis}`}: ${all}.`;
  };
  const marked = Number.isFinite(mark) ? ` Mark at ${briefNumber(mark)}.` : "";
  return `Chart over ${xLabel}.${lines.map(words).join("")}${marked}`;
}

// `name` is its class, toydiff-NAME. Of the lines at a side with `max` the errors do not stretch the axis.
export function chart(parent, name) {
  const svg = svgPart(parent, "svg", "chart", { role: "img" });
  svg.classList.add(`toydiff-${name}`);
  let given = null;
  let pointer, place; // the mark, and where a value of x stands
  let em, wide, start, end, left, right, above, below; // ends of rows, and of the plot, in pixels
  const part = (tag, kind, attributes) => svgPart(svg, tag, `chart-${kind}`, attributes);
  function text(words, x, y, anchor = "start", kind = "text") {
    part("text", kind, { x, y, "text-anchor": anchor }).textContent = words;
  }
  // A text in so much room: its end is left out where it must be.
  function fitted(words, room) {
    let kept = words;
    while (kept.length > 1 && wide(kept, 600) > room) kept = `${kept.replace(/…$/, "").slice(0, -1)}…`;
    return kept;
  }

  // Ends of lines without a length: one path for all.
  function dots(points, { colour: stroke, dot }) {
    if (dot) part("path", dot, { d: points.map(([x, y]) => `M${x} ${y}h0`).join(""), stroke });
  }
  function stroke(d, kind, { colour, dashed = false }) {
    part("path", kind, { d, stroke: colour }).classList.toggle("toydiff-chart-dashed", dashed);
  }
  // Words after a sample of some lines: what these do not share is left plain.
  function entry(words, x, y, lines, kind) {
    const shared = (key, plain) => (lines.every((line) => line[key] === lines[0][key]) ? lines[0][key] : plain);
    const look = { colour: shared("colour", "#222"), dashed: shared("dashed", false), dot: shared("dot", "") };
    stroke(`M${x} ${y - 0.35 * em}h${2 * em}`, "line", look);
    dots([[x + em, y - 0.35 * em]], look);
    text(words, x + 2.4 * em, y, "start", kind);
  }

  // The labels of the axes at both ends of the first row, of two if need be, and how they tell their lines apart.
  function drawHeads(axes) {
    const told = axes.length > 1 ? 2.4 * em : 0;
    const heads = axes.map((axis) => ({ ...axis, words: fitted(axis.label, end - start - told) }));
    const room = ({ words }) => told + wide(words, 600);
    const rows = heads.reduce((sum, head) => sum + room(head), em) <= end - start ? 1 : 2;
    heads.forEach((head, i) => {
      const [x, y] = [head.side === "left" ? start : end - room(head), (rows === 2 ? 1 + 1.4 * i : 1) * em];
      if (told && head.lines.length) entry(head.words, x, y, head.lines, "head");
      else text(head.words, x + told, y, "start", "head");
    });
    return (0.6 + 1.4 * rows) * em;
  }
  // The labels of the lines in rows at the bottom, where an axis has several; the height of it.
  function drawLegend(lines, axes) {
    if (axes.every((axis) => axis.lines.length < 2)) return 0;
    const rows = [[]];
    let free = start;
    for (const label of new Set(lines.map((line) => line.label))) {
      const words = fitted(label, end - start - 2.4 * em);
      const room = 2.4 * em + wide(words);
      if (free > start && free + room > end) [free] = [start, rows.push([])];
      rows.at(-1).push([words, free, lines.filter((line) => line.label === label)]);
      free += room + em;
    }
    rows.forEach((row, i) => row.forEach(([words, x, like]) => {
      entry(words, x, svg.clientHeight - (1.4 * (rows.length - 1 - i) + 0.4) * em, like);
    }));
    return 1.4 * rows.length * em;
  }
  function drawAxis({ side, ticks, words, share }) {
    const [x, out] = side === "left" ? [left, -1] : [right, 1];
    ticks.forEach((tick, i) => {
      const y = below - share(tick) * (below - above);
      if (out < 0) part("line", "grid", { x1: left, x2: right, y1: y, y2: y });
      else part("line", "tick", { x1: right, x2: right + 0.3 * em, y1: y, y2: y });
      text(words[i], x + 0.5 * out * em, y + 0.36 * em, out < 0 ? "end" : "start");
    });
  }
  // As many ticks as there is room for.
  function drawX(low, high, at) {
    const crowded = (tick, i, ticks) =>
      i && at(tick) - at(ticks[i - 1]) < 0.7 * em + (wide(numberWords(tick)) + wide(numberWords(ticks[i - 1]))) / 2;
    let most = 10;
    while (most > 1 && ticksBetween(low, high, most).some(crowded)) most--;
    for (const tick of ticksBetween(low, high, most)) {
      part("line", "tick", { x1: at(tick), x2: at(tick), y1: below, y2: below + 0.3 * em });
      text(numberWords(tick), at(tick), below + 1.3 * em, "middle");
    }
    const label = fitted(given.xLabel, end - start);
    const half = wide(label, 600) / 2;
    text(label, clamp((left + right) / 2, start + half, end - half), below + 2.6 * em, "middle", "head");
  }
  function drawLine(line, at, { share }) {
    const y = (value) => below - clamp(share(value), 0, 1) * (below - above);
    const points = given.x.map((x, i) => [at(x), y(line.values[i])]);
    const bar = (p, i) => {
      const [value, error] = [line.values[i], line.errors?.[i]];
      if (!(error > 0) || nowhere(p)) return "";
      const [high, low] = [y(value + error), share(value - error) >= 0 ? y(value - error) : below];
      return `M${p[0]} ${low}V${high}` + [low, high].map((end) => `M${p[0] - 0.25 * em} ${end}h${0.5 * em}`).join("");
    };
    if (!Number.isNaN(share(line.level))) stroke(`M${left} ${y(line.level)}H${right}`, "level", line);
    stroke(points.map(bar).join(""), "error", { colour: line.colour });
    stroke(svgLine(points), "line", line);
    dots(points.filter((point) => !nowhere(point)), line);
  }
  // A mark outside of the plot stands at its end and points on.
  function drawMark() {
    svgPut(svg, { "aria-label": chartWords(given) });
    if (!Number.isFinite(given.mark)) return pointer.removeAttribute("d");
    const x = place(given.mark);
    const at = clamp(x, left, right);
    const on = Math.sign(x - at) * em;
    const flag = on ? `m${-0.7 * on} ${-0.4 * em}v${0.8 * em}l${0.7 * on} ${-0.4 * em}z`
      : `m${-0.4 * em} ${-0.4 * em}h${0.8 * em}l${-0.4 * em} ${0.7 * em}z`;
    svgPut(pointer, { d: `M${at} ${above}V${below}M${at} ${above}${flag}` });
  }

  function draw() {
    if (!given || !svg.clientWidth) return;
    [em, wide] = rulerOf(svg);
    [start, end] = [0.3 * em, svg.clientWidth - 0.3 * em];
    svg.replaceChildren();
    const plain = ["left", "right"].filter((side) => given[side]).map((side) => (
      { ...given[side], side, lines: given.lines.filter((line) => (line.side ?? "left") === side) }));
    above = drawHeads(plain);
    below = svg.clientHeight - 3 * em - drawLegend(given.lines, plain);
    const most = Math.max(1, Math.min(8, Math.floor((below - above) / (1.6 * em))));
    const axes = plain.map((axis) => ({ ...axis, ...valueAxis(axis, axis.lines, most) }));
    const known = given.x.filter(Number.isFinite);
    let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const words = (side) => axes.filter((axis) => axis.side === side).flatMap((axis) => axis.words);
    const margin = (side, x) => Math.max(wide(numberWords(x)) / 2, ...words(side).map((tick) => wide(tick) + 0.5 * em));
    [left, right] = [start + margin("left", low), end - margin("right", high)];
    place = (x) => left + 0.6 * em + ((right - left - 1.2 * em) * (x - low)) / (high - low);
    axes.forEach(drawAxis);
    part("path", "frame", { d: `M${left} ${below}H${right}${axes.length > 1 ? `V${above}` : ""}` });
    drawX(low, high, place);
    pointer = part("path", "mark");
    drawMark();
    for (const axis of axes) for (const line of axis.lines) drawLine(line, place, axis);
  }
  new ResizeObserver(draw).observe(svg);
  // Where only the mark is another one, it moves and nothing else is drawn.
  function show(next) {
    given = next;
    const { mark, ...rest } = next;
    if (news(svg, rest) || !pointer) draw();
    else drawMark();
  }
  return { element: svg, show };
}

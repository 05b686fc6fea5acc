// An editor of the guidance weight over the noise level, which falls from left to right as in sampling. It shows what
// show() brings; what a person wants is shown at once, told to onWish, and stays until show() says what became of it.
import { clamp, short } from "./dom.js";
import { rulerOf, svgLine, svgPart, svgPut } from "./svg.js";

const CURVE_TICKS = [5, 1, 0.1, 0.01, 0.002];
const CURVE_TOPS = [8, 16, 32, 64, 100]; // of the axis, which follows the weights in steps

export function weightCurve(parent, onWish) {
  const part = (where, tag, name, attributes) => svgPart(where, tag, `weightcurve-${name}`, attributes);
  const number = (value, otherwise = NaN) => (Number.isFinite(value) ? value : otherwise);
  const svg = svgPart(parent, "svg", "weightcurve", { role: "group", "aria-label": "weight over noise level" });
  svg.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys for itself
  part(svg, "title", "hint").textContent = "Drag a knot, with Shift more. Drag across: paint. Double click: level.";
  const outside = part(svg, "path", "outside");
  const axes = part(svg, "g", "axes", { "aria-hidden": true });
  const edges = [0, 1].map(() => part(svg, "path", "edge"));
  const curve = part(svg, "path", "curve");
  const knots = part(svg, "g", "knots");
  part(svg, "text", "title", { x: "0.2em", y: "1em" }).textContent = "w(σ)";
  const readout = part(svg, "text", "readout", { y: "1em" });
  // What draw() has read and measured last: what is on the screen, from which every gesture starts.
  let s, w, lo, hi, low, high, top; // knots, guidance interval, ends of the axes
  let em, wide, left, right, above, below; // of the plot, in pixels
  const given = {}; // by show(), or wanted by a person
  let drag = null;
  const x = (sigma) => left + ((right - left) * Math.log(high / clamp(sigma, low, high))) / Math.log(high / low);
  const y = (weight) => below - ((below - above) * clamp(weight, 0, top)) / top;
  const sigmaAt = (px) => high * (low / high) ** ((px - left) / (right - left));
  const weightAt = (py) => ((below - py) / (below - above)) * top;
  const handle = (i) => knots.children[s.length - 1 - i]; // the tab key goes from left to right
  function weightOf(sigma) {
    const i = s.findIndex((other) => other >= sigma);
    if (i <= 0) return w.at(i);
    const share = Math.log(sigma / s[i - 1]) / Math.log(s[i] / s[i - 1]);
    return share === 1 ? w[i] : w[i - 1] + share * (w[i] - w[i - 1]);
  }
  function draw() {
    s = (given.sigmas ?? []).map((sigma) => (sigma > 0 ? number(sigma) : NaN));
    w = s.map((_, i) => number(given.weights?.[i]));
    [low, high] = [Math.min, Math.max].map((end) => end(...s.filter(Number.isFinite)));
    [lo, hi] = [number(given.interval?.[0], 0), number(given.interval?.[1], high)];
    const highest = Math.max(0, ...w.filter(Number.isFinite));
    top = drag?.top ?? CURVE_TOPS.find((end) => end >= highest) ?? 100; // no axis moves under a dragging hand
    [em, wide] = rulerOf(svg);
    left = Math.max(2.8 * em, wide(short(top)) + 1.3 * em);
    [right, above, below] = [svg.clientWidth - 1.5 * em, 2.1 * em, svg.clientHeight - 2.9 * em];
    if (!(right > left && high > low)) return; // hidden, or without an axis
    drawAxes();
    drawCurve();
    drawHandles(Boolean(given.disabled));
    drawWords();
  }
  function drawAxes() {
    axes.replaceChildren();
    for (let tick = 0; tick <= top; tick += top / 4) {
      part(axes, "line", "grid", { x1: left, x2: right, y1: y(tick), y2: y(tick) });
      part(axes, "text", "w", { x: left - 1.1 * em, y: y(tick) + 0.36 * em }).textContent = short(tick);
    }
    let free = -Infinity; // from where on there is room for a label
    for (const sigma of CURVE_TICKS.filter((tick) => tick >= 0.999 * low && tick <= 1.001 * high)) {
      part(axes, "line", "grid", { x1: x(sigma), x2: x(sigma), y1: below, y2: below + 0.3 * em });
      const half = wide(String(sigma)) / 2;
      if (x(sigma) - half < free) continue;
      part(axes, "text", "sigma", { x: x(sigma), y: below + 1.3 * em }).textContent = sigma;
      free = x(sigma) + half + 0.3 * em;
    }
    const [arrow, none] = ["noise → data", "no guidance"];
    const y1 = below + 2.6 * em;
    part(axes, "text", "arrow", { x: 0.2 * em, y: y1 }).textContent = arrow;
    const from = right + 1.2 * em - wide(none); // of the words beside a sample of the line that they mean
    if (from - 2 * em > wide(arrow)) {
      part(axes, "text", "none", { x: from, y: y1 }).textContent = none;
      part(axes, "line", "one", { x1: from - 1.5 * em, x2: from - 0.3 * em, y1: y1 - 0.33 * em, y2: y1 - 0.33 * em });
    }
    part(axes, "line", "one", { x1: left, x2: right, y1: y(1), y2: y(1) });
    const at = x(number(given.now));
    part(axes, "path", "now", { d: Number.isNaN(at) ? "" : `M${at} ${above}V${below}` });
  }
  function drawCurve() {
    const [first, last] = [Math.min(hi, high), Math.max(lo, low)];
    const inside = s.map((sigma, i) => [sigma, w[i]]).reverse().filter(([at]) => !(at >= first || at <= last));
    const bent = [[first, weightOf(first)], ...inside, [last, weightOf(last)]];
    if (hi < high) bent.unshift([high, 1], [first, 1]);
    if (lo >= low) bent.push([last, 1], [low, 1]);
    const points = first > last ? bent : [[high, 1], [low, 1]]; // where a knot is no number, the lines to it are missing too
    svgPut(curve, { d: svgLine(points.map(([sigma, weight]) => [x(sigma), y(weight)])) });
    const shade = (from, to) => `M${from} ${above}H${to}V${below}H${from}z`;
    svgPut(outside, { d: shade(left, x(first)) + shade(x(last), right) });
  }
  function drawHandles(disabled) {
    svg.classList.toggle("toydiff-weightcurve-disabled", disabled);
    const able = { role: "slider", "aria-disabled": disabled, tabindex: disabled ? -1 : 0, "aria-valuemin": 0 };
    const range = (label, max, now) => ({ ...able, "aria-label": label, "aria-valuemax": max, "aria-valuenow": now });
    [hi, lo].forEach((sigma, i) => {
      // A flag that points away from the other, so that both can be taken where they meet.
      const [side, down] = [(i ? 0.8 : -0.8) * em, 0.5 * em];
      const d = `M${x(sigma)} ${below}V${above - 0.8 * em}l${side} ${down}l${-side} ${down}`;
      svgPut(edges[i], { d, ...range(`${i ? "lowest" : "highest"} sigma guided`, high, Math.min(sigma, high)) });
    });
    if (knots.childElementCount !== s.length) knots.replaceChildren(...s.map(() => part(null, "circle", "knot")));
    s.forEach((_, i) => {
      const knot = handle(i);
      knot.dataset.knot = i;
      knot.style.display = Number.isFinite(s[i] + w[i]) ? "" : "none";
      if (knot.style.display) return;
      svgPut(knot, { cx: x(s[i]), cy: y(w[i]), ...range(`weight at sigma ${short(s[i])}`, 100, w[i]) });
      knot.classList.toggle("toydiff-weightcurve-unused", !(s[i] > lo && s[i] <= hi));
    });
  }
  // Beside the title stands what a hand holds, else the weight at the noise level that is shown.
  function drawWords() {
    const held = svg.querySelector(":focus");
    const sigma = held ? s[held.dataset.knot] : number(given.now);
    const weight = held ? w[held.dataset.knot] : sigma > lo && sigma <= hi ? weightOf(sigma) : 1;
    let words = Number.isFinite(sigma + weight) ? `w(${short(sigma)}) = ${+weight.toFixed(2)}` : "";
    if (edges.includes(held)) words = `${short(lo)} < σ ≤ ${short(Math.min(hi, high))}`;
    svgPut(readout, { x: right + 1.2 * em }).textContent = words;
  }

  // A wish is shown at once, and told once per frame.
  let frame = null;
  const untold = new Set();
  function want(change) {
    Object.assign(given, change);
    for (const name of Object.keys(change)) untold.add(name);
    frame ??= requestAnimationFrame(tell);
    draw();
  }
  function tell() {
    cancelAnimationFrame(frame);
    frame = null;
    const names = [...untold];
    untold.clear(); // before anyone answers by show()
    for (const name of names) onWish({ [name]: given[name] });
  }
  const rounded = (weight) => Math.round(20 * clamp(weight, 0, 100)) / 20;
  function wantWeights(changes) {
    const weights = [...given.weights]; // what is no number goes back as it came
    for (const [i, to] of changes) if (!Number.isNaN(to)) weights[i] = rounded(to);
    want({ weights });
  }
  function wantEdge(edge, px) {
    const sigma = Number(sigmaAt(clamp(px, left, right)).toPrecision(3));
    if (edge) want({ interval: [right - px < 0.3 * em ? 0 : Math.min(sigma, hi), hi] });
    else want({ interval: [lo, px - left < 0.3 * em ? high : Math.max(sigma, lo)] });
  }
  const pointed = (event, box = svg.getBoundingClientRect()) => [event.clientX - box.left, event.clientY - box.top];
  // Each gesture gets the last position of the pointer, this one, the event, and whether it begins.
  function bend(knot, grabbed, before) {
    return (_, [, py], event) => {
      const by = weightAt(py) - weightAt(grabbed);
      const bump = (i) => (i === knot ? 1 : event.shiftKey && Math.exp(-(((i - knot) / 1.5) ** 2) / 2));
      wantWeights(before.map((weight, i) => [i, bump(i) > 0.01 ? weight + by * bump(i) : weight]));
    };
  }
  // Knots between the two positions take the height of the way between them; those just ahead, that of its end.
  function paint([ax, ay], [bx, by], _, begins) {
    const way = Math.sign(bx - ax);
    const passed = (at) => way * (at - ax) > (begins ? -0.6 * em : 0) && way * (at - bx) <= 0.6 * em;
    const over = s.map((_, i) => i).filter((i) => way && passed(x(s[i])));
    if (!over.length) return;
    wantWeights(over.map((i) => [i, weightAt(ay + (by - ay) * clamp((x(s[i]) - ax) / (bx - ax), 0, 1))]));
    handle(over.at(way < 0 ? -1 : 0)).focus({ preventScroll: true });
  }
  // The nearest knot within reach, unless the pointer moves on sideways; else an edge; else the curve. An edge at the
  // end of the axis, which bounds nothing, is taken from beside the plot: a stroke over it all must begin somewhere.
  function grab([px, py], to, reach) {
    const sideways = Math.abs(to[0] - px) > 2 * Math.abs(to[1] - py);
    const far = s.map((sigma, i) => number(Math.hypot(px - x(sigma), py - y(w[i])), Infinity));
    const knot = sideways || Math.min(...far) > reach ? -1 : far.indexOf(Math.min(...far));
    const edge = Number(px > (x(hi) + x(lo)) / 2);
    const offset = x(edge ? lo : hi) - px;
    const beside = py < above || px < left - 0.2 * em || px > right + 0.2 * em;
    const near = Math.abs(offset) < reach && (beside || (edge ? lo > low : hi < high));
    (knot >= 0 ? handle(knot) : near ? edges[edge] : null)?.focus({ preventScroll: true });
    return knot >= 0 ? bend(knot, py, w) : near ? (_, [at]) => wantEdge(edge, at + offset) : paint;
  }
  let pressed = [0, 0];
  svg.addEventListener("pointerdown", (event) => {
    if (!drag) pressed = pointed(event);
    if (drag || event.button !== 0 || given.disabled || !(high > low)) return;
    event.preventDefault(); // no text is selected
    svg.setPointerCapture(event.pointerId);
    const reach = (event.pointerType === "touch" ? 1.3 : 0.8) * em; // a finger is wide
    drag = { start: pressed, last: null, top, reach, pointer: event.pointerId, follow: null };
    grab(drag.start, drag.start, reach); // only to focus it
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.pointer) return;
    const [{ start, last, reach }, at] = [drag, pointed(event)];
    if (!last && Math.hypot(at[0] - start[0], at[1] - start[1]) < 3) return; // a click changes nothing
    drag.last = at;
    drag.follow ??= grab(start, at, reach);
    drag.follow(last ?? start, at, event, !last);
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (event) => {
    if (event.pointerId !== drag?.pointer) return;
    drag = null;
    tell(); // so that what is shown next knows all of it
    draw();
  });
  svg.addEventListener("dblclick", () => {
    const [px, py] = pressed; // a browser moves what a finger taps to the nearest knot
    if (given.disabled || !(high > low) || py < above || py > below || px < left - em || px > right + em) return;
    wantWeights(s.map((_, i) => [i, weightAt(py)]));
  });
  svg.addEventListener("keydown", (event) => {
    if (given.disabled || drag || event.ctrlKey || event.metaKey || event.altKey) return;
    const [knot, edge] = [event.target.dataset.knot, edges.indexOf(event.target)];
    const up = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (knot && up) wantWeights([[Number(knot), w[knot] + up]]);
    else if (knot && side) event.target[side < 0 ? "previousSibling" : "nextSibling"]?.focus();
    else if (edge >= 0 && side) wantEdge(edge, x(edge ? lo : hi) + (side * (right - left)) / 40);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const turn of ["focusin", "focusout"]) svg.addEventListener(turn, () => requestAnimationFrame(drawWords));
  new ResizeObserver(draw).observe(svg);
  function show(next) {
    if (next.disabled ?? given.disabled) {
      drag = null;
      untold.clear();
    }
    for (const [name, value] of Object.entries(next)) {
      const held = untold.has(name) || (drag && ["weights", "interval"].includes(name));
      if (!held) given[name] = value; // what the hand wants stands; the rest follows
    }
    draw();
  }
  return { element: svg, show };
}

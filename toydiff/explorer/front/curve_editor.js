// An editor of the guidance weight over the noise level, which falls from left to right as in sampling. It shows the
// model's traits and sends what a person wants, but sets none: Python decides.
const TICKS = [5, 1, 0.1, 0.01, 0.002];
const LARGEST = 100;
const PATIENCE_MS = 1000; // how long a wish is shown that Python does not grant
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const number = (value, otherwise = NaN) => (Number.isFinite(value) ? value : otherwise);
const short = (value) => String(Number(value.toPrecision(3)));

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function make(parent, tag, name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  parent.append(element);
  return put(element, { class: `toydiff-weightcurve${name && "-" + name}`, ...attributes });
}

function render({ model, el }) {
  const svg = make(el, "svg", "", { role: "group" });
  svg.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys for itself
  make(svg, "title", "hint").textContent = "Drag a knot, with Shift more. Drag across: paint. Double click: level.";
  const outside = make(svg, "path", "outside");
  const axes = make(svg, "g", "axes", { "aria-hidden": true });
  const edges = [0, 1].map(() => make(svg, "path", "edge"));
  const curve = make(svg, "path", "curve");
  const knots = make(svg, "g", "knots");
  const [title, readout] = ["title", "readout"].map((name) => make(svg, "text", name, { x: "0.2em", y: "1em" }));
  // What draw() has read and measured last: what is on the screen, from which every gesture starts.
  let s, w, lo, hi, low, high, top; // knots, guidance interval, ends of the axes
  let em, left, right, above, below; // of the plot, in pixels
  let wish = {}; // what a person wants and Python has not granted yet stands in for Python's
  let drag = null;
  const get = (name) => wish[name] ?? model.get(name);
  const x = (sigma) => left + ((right - left) * Math.log(high / clamp(sigma, low, high))) / Math.log(high / low);
  const y = (weight) => below - ((below - above) * clamp(weight, 0, top)) / top;
  const sigmaAt = (px) => high * (low / high) ** ((px - left) / (right - left));
  const handle = (i) => knots.children[s.length - 1 - i]; // the tab key goes from left to right
  const weightAt = (py) => ((below - py) / (below - above)) * top;
  function weightOf(sigma) {
    const i = s.findIndex((other) => other >= sigma);
    if (i <= 0) return w.at(i);
    const part = Math.log(sigma / s[i - 1]) / Math.log(s[i] / s[i - 1]);
    return part === 1 ? w[i] : w[i - 1] + part * (w[i] - w[i - 1]);
  }
  function draw() {
    s = (get("sigmas") ?? []).map((sigma) => (sigma > 0 ? number(sigma) : NaN));
    w = s.map((_, i) => number(get("weights")?.[i]));
    [low, high] = [Math.min, Math.max].map((end) => end(...s.filter(Number.isFinite)));
    [lo, hi] = [number(get("interval")?.[0], 0), number(get("interval")?.[1], high)];
    top = drag?.top ?? Math.max(1, number(model.get("top"), 8)); // no axis moves under a dragging hand
    em = parseFloat(getComputedStyle(svg).fontSize);
    [left, right, above, below] = [2.8 * em, svg.clientWidth - 1.5 * em, 2.1 * em, svg.clientHeight - 2.7 * em];
    if (!(right > left && high > low)) return; // hidden, or without an axis
    drawAxes();
    drawCurve();
    drawHandles(Boolean(model.get("disabled")));
    drawWords();
  }
  function drawAxes() {
    axes.replaceChildren();
    for (let tick = 0; tick <= top; tick += top / 4) {
      make(axes, "line", "grid", { x1: left, x2: right, y1: y(tick), y2: y(tick) });
      make(axes, "text", "w", { x: left - 1.1 * em, y: y(tick) + 0.36 * em }).textContent = short(tick);
    }
    for (const sigma of TICKS.filter((tick) => tick >= 0.999 * low && tick <= 1.001 * high)) {
      make(axes, "line", "grid", { x1: x(sigma), x2: x(sigma), y1: below, y2: below + 0.3 * em });
      make(axes, "text", "sigma", { x: x(sigma), y: below + 1.25 * em }).textContent = sigma;
    }
    make(axes, "text", "arrow", { x: left - 0.5 * em, y: below + 2.4 * em }).textContent = "noise → data";
    make(axes, "text", "none", { x: right + 1.2 * em, y: below + 2.4 * em }).textContent = "··· no guidance";
    make(axes, "line", "one", { x1: left, x2: right, y1: y(1), y2: y(1) });
    const at = x(number(model.get("now")));
    make(axes, "path", "now", { d: Number.isNaN(at) ? "" : `M${at} ${above}V${below}` });
  }
  // Where a knot is no number, the lines to it are missing too.
  function path(points) {
    const lost = (point) => !point || Number.isNaN(point[0] + point[1]);
    return points.map((p, i) => (lost(p) ? "" : `${lost(points[i - 1]) ? "M" : "L"}${x(p[0])} ${y(p[1])}`)).join("");
  }
  function drawCurve() {
    const [first, last] = [Math.min(hi, high), Math.max(lo, low)];
    const inside = s.map((sigma, i) => [sigma, w[i]]).reverse().filter(([at]) => !(at >= first || at <= last));
    const bent = [[first, weightOf(first)], ...inside, [last, weightOf(last)]];
    if (hi < high) bent.unshift([high, 1], [first, 1]);
    if (lo >= low) bent.push([last, 1], [low, 1]);
    put(curve, { d: path(first > last ? bent : [[high, 1], [low, 1]]) });
    const shade = (from, to) => `M${from} ${above}H${to}V${below}H${from}z`;
    put(outside, { d: shade(left, x(first)) + shade(x(last), right) });
  }
  function drawHandles(disabled) {
    svg.classList.toggle("toydiff-weightcurve-disabled", disabled);
    const able = { role: "slider", "aria-disabled": disabled, tabindex: disabled ? -1 : 0, "aria-valuemin": 0 };
    const range = (label, max, now) => ({ ...able, "aria-label": label, "aria-valuemax": max, "aria-valuenow": now });
    [hi, lo].forEach((sigma, i) => {
      // A flag that points away from the other, so that both can be taken where they meet.
      const [side, down] = [(i ? 0.8 : -0.8) * em, 0.5 * em];
      const d = `M${x(sigma)} ${below}V${above - 0.8 * em}l${side} ${down}l${-side} ${down}`;
      put(edges[i], { d, ...range(`${i ? "lowest" : "highest"} sigma guided`, high, Math.min(sigma, high)) });
    });
    if (knots.childElementCount !== s.length) knots.replaceChildren(...s.map(() => make(knots, "circle", "knot")));
    s.forEach((_, i) => {
      const knot = handle(i);
      knot.dataset.knot = i;
      knot.style.display = Number.isFinite(s[i] + w[i]) ? "" : "none";
      if (knot.style.display) return;
      put(knot, { cx: x(s[i]), cy: y(w[i]), ...range(`weight at sigma ${short(s[i])}`, LARGEST, w[i]) });
      knot.classList.toggle("toydiff-weightcurve-unused", !(s[i] > lo && s[i] <= hi));
    });
  }
  // Beside the title stands what a hand holds, else the weight at the noise level that is shown.
  function drawWords() {
    const held = svg.querySelector(":focus");
    const sigma = held ? s[held.dataset.knot] : number(model.get("now"));
    const weight = held ? w[held.dataset.knot] : sigma > lo && sigma <= hi ? weightOf(sigma) : 1;
    let words = Number.isFinite(sigma + weight) ? `w(${short(sigma)}) = ${+weight.toFixed(2)}` : "";
    if (edges.includes(held)) words = `${short(lo)} < σ ≤ ${short(Math.min(hi, high))}`;
    put(readout, { x: right + 1.2 * em }).textContent = words;
    title.textContent = model.get("description");
    put(svg, { "aria-label": title.textContent });
  }

  // A wish is shown at once and until Python has granted it, and sent once per frame.
  let [frame, patience] = [null, null];
  const unsent = new Set();
  function want(change) {
    Object.assign(wish, change);
    Object.keys(change).forEach((name) => unsent.add(name));
    frame ??= requestAnimationFrame(send);
    wait();
    draw();
  }
  function send() {
    for (const name of unsent) model.send({ [name]: get(name) });
    unsent.clear();
    frame = null;
  }
  function forget() {
    wish = {};
    unsent.clear();
    draw();
  }
  function wait() {
    clearTimeout(patience);
    patience = setTimeout(() => { if (!drag) forget(); }, PATIENCE_MS);
  }
  const rounded = (weight) => Math.round(20 * clamp(weight, 0, LARGEST)) / 20;
  function wantWeights(changes) {
    const weights = [...get("weights")]; // what is no number goes back as it came
    for (const [i, to] of changes) if (!Number.isNaN(to)) weights[i] = rounded(to);
    want({ weights });
  }
  function wantEdge(edge, px) {
    const sigma = Number(sigmaAt(clamp(px, left, right)).toPrecision(3));
    if (edge) want({ interval: [right - px < 0.3 * em ? 0 : Math.min(sigma, hi), hi] });
    else want({ interval: [lo, px - left < 0.3 * em ? high : Math.max(sigma, lo)] });
  }
  function onTraits() {
    const granted = Object.keys(wish).every((name) => String(wish[name]) === String(model.get(name)));
    if (model.get("disabled")) drag = null;
    (granted && !drag ? forget : draw)();
  }
  const pointed = (event, box = svg.getBoundingClientRect()) => [event.clientX - box.left, event.clientY - box.top];
  // Each gesture gets the last position of the pointer, this one, the event, and whether it begins.
  function bend(knot, grabbed, before) {
    return (_, [, py], event) => {
      const by = weightAt(py) - weightAt(grabbed);
      const brush = Math.max(number(model.get("brush"), 0), event.shiftKey ? 1.5 : 0);
      const bump = (i) => (i === knot ? 1 : brush && Math.exp(-(((i - knot) / brush) ** 2) / 2));
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
  // A knot where one is near, unless the pointer moves on sideways; else an edge; else the curve. An edge at the end of
  // the axis, which bounds nothing, is taken from beside the plot: a stroke over the whole plot must begin somewhere.
  function grab([px, py], to) {
    const sideways = Math.abs(to[0] - px) > 2 * Math.abs(to[1] - py);
    const knot = s.findIndex((sigma, i) => !sideways && Math.hypot(px - x(sigma), py - y(w[i])) < 0.75 * em);
    const edge = Number(px > (x(hi) + x(lo)) / 2);
    const offset = x(edge ? lo : hi) - px;
    const beside = py < above || px < left - 0.2 * em || px > right + 0.2 * em;
    const near = Math.abs(offset) < 0.8 * em && (beside || (edge ? lo > low : hi < high));
    (knot >= 0 ? handle(knot) : near ? edges[edge] : null)?.focus({ preventScroll: true });
    return knot >= 0 ? bend(knot, py, w) : near ? (_, [at]) => wantEdge(edge, at + offset) : paint;
  }
  svg.addEventListener("pointerdown", (event) => {
    if (drag || event.button !== 0 || model.get("disabled")) return;
    event.preventDefault(); // no text is selected
    svg.setPointerCapture(event.pointerId);
    const start = pointed(event);
    drag = { start, last: null, top, pointer: event.pointerId, follow: null };
    grab(start, start); // only to focus it
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.pointer) return;
    const [{ start, last }, at] = [drag, pointed(event)];
    if (!last && Math.hypot(at[0] - start[0], at[1] - start[1]) < 3) return; // a click changes nothing
    drag.last = at;
    drag.follow ??= grab(start, at);
    drag.follow(last ?? start, at, event, !last);
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (event) => {
    if (event.pointerId !== drag?.pointer) return;
    drag = null;
    wait();
    onTraits();
  });
  svg.addEventListener("dblclick", (event) => {
    const [px, py] = pointed(event);
    if (model.get("disabled") || py < above || py > below || px < left - em || px > right + em) return;
    forget();
    model.send({ straight: rounded(weightAt(py)) });
  });
  svg.addEventListener("keydown", (event) => {
    if (model.get("disabled") || drag || event.ctrlKey || event.metaKey || event.altKey) return;
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
  const shown = ["sigmas", "weights", "interval", "top", "now", "disabled", "description"];
  for (const name of shown) model.on(`change:${name}`, onTraits);
  const resized = new ResizeObserver(draw);
  resized.observe(svg);
  return () => {
    clearTimeout(patience);
    cancelAnimationFrame(frame);
    resized.disconnect();
    for (const name of shown) model.off(`change:${name}`, onTraits);
  };
}

export default { render };

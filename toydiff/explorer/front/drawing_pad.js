// A pad to draw on, by mouse, finger, pen or keyboard: shows strokes and adds what a person draws, each stroke when it
// is finished. A stroke is { class, thickness, points: [[x, y], ...] }, from -1 to 1 with y upwards.
import { ARROWS, clamp, make } from "./dom.js";

const PAD_NEAREST = 0.004; // nearer points are left out, so that a long stroke remains small
const PAD_HELP = "Drawing pad: drag for a stroke, click for a dot, Ctrl+Z takes the last one back. "
  + "By keyboard: arrows move the pen, with Shift less, Space puts it down and lifts it";

// `colours` by class; `change(strokes)` after each stroke that a person adds or takes back.
export function pad(parent, { colours, change }) {
  const element = make(parent, "div", { name: "pad" });
  // An application, or a screen reader would take the arrow keys for itself.
  const canvas = make(element, "canvas", { tabIndex: 0 }, { role: "application", "aria-label": PAD_HELP });
  canvas.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes Ctrl+Z for itself
  const hint = make(element, "div", { name: "pad-hint", textContent: "draw here" });
  const context = canvas.getContext("2d");
  // `pen` and `thickness` are of the strokes to come.
  const board = { element, strokes: [], pen: Object.keys(colours)[0], thickness: 0.1, put };
  let stroke = null; // the one that is being drawn
  let pointer = null; // its pointer, or "keys"
  let hover = null; // where the pen is above the pad, to show how thick it is
  const inside = (value) => clamp(Number(value.toFixed(4)), -1, 1);

  function set(strokes) {
    board.strokes = strokes;
    draw();
    change(strokes);
  }
  function put(strokes) {
    board.strokes = [...strokes];
    soon();
  }

  // Outside the pad positions stay on its border.
  function position(event) {
    const box = canvas.getBoundingClientRect();
    const [across, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return [inside(2 * across - 1), inside(1 - 2 * down)];
  }
  function begin(by, point) {
    [pointer, stroke] = [by, { class: board.pen, thickness: board.thickness, points: [point] }];
    soon();
  }
  function add(point, nearest = PAD_NEAREST) {
    const last = stroke.points.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= nearest) stroke.points.push(point);
  }
  function finish() {
    const done = stroke;
    stroke = null;
    set([...board.strokes, done]);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (stroke && pointer === "keys") finish();
    if (stroke || event.button !== 0) return; // one stroke at a time, whatever other fingers do
    canvas.setPointerCapture(event.pointerId);
    begin(event.pointerId, position(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke ? event.pointerId !== pointer : event.pointerType === "touch") return;
    hover = event.pointerType === "touch" ? null : position(event);
    // A fast pen moves several times between two frames.
    const moves = event.getCoalescedEvents?.() ?? [];
    if (stroke) for (const move of moves.length ? moves : [event]) add(position(move));
    soon();
  });
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", () => {
    if (pointer === "keys" && stroke) finish();
    leave();
  });
  function leave() {
    if (!stroke) hover = null;
    soon();
  }
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
    if (!stroke || event.pointerId !== pointer) return;
    // A pointer that is cancelled may stand nowhere: what was drawn so far is kept.
    if (end === "pointerup") add(position(event), stroke.points.length > 1 ? 1e-9 : PAD_NEAREST);
    finish();
  });
  canvas.addEventListener("keydown", (event) => {
    const undo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    const way = ARROWS[event.key];
    const busy = event.altKey || (!undo && (event.ctrlKey || event.metaKey)) || (stroke && pointer !== "keys");
    if (busy || !(undo || way || event.key === " ")) return;
    event.preventDefault();
    event.stopPropagation();
    if (undo && !stroke && board.strokes.length) set(board.strokes.slice(0, -1));
    if (undo) return;
    hover ??= [0, 0];
    const step = event.shiftKey ? 0.01 : 0.05;
    if (way) hover = hover.map((at, i) => inside(at + step * way[i]));
    if (way && stroke) add(hover);
    if (!way && !event.repeat && stroke) finish();
    else if (!way && !event.repeat) begin("keys", hover);
    soon();
  });

  let frame = null;
  function soon() {
    frame ??= requestAnimationFrame(draw);
  }
  function draw() {
    cancelAnimationFrame(frame);
    frame = null;
    const size = Math.round(canvas.clientWidth * devicePixelRatio); // which another screen changes, also in mid-stroke
    if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
    context.clearRect(0, 0, size, size);
    context.globalAlpha = 1;
    drawGrid(size);
    const all = stroke ? [...board.strokes, stroke] : board.strokes;
    hint.hidden = all.length > 0;
    context.globalAlpha = 0.7; // overlaps show
    for (const one of all) drawStroke(one, size / 2);
    if (hover && (!stroke || pointer === "keys")) drawPen(size / 2);
  }
  function drawGrid(size) {
    const dot = Math.max(1, devicePixelRatio);
    context.fillStyle = "#aaa";
    for (let i = 1; i < 8; i++) {
      for (let j = 1; j < 32; j++) {
        const [along, across] = [(j / 32) * size, (i / 8) * size].map((at) => Math.round(at - dot / 2));
        context.fillRect(along, across, dot, dot);
        context.fillRect(across, along, dot, dot);
      }
    }
  }
  // Straight from point to point, as Python reads it; the points lie so close that it looks smooth.
  function drawStroke({ class: name, thickness: wide, points }, half) {
    const path = points.map(([x, y]) => [half * (1 + x), half * (1 - y)]);
    context.fillStyle = context.strokeStyle = colours[name] ?? "#777";
    context.lineWidth = wide * half;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    if (path.length === 1) {
      context.arc(...path[0], context.lineWidth / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      for (const point of path) context.lineTo(...point);
      context.stroke();
    }
  }
  function drawPen(half) {
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(half * (1 + hover[0]), half * (1 - hover[1]), (board.thickness * half) / 2, 0, 2 * Math.PI);
    for (const [colour, wide] of [["#fff", 4], [colours[board.pen], 2]]) { // seen on any stroke
      context.strokeStyle = colour;
      context.lineWidth = wide * devicePixelRatio;
      context.stroke();
    }
  }

  // The device's pixels, where a browser can watch those: they change with the screen though the pad's size does not.
  const box = "devicePixelContentBoxSize" in ResizeObserverEntry.prototype ? "device-pixel-content-box" : "content-box";
  new ResizeObserver(draw).observe(canvas, { box });
  return board;
}

// A pad to draw on: shows the strokes of the model and adds what a person draws, each stroke when it is finished.
const NEAREST = 0.004; // nearer points are left out, so that a long stroke remains small
const OPACITY = 0.7; // overlaps show
const GRID = 8;

const clamp = (value) => Math.max(-1, Math.min(1, Number(value.toFixed(4))));

function render({ model, el }) {
  const pad = document.createElement("div");
  pad.className = "toydiff-pad";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes Ctrl+Z for itself
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Drawing pad: drag for a stroke, click for a dot, Ctrl+Z takes the last one back");
  const hint = document.createElement("div");
  hint.className = "toydiff-pad-hint";
  hint.textContent = "draw here";
  pad.append(canvas, hint);
  el.append(pad);
  const context = canvas.getContext("2d");

  let stroke = null; // the one that is being drawn
  let pointer = null; // its pointer
  let hover = null; // where a mouse stands, to show how thick the pen is

  const strokes = () => model.get("strokes") ?? [];
  function set(value) {
    model.set("strokes", value);
    model.save_changes();
    draw();
  }

  // Positions go from -1 to 1 across the pad, y upwards; outside it they stay on its border.
  function position(event) {
    const box = canvas.getBoundingClientRect();
    return [
      clamp((2 * (event.clientX - box.left)) / box.width - 1),
      clamp(1 - (2 * (event.clientY - box.top)) / box.height),
    ];
  }

  function add(event) {
    const last = stroke.points.at(-1);
    const point = position(event);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= NEAREST) stroke.points.push(point);
    return point;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (stroke || event.button !== 0) return; // one stroke at a time, whatever other fingers do
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    stroke = { class: model.get("pen"), thickness: model.get("thickness"), points: [position(event)] };
    soon();
  });
  canvas.addEventListener("pointermove", (event) => {
    hover = event.pointerType === "touch" ? null : position(event);
    if (stroke && event.pointerId === pointer) {
      // A fast pen moves several times between two frames.
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length ? moves : [event]) add(move);
    }
    soon();
  });
  canvas.addEventListener("pointerleave", () => {
    hover = null;
    soon();
  });
  function finish(event) {
    if (!stroke || event.pointerId !== pointer) return;
    if (event.type === "pointerup") {
      const end = add(event);
      const last = stroke.points.at(-1);
      if (stroke.points.length > 1 && (end[0] !== last[0] || end[1] !== last[1])) stroke.points.push(end);
    }
    const done = stroke;
    stroke = null;
    set([...strokes(), done]);
  }
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish); // it may stand nowhere: what was drawn so far is kept
  canvas.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (!stroke && strokes().length) set(strokes().slice(0, -1));
  });

  let frame = null;
  function soon() {
    frame ??= requestAnimationFrame(draw);
  }

  function draw() {
    cancelAnimationFrame(frame);
    frame = null;
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const half = size / 2;
    pad.dataset.pen = model.get("pen");
    context.clearRect(0, 0, size, size);
    context.globalAlpha = 1;
    drawGrid(size);
    const all = stroke ? [...strokes(), stroke] : strokes();
    hint.hidden = all.length > 0;
    context.globalAlpha = OPACITY;
    for (const one of all) drawStroke(one, half);
    if (hover && !stroke) drawPen(half);
  }

  function drawGrid(size) {
    const dot = Math.max(1, devicePixelRatio);
    context.fillStyle = "#aaa";
    for (let i = 1; i < GRID; i++) {
      for (let j = 1; j < 4 * GRID; j++) {
        const [along, across] = [(j / 4 / GRID) * size, (i / GRID) * size];
        context.fillRect(Math.round(along - dot / 2), Math.round(across - dot / 2), dot, dot);
        context.fillRect(Math.round(across - dot / 2), Math.round(along - dot / 2), dot, dot);
      }
    }
  }

  // Straight from point to point, as Python reads it; the points lie so close that it looks smooth.
  function drawStroke({ class: name, thickness, points }, half) {
    const path = (points ?? []).map(([x, y]) => [half * (1 + x), half * (1 - y)]);
    if (!path.length) return;
    context.fillStyle = context.strokeStyle = model.get("colours")[name];
    context.lineWidth = thickness * half;
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
    context.strokeStyle = model.get("colours")[model.get("pen")];
    context.lineWidth = 1.5 * devicePixelRatio;
    context.beginPath();
    context.arc(half * (1 + hover[0]), half * (1 - hover[1]), (model.get("thickness") * half) / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  const shown = ["strokes", "colours", "pen", "thickness"];
  for (const name of shown) model.on(`change:${name}`, soon);
  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  return () => {
    cancelAnimationFrame(frame);
    resized.disconnect();
    for (const name of shown) model.off(`change:${name}`, soon);
  };
}

export default { render };

// The page: two panels of the same noise, what is common to both, and the loop that draws them.
const END = page.levels.at(-1);
const STEPS_A_SECOND = 7;
const REST_MS = 400;
const NEAR = 16; // pixels from the pointer to a sample
const LAYERS = {
  outlines: ["true distribution", true],
  outliers: ["outliers in pink", true],
  trajectories: ["trajectories", false],
  rescue: ["lines from no guidance", false],
};
const layers = Object.fromEntries(Object.entries(LAYERS).map(([name, [, on]]) => [name, on]));
let [step, goalStep] = [END, END]; // of the solver: 0 is all noise, END the data
let [playing, ringed, dirty, last, resting] = [false, null, true, performance.now(), null];
const changed = () => {
  dirty = true;
};

function checkbox(parent, name, checked, change) {
  const label = make(parent, "label", { className: "check" });
  const input = make(label, "input", { type: "checkbox", checked });
  label.append(` ${name}`);
  input.addEventListener("change", () => change(input.checked));
  return input;
}

const FIRST = ["cfg" in page.methods ? "cfg" : page.first.method, page.first.method];
const panels = FIRST.map((method, i) => new Panel(i, method));
const compare = checkbox($("layers"), "compare two pictures", innerWidth > 700, () => show());
for (const [name, [title, on]] of Object.entries(LAYERS)) {
  checkbox($("layers"), title, on, (checked) => {
    layers[name] = checked;
    changed();
  });
}
const visible = () => (compare.checked ? panels : panels.slice(1));

function show() {
  panels[0].element.hidden = !compare.checked;
  document.body.classList.toggle("compared", compare.checked);
  changed();
}

function frame(now) {
  const passed = Math.min(now - last, 100);
  last = now;
  if (playing) {
    goalStep = step = Math.min(END, step + (passed / 1000) * STEPS_A_SECOND);
    if (step === END) play(false);
    changed();
  }
  if (dirty) {
    dirty = false;
    step = glide(step, goalStep, passed);
    const plain = layers.rescue && runs.plain ? runs.points(runs.plain, 0, step) : null;
    for (const panel of visible()) {
      if (panel.update(step, passed, now)) changed();
      draw(panel, step, layers, ringed, plain);
    }
    if (step !== goalStep) changed();
    tell();
  }
  document.documentElement.dataset.rest = !dirty;
  requestAnimationFrame(frame);
}

// The numbers are those of the nearest weights that were computed.
function tell() {
  const sigma = String(Number(runs.sigma(step).toPrecision(2)));
  $("sigma").textContent = sigma;
  $("noise").setAttribute("aria-valuetext", `sigma ${sigma}`);
  if (playing) $("noise").value = step;
  const columns = visible().map((panel) => panel.numbers());
  const names = columns.length > 1 ? ["left", "right"] : ["here"];
  const cells = (metric, i) => [metric.title, ...columns.map((numbers) => numbers[i]), inWords(metric, metric.exact)];
  const rows = page.metrics.map(cells);
  const heads = [...names, "exact"].map((name) => `<th scope="col">${name}</th>`);
  const head = `<caption>at the end, σ = 0</caption><tr><td></td>${heads.join("")}</tr>`;
  const row = ([name, ...cells]) => `<tr><th scope="row">${name}</th><td>${cells.join("</td><td>")}</td></tr>`;
  const html = head + rows.map(row).join("");
  if (html !== tell.html) $("numbers").innerHTML = tell.html = html;
  clearTimeout(resting);
  resting = setTimeout(atRest, REST_MS);
}

// For a screen reader, once nothing moves; and the address holds what is set, so that it can be passed on.
function atRest() {
  for (const panel of panels) panel.canvas.setAttribute("aria-label", panel.sentence());
  $("said").textContent = visible().map((panel) => panel.sentence()).join(" ");
  const set = ({ run, nearest }) => [run.method, run.weights[nearest], run.guide?.width, run.guide?.steps].join(",");
  history.replaceState(null, "", `#${[...panels.map(set), visible().length].join("/")}`);
}

// What the address holds, as `atRest` wrote it; whatever else stands there is passed over.
function recall() {
  let parts = [];
  try {
    parts = decodeURIComponent(location.hash.slice(1)).split("/");
  } catch {} // an address that was cut short, within a letter
  if (parts.length !== 3) return;
  panels.forEach((panel, i) => {
    const [method, weight, width, steps] = parts[i].split(",");
    const guide = { width: Number(width), steps: Number(steps) };
    if (Object.hasOwn(page.methods, method)) panel.choose(method, Number(weight) || undefined, guide);
  });
  compare.checked = parts[2] === "2";
}

function play(on) {
  playing = on;
  if (on && step === END) step = 0;
  if (!on) goalStep = nearestOf(page.levels, step);
  $("noise").value = goalStep;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "Pause" : "Play from noise to data");
  changed();
}

function zoom(factor, x = camera.x, y = camera.y) {
  const closer = Math.min(40, Math.max(0.5, camera.closer * factor));
  const part = camera.closer / closer; // the point (x, y) stays where it is
  Object.assign(camera, { closer, x: x + (camera.x - x) * part, y: y + (camera.y - y) * part });
  changed();
}

function ring(panel, event) {
  const { width, left, top } = panel.canvas.getBoundingClientRect();
  const { x, y } = lens(width, step);
  let [nearest, best] = [null, NEAR ** 2];
  for (let n = 0; n < page.points; n++) {
    const far = (x(panel.shown, n) - event.clientX + left) ** 2 + (y(panel.shown, n) - event.clientY + top) ** 2;
    if (far < best) [nearest, best] = [n, far];
  }
  if (nearest !== ringed) setRing(nearest);
}

function setRing(sample) {
  ringed = sample;
  changed();
}

// A mouse that is pressed moves the picture; else it points at a sample, as a finger does.
function point(panel, event) {
  if (!event.buttons || event.pointerType !== "mouse") return ring(panel, event);
  const scale = (2 * halfWidth(step)) / panel.canvas.clientWidth;
  camera.x -= event.movementX * scale;
  camera.y += event.movementY * scale;
  changed();
}

// A pinch on a touchpad comes as a wheel with Ctrl; without it the page scrolls.
function pinch(panel, event) {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const { width, left, top } = panel.canvas.getBoundingClientRect();
  const full = 2 * halfWidth(step);
  const x = camera.x + ((event.clientX - left) / width - 0.5) * full;
  const y = camera.y + (0.5 - (event.clientY - top) / width) * full;
  zoom(Math.exp(-event.deltaY / 200), x, y);
}

function listen() {
  const follow = (goal, at = step) => {
    if (playing) play(false);
    [goalStep, step] = [goal, at];
    changed();
  };
  const drag = (at) => follow(at, at);
  withStops($("noise"), () => page.levels, drag, (goal) => follow(goal));
  $("play").addEventListener("click", () => play(!playing));
  $("closer").addEventListener("click", () => zoom(1.5));
  $("farther").addEventListener("click", () => zoom(1 / 1.5));
  $("whole").addEventListener("click", () => {
    Object.assign(camera, WHOLE);
    changed();
  });
  addEventListener("resize", changed);
  addEventListener("hashchange", () => (recall(), show()));
  for (const panel of panels) {
    const { canvas } = panel;
    // A finger leaves whenever it is lifted: its ring stays until the next touch.
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && setRing(null));
    for (const name of ["pointerdown", "pointermove"]) canvas.addEventListener(name, (event) => point(panel, event));
    canvas.addEventListener("wheel", (event) => pinch(panel, event), { passive: false });
  }
}

$("noise").max = END;
$("noise").value = END;
const colours = { ...page.colours, class: page.outlines.at(-1).light };
for (const swatch of document.querySelectorAll("[data-colour]")) swatch.style.background = colours[swatch.dataset.colour];
for (const { title, meaning } of page.metrics) {
  make($("meanings"), "dt", { textContent: title });
  make($("meanings"), "dd", { textContent: `: ${meaning}` });
}
const { main, samples, seed, set, version } = page.made;
$("made").textContent =
  `At rest every point was computed; while a weight is dragged they go straight from one place to the next. ` +
  `Numbers: ${samples.toLocaleString("en")} samples, seed ${seed}; "exact" is what as many exact samples score. ` +
  `Main model: ${main.exact ? "the exact density" : `width ${main.width}, ${main.steps.toLocaleString("en")} steps`}. ` +
  `${set ? `Set for all: ${set}. ` : ""}Made by toydiff ${version}, toydiff export-html.`;
listen();
recall();
show();
requestAnimationFrame(frame);

// The page: two panels of the same noise, what is common to both, and the loop that draws them.
const END = page.levels.at(-1);
const STEPS_A_SECOND = 7;
const REST_MS = 400;
const NEAR = 16; // pixels from the pointer to a sample
const LAYERS = {
  outlines: ["true distribution", true],
  outliers: ["outliers in pink", true],
  trajectories: ["trajectories", false],
  rescue: ["lines from w = 1", false],
};
const layers = Object.fromEntries(Object.entries(LAYERS).map(([name, [, on]]) => [name, on]));
let [step, goalStep] = [END, END]; // of the solver: 0 is all noise, END the data
let [playing, ringed, dirty, last, resting] = [false, null, true, performance.now(), null];
const changed = () => (dirty = true);

function checkbox(parent, name, checked, change) {
  const label = make(parent, "label", { className: "check" });
  const input = make(label, "input", { type: "checkbox", checked });
  label.append(` ${name}`);
  input.addEventListener("change", () => change(input.checked));
  return input;
}

const panels = ["cfg", page.first.method].map((name, i) => new Panel(i, name in page.methods ? name : page.first.method));
const compare = checkbox($("layers"), "compare two pictures", innerWidth > 700, () => show());
for (const [name, [title, on]] of Object.entries(LAYERS)) {
  checkbox($("layers"), title, on, (checked) => changed((layers[name] = checked)));
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
  const rows = page.metrics.map((metric, i) => [
    `<span title="${metric.meaning}">${metric.title}</span>`,
    ...columns.map((numbers) => numbers[i]),
    inWords(metric, metric.exact),
  ]);
  const head = `<tr><td></td>${[...names, "exact"].map((name) => `<th scope="col">${name}</th>`).join("")}</tr>`;
  const row = ([name, ...cells]) => `<tr><th scope="row">${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
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

function recall() {
  const parts = decodeURIComponent(location.hash.slice(1)).split("/");
  if (parts.length !== 3) return;
  panels.forEach((panel, i) => {
    const [method, weight, width, steps] = parts[i].split(",");
    if (method in page.methods) panel.choose(method, Number(weight) || undefined, { width: Number(width), steps: Number(steps) });
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
  if (nearest !== ringed) changed((ringed = nearest));
}

function listen() {
  const follow = (goal, at = step) => {
    if (playing) play(false);
    changed(([goalStep, step] = [goal, at]));
  };
  withStops($("noise"), () => page.levels, (at) => follow(at, at), (at) => follow(at)); // prettier-ignore
  $("play").addEventListener("click", () => play(!playing));
  $("closer").addEventListener("click", () => zoom(1.5));
  $("farther").addEventListener("click", () => zoom(1 / 1.5));
  $("whole").addEventListener("click", () => changed(Object.assign(camera, { closer: 1, x: page.view.x, y: page.view.y })));
  addEventListener("resize", changed);
  addEventListener("hashchange", () => (recall(), show()));
  for (const panel of panels) {
    const { canvas } = panel;
    canvas.addEventListener("pointerleave", () => changed((ringed = null)));
    canvas.addEventListener("pointerdown", (event) => event.pointerType === "mouse" && canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons || event.pointerType !== "mouse") return ring(panel, event);
      const scale = (2 * halfWidth(step)) / canvas.clientWidth;
      camera.x -= event.movementX * scale;
      camera.y += event.movementY * scale;
      changed();
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the page scrolls; a pinch on a touchpad comes with it
      event.preventDefault();
      const { width, left, top } = canvas.getBoundingClientRect();
      const [px, py] = [(event.clientX - left) / width - 0.5, 0.5 - (event.clientY - top) / width];
      const full = 2 * halfWidth(step);
      zoom(Math.exp(-event.deltaY / 200), camera.x + px * full, camera.y + py * full);
    }, { passive: false }); // prettier-ignore
  }
}

$("noise").max = END;
$("noise").value = END;
for (const swatch of document.querySelectorAll("[data-colour]")) swatch.style.background = { ...page.colours, class: page.outlines.at(-1).light }[swatch.dataset.colour];
const { main, samples, seed, version } = page.made;
$("made").textContent =
  `Between the weights that were computed the points are moved in straight lines; whatever stands still was computed. ` +
  `Numbers: ${samples.toLocaleString("en")} samples, seed ${seed}; "exact" is what as many exact samples score. ` +
  `Main model: ${main.exact ? "the exact density" : `width ${main.width}, ${main.steps.toLocaleString("en")} steps`}. ` +
  `Made by toydiff ${version}, toydiff export-html.`;
listen();
recall();
show();
requestAnimationFrame(frame);

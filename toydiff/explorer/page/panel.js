// A panel: a picture with its method, weight and guide. What a person sets is the goal; what is shown glides there.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const CHANGE_MS = 250;
const HELD_MS = 300; // a hand that holds still wants to see something computed too
const smooth = (part) => part * part * (3 - 2 * part);
const glide = (at, goal, passed) =>
  calm.matches || Math.abs(goal - at) < 0.005 ? goal : at + (goal - at) * (1 - Math.exp(-passed / 70));
const ARROWS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
const KEYS = { ...ARROWS, PageUp: 3, PageDown: -3, Home: -Infinity, End: Infinity };
const nearestOf = (list, value) => list.reduce((a, b) => (Math.abs(b - value) < Math.abs(a - value) ? b : a));

function make(parent, tag, properties = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

// A slider under its name, and what it stands at beside the name.
function slider(parent, name, step) {
  const label = make(parent, "label", { textContent: `${name} ` });
  const value = make(label, "b"); // no <output>: the label would be its, and not the slider's
  const input = make(label, "input", { type: "range", min: 0, max: 0, step }, { "aria-label": name });
  const show = (text) => {
    value.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  return { label, input, show };
}

// A slider that follows the hand, and comes to rest where something was computed: at one of its stops.
function withStops(input, stops, follow, rest) {
  const here = () => nearestOf(stops(), Number(input.value));
  let held = null;
  input.addEventListener("input", () => {
    follow(Number(input.value));
    clearTimeout(held);
    held = setTimeout(() => rest(here()), HELD_MS);
  });
  input.addEventListener("change", () => {
    clearTimeout(held);
    rest((input.value = here()));
  });
  input.addEventListener("keydown", (event) => {
    const all = stops();
    const i = all.indexOf(here());
    const by = KEYS[event.key];
    if (by === undefined) return;
    event.preventDefault();
    rest((input.value = all[Math.max(0, Math.min(all.length - 1, i + by))]));
  });
}

class Panel {
  constructor(number, method) {
    this.element = make($("panels"), "article", { className: "panel" }, { "aria-label": `Picture ${number + 1}` });
    this.menu = make(make(this.element, "label", { className: "method", textContent: "method " }), "select");
    for (const [value, textContent] of Object.entries(page.methods)) make(this.menu, "option", { value, textContent });
    this.menu.addEventListener("change", () => this.choose(this.menu.value));
    this.canvas = make(this.element, "canvas", {}, { role: "img" });
    const controls = make(this.element, "div", { className: "controls" });
    this.weight = slider(controls, "weight w", "any");
    const places = () => this.run.weights.map((_, i) => i);
    const drag = (at) => this.aim(at, at);
    withStops(this.weight.input, places, drag, (goal) => this.aim(goal));
    const guides = make(controls, "div", { className: "guides" });
    [this.width, this.training] = ["guide: width", "guide: training steps"].map((name) => slider(guides, name, 1));
    for (const { input } of [this.width, this.training]) input.addEventListener("input", () => this.pickGuide());
    this.shown = new Float32Array(runs.size);
    this.outlier = () => false;
    this.ways = () => [];
    this.at = 0; // the place among the weights that is shown
    this.choose(method);
  }

  get run() {
    return page.runs[this.index];
  }

  get nearest() {
    return Math.round(this.goal);
  }

  // Another method, with the weight that is nearest to the wanted one, and the wanted guide or else the method's own.
  choose(method, weight = page.first.weights[method], guide = this.guide) {
    this.menu.value = method;
    this.own = page.runs.map((run, i) => ({ ...run, i })).filter((run) => run.method === method);
    const values = (what) => [...new Set(this.own.map((run) => run.guide?.[what]))].sort((a, b) => a - b);
    [this.widths, this.trainings] = [values("width"), values("steps")];
    const offer = ({ label, input }, list, wanted) => {
      label.hidden = list[0] === undefined;
      input.max = list.length - 1;
      input.value = list.indexOf(nearestOf(list, wanted));
    };
    const same = (one) => one?.width === guide?.width && one?.steps === guide?.steps;
    const wanted = this.own.some((run) => same(run.guide)) ? guide : page.first.guides[method];
    offer(this.width, this.widths, wanted?.width);
    offer(this.training, this.trainings, wanted?.steps);
    this.pickGuide();
    const { weights } = this.run;
    this.weight.label.hidden = weights.length < 2;
    this.weight.input.max = weights.length - 1;
    this.weight.input.value = weights.indexOf(nearestOf(weights, weight));
    this.aim(Number(this.weight.input.value), Number(this.weight.input.value));
  }

  pickGuide() {
    const [width, steps] = [this.widths[this.width.input.value], this.trainings[this.training.input.value]];
    this.width.show(width);
    this.training.show(steps);
    const found = this.own.find(({ guide }) => guide?.width === width && guide?.steps === steps);
    this.index = (found ?? this.own[0]).i;
    this.guide = this.run.guide ?? this.guide;
    this.from = Float32Array.from(this.shown); // from where the points glide to the other run
    this.since = performance.now();
    changed();
  }

  // Where the weight shall be, among the places of the run's weights; `at` is where it is already.
  aim(goal, at = this.at) {
    [this.goal, this.at] = [goal, at];
    const { weights } = this.run;
    const low = Math.floor(goal);
    const w = weights[low] + (goal - low) * ((weights[low + 1] ?? weights[low]) - weights[low]);
    this.weight.show(w.toFixed(2));
    changed();
  }

  // Bring what is shown nearer to what was set; whether it is not there yet.
  update(step, passed, now) {
    this.at = glide(this.at, this.goal, passed);
    const run = runs.get(this.index);
    if (!run) return true;
    const at = Math.min(this.at, run.all.length - 1);
    this.outlier = run.outliers[this.nearest];
    runs.points(run, at, step, this.shown);
    this.ways = () => [...runs.stepsTo(step).map((one) => runs.points(run, at, one)), this.shown];
    const part = calm.matches || !this.from ? 1 : (now - this.since) / CHANGE_MS;
    if (part >= 1) this.from = null;
    else this.shown.forEach((value, k) => (this.shown[k] = this.from[k] + smooth(part) * (value - this.from[k])));
    return part < 1 || this.at !== this.goal;
  }

  numbers() {
    return page.metrics.map((metric, i) => inWords(metric, this.run.numbers[this.nearest][i]));
  }

  sentence() {
    const numbers = page.metrics.map(({ title }, i) => `${title} ${this.numbers()[i]}`).join(", ");
    return `${page.methods[this.run.method]}, w = ${this.run.weights[this.nearest]}: ${numbers}.`;
  }
}

const inWords = ({ percent }, value) => (percent ? `${(100 * value).toFixed(1)}%` : value.toFixed(3));

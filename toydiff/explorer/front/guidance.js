// Method, weight and guide of a panel: the same controls beside a single picture and above each of several.
import { box, clamp, explain, make, menu, news, put, slider } from "./dom.js";
import { weightCurve } from "./weight_curve.js";

const SLIDER_WEIGHT = 6; // the slider ends here, or where the method's scale asks for less; the box takes more
const STEPS = 300; // of 0.02

// A weight to two places; what is none stands as it was typed until the kernel has said so.
const rounded = (weight) => (typeof weight === "number" ? String(+weight.toFixed(2)) : String(weight));

export class Guidance {
  constructor(store, number) {
    Object.assign(this, { store, number });
    const { help } = store.about;
    this.main = make(null, "div", { name: "guidance" });
    this.method = menu(this.main, "method", "method", help.method, (name) => store.choose("method", name, number));
    const row = make(this.main, "div", { name: "weight-row" });
    const end = { min: 0, max: STEPS, step: 1 };
    this.weight = slider(row, "weight", "weight w", help.weight, end, (at) => this.weigh(this.weightAt(at), false));
    this.weight.addEventListener("keydown", (event) => this.key(event));
    this.box = box(row, "weight-box", "w", help["weight-box"], (text) => this.weigh(text));
    this.more = make(this.main, "div", { name: "guidance-more" });
    this.knobs = make(this.more, "div", { name: "knobs" });
    const size = "How good the guide is: its width and its training together";
    this.guide = slider(this.more, "guide", "guide, from bad to good", size, { min: 0, max: 1, step: 1 }, (at) => this.choose(at));
    this.guide.before(make(null, "span", { textContent: "guide: bad" }));
    this.guide.after(make(null, "span", { textContent: "good" }));
    this.size = make(this.more, "p", { name: "guide-words" });
    const bend = make(this.more, "details", { name: "bend" });
    make(bend, "summary", { textContent: "bend w(σ)", title: help["weight-curve"] });
    this.curve = weightCurve(bend, (wish) => this.bend(wish));
    this.unbent = make(bend, "p", { name: "reason" });
    bend.addEventListener("toggle", () => this.update());
  }

  get state() {
    return this.store.scene.panels[this.number];
  }

  get menus() {
    return this.store.menus[this.number];
  }

  // The ends of the slider: where only some weights are known, the `stops`, the first and the last of them.
  get ends() {
    const { stops } = this.menus.weight ?? {};
    return stops ? [stops[0], stops.at(-1)] : [0, SLIDER_WEIGHT];
  }

  weightAt(at) {
    const [low, high] = this.ends;
    return low + Math.round(((at / STEPS) * (high - low)) / 0.02) * 0.02;
  }

  // The arrow keys go from one stop to the next.
  key(event) {
    const { stops } = this.menus.weight ?? {};
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!stops || !by) return;
    event.preventDefault();
    const { weight } = this.state;
    const next = by > 0 ? stops.find((one) => one > weight) : stops.findLast((one) => one < weight);
    if (next !== undefined) this.weigh(next);
  }

  weigh(value, atOnce = true) {
    const weight = typeof value === "string" ? (value.trim() === "" ? NaN : Number(value.replace(",", "."))) : value;
    const given = Number.isNaN(weight) ? value : Math.round(weight * 1e6) / 1e6; // the kernel says what is no number
    this.store.set({ weight: given, weight_curve: null }, this.number, atOnce);
  }

  choose(at) {
    const [width, steps] = this.menus.guide.ladder[at];
    this.store.set({ guide: { ...this.state.guide, width, steps } }, this.number, false);
  }

  bend({ interval, weights }) {
    const { knots, largest_sigma } = this.store.about;
    if (interval) {
      const [low, high] = interval;
      return this.store.set({ interval: [low, high >= knots.at(-1) ? largest_sigma : high] }, this.number);
    }
    if (new Set(weights).size === 1) this.weigh(weights[0]);
    else this.store.set({ weight_curve: weights }, this.number);
  }

  // Method, weight and guide in words, as in the header.
  words(whole = true) {
    const { words } = this.menus;
    const { weight, weight_curve } = this.state;
    const parts = [words.short, this.menus.weight && (weight_curve ? "w drawn" : `w ${rounded(weight)}`)];
    return [...parts, whole && words.guide && `guide: ${words.guide}`].filter(Boolean).join(", ");
  }

  update() {
    const { state, menus } = this;
    if (!menus) return;
    const { reasons } = menus;
    this.method.fill(menus.method, state.method);
    put(this.method, { title: [menus.words.title, menus.words.source].filter(Boolean).join(" · ") });
    const [low, high] = this.ends;
    const at = clamp(Math.round((STEPS * (state.weight - low)) / (high - low)), 0, STEPS);
    if (Math.abs(this.weightAt(Number(this.weight.value)) - state.weight) > 0.011) this.weight.value = at;
    const drawn = Boolean(state.weight_curve);
    this.weight.setAttribute("aria-valuetext", drawn ? "drawn" : `w = ${rounded(state.weight)}`);
    this.box.show(drawn ? "drawn" : rounded(state.weight));
    explain(this.weight, reasons.weight);
    this.box.disabled = Boolean(reasons.weight);
    this.updateGuide(menus, reasons);
    this.updateKnobs(menus.knobs);
    this.updateCurve(state, menus);
  }

  updateGuide({ guide, words, has_guide }, reasons) {
    const { ladder } = guide;
    const { width, steps } = this.state.guide;
    this.guide.closest("label").hidden = this.size.hidden = !has_guide;
    this.guide.max = Math.max(0, ladder.length - 1);
    const at = ladder.findIndex(([w, s]) => w === width && s === steps);
    if (at >= 0) this.guide.value = at;
    const says = at < 0 ? words.guide : `width ${width}, ${steps.toLocaleString("en")} steps`;
    this.guide.setAttribute("aria-valuetext", says);
    put(this.size, { textContent: says });
    explain(this.guide, has_guide && reasons["guide-size"]);
  }

  updateKnobs(knobs) {
    if (news(this.knobs, Object.keys(knobs))) {
      this.knobs.replaceChildren();
      this.turned = Object.fromEntries(Object.entries(knobs).map(([name, knob]) => [name, this.knob(name, knob)]));
    }
    for (const [name, knob] of Object.entries(knobs)) this.turned[name].value = this.state.knobs[name] ?? knob.default;
  }

  knob(name, { low, high, help }) {
    const range = { min: low, max: high, step: (high - low) / 100 };
    make(this.knobs, "span", { textContent: name, title: help });
    return slider(this.knobs, name, name, help, range, (value) => {
      this.store.set({ knobs: { ...this.state.knobs, [name]: value } }, this.number, false);
    });
  }

  updateCurve(state, menus) {
    if (!this.curve.element.closest("details").open) return;
    const { knots } = this.store.about;
    const weights = state.weight_curve ?? knots.map(() => state.weight);
    const interval = [state.interval[0], Math.min(state.interval[1], knots.at(-1))];
    const disabled = Boolean(!menus.weight || menus.reasons["weight-curve"]);
    put(this.unbent, { textContent: menus.reasons["weight-curve"] ?? "" });
    this.curve.show({ sigmas: knots, weights, interval, now: Math.max(state.sigma, knots[0]), disabled });
  }
}

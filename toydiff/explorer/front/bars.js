// What stands above and below the pictures: scene and data, and the noise level as a slider that plays.
import { button, explain, make, menu, put, slider } from "./dom.js";

const PLAY_S = 4; // from noise to data
const TICKS = 4; // places of the slider between two noise levels of the solver

export class TopBar {
  constructor(store, view) {
    this.store = store;
    const { help } = store.about;
    this.element = make(null, "div", { name: "bar" });
    this.scene = menu(this.element, "scene", "scene", help.scene, (name) => name && store.open(name));
    this.data = menu(this.element, "distribution", "data", help.distribution, (name) => store.choose("distribution", name));
    this.classes = menu(this.element, "classes", "class", help.classes, (name) => store.choose("classes", name));
    this.said = make(this.element, "span", { name: "bar-words" });
    this.compare = button(this.element, "compare", "+ compare", help.compare, () => this.add());
    const present = "Leave only what a class needs; Esc comes back";
    this.present = make(this.element, "select", { name: "present", title: present }, { "aria-label": "Present" });
    const choices = [["", "Present …"], ["weight", "weight only"], ["guidance", "guidance"], ["all", "all controls"]];
    this.present.append(...choices.map(([value, text]) => new Option(text, value)));
    this.present.addEventListener("change", () => view.present(this.present.value));
    this.more = button(this.element, "more", "More", "Layers, networks, draw, train, sweeps, keep", () => view.toggleDrawer());
    this.more.setAttribute("aria-expanded", "false");
  }

  add() {
    const { scene } = this.store;
    this.store.pictures.push(copyOf(this.store.pictures[scene.active]));
    this.store.show({ ...scene, panels: [...scene.panels, this.store.state], active: scene.panels.length });
  }

  update(words) {
    const { store } = this;
    const menus = store.menus[store.scene.active];
    this.scene.fill([["", "scene …"], ...store.scenes], store.named);
    this.data.fill(menus.distribution, menus.data);
    this.classes.fill(menus.classes, store.state.classes);
    explain([this.data, this.classes], menus.reasons.data);
    put(this.said, { textContent: words, title: words });
    const full = store.scene.panels.length >= store.about.most_panels;
    const most = store.about.most_panels;
    put(this.compare, full ? { disabled: true, textContent: `${most} is the most`, title: `${most} pictures, as many as can be compared` }
      : { disabled: false, textContent: "+ compare", title: store.about.help.compare });
    this.present.value = store.ui.present ?? "";
  }
}

// A new panel shows at once what the one beside it does; its own frames follow.
function copyOf(data) {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(data)), data);
  return Object.assign(copy, { shown: Float32Array.from(data.shown), serials: {}, stale: {}, glide: null, fields: {}, arrows: {} });
}

export class NoiseStrip {
  constructor(store) {
    Object.assign(this, { store, playing: false });
    const { help, sigmas } = store.about;
    this.end = TICKS * (sigmas.length - 1);
    this.element = make(null, "div", { name: "strip" });
    this.play = button(this.element, "play", "▶", help.play, () => this.run(!this.playing));
    make(this.element, "span", { textContent: "noise" });
    this.slider = slider(this.element, "step", "noise level", help.step, { min: 0, max: this.end, step: 1 }, (at) => {
      this.run(false);
      this.set(this.sigmaAt(at));
    });
    make(this.element, "span", { textContent: "data" });
    this.said = make(this.element, "output", { name: "sigma" });
    this.probe = button(this.element, "probing", "probe", help.probing, () => {
      const { probe, view } = store.state;
      store.set({ probe: probe ? null : [view.x, view.y] });
    });
  }

  sigmaAt(at) {
    const { sigmas } = this.store.about;
    const i = Math.min(Math.floor(at / TICKS), sigmas.length - 2);
    return sigmas[i] + (at / TICKS - i) * (sigmas[i + 1] - sigmas[i]);
  }

  // The place of a noise level on the slider, whole or in between.
  placeOf(sigma) {
    const { sigmas } = this.store.about;
    const i = sigmas.findIndex((level) => level <= sigma);
    if (i <= 0) return i === 0 ? 0 : this.end;
    return TICKS * (i - (sigma - sigmas[i]) / (sigmas[i - 1] - sigmas[i]));
  }

  // Points are moved here; densities, arrows and the probe are the kernel's.
  set(sigma) {
    const { state, about } = this.store;
    const kernel = state.probe || state.layers.some((name) => about.layers[name].kind);
    this.store[kernel ? "set" : "setLocally"]({ sigma });
  }

  run(on) {
    if (on === this.playing) return;
    this.playing = on;
    const at = this.placeOf(this.store.state.sigma);
    this.at = on && at >= this.end - 0.5 ? 0 : at;
    this.last = null;
    this.store.emit("scene"); // the first step is taken with the next picture
  }

  // A picture's worth of playing; whether it goes on.
  step(now) {
    if (!this.playing) return false;
    this.at = Math.min(this.end, this.at + ((now - (this.last ?? now)) / 1000) * (this.end / PLAY_S));
    this.last = now;
    this.set(this.sigmaAt(this.at));
    if (this.at >= this.end) this.run(false);
    return this.playing;
  }

  update() {
    const { state } = this.store;
    const said = `σ = ${Number(state.sigma < 0.01 ? state.sigma.toFixed(4) : state.sigma.toPrecision(3))}`;
    put(this.said, { textContent: said });
    const at = this.placeOf(state.sigma);
    if (Math.abs(Number(this.slider.value) - at) > 0.5) this.slider.value = at;
    this.slider.setAttribute("aria-valuetext", said);
    this.probe.setAttribute("aria-pressed", String(Boolean(state.probe)));
    explain(this.probe, this.store.menus[this.store.scene.active].reasons.probing);
    const [sign, says] = this.playing ? ["❚❚", "Pause"] : ["▶", "Play from noise to data"];
    put(this.play, { textContent: sign, ariaLabel: says });
  }
}

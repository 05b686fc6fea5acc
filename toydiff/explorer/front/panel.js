// A picture with its header above it and, in a comparison, its numbers below.
import { Painting } from "./canvas.js";
import { button, make, putIn } from "./dom.js";
import { Guidance } from "./guidance.js";
import { Lens } from "./lens.js";
import { NumberTable, sentence } from "./numbers.js";
import { listenTo } from "./pointer.js";

export const DIM_MS = 200; // after which what is not yet true is dimmed

export class Panel {
  constructor(store, number) {
    Object.assign(this, { store, number, ring: null, side: 0 });
    this.element = make(null, "article", { name: "panel" });
    this.head = make(this.element, "header", { name: "head" });
    this.frame = make(this.element, "div", { name: "frame" });
    const label = "Picture: drag to move it, wheel or + and - to zoom, 0 for all of it";
    this.canvas = make(this.frame, "canvas", { name: "picture", tabIndex: 0 }, { role: "img", "aria-label": label });
    this.canvas.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the keys for itself
    this.computing = make(this.frame, "p", { name: "computing", textContent: "computing …", hidden: true });
    this.guidance = new Guidance(store, number);
    this.numbers = new NumberTable();
    this.below = make(null, "div", { name: "below" });
    this.close = button(null, "close", "×", "Close this picture", () => this.remove());
    this.close.setAttribute("aria-label", "Close this picture");
    this.painting = new Painting(this.canvas);
    listenTo(this, store);
  }

  get data() {
    return this.store.pictures[this.number];
  }

  get state() {
    return this.store.scene.panels[this.number];
  }

  // The canvas has whole pixels of the screen, whatever its density.
  lens() {
    const { view, sigma } = this.state;
    const grown = this.store.ui.grow ? Math.hypot(sigma / this.store.about.sigma_data, 1) : 1;
    const pixels = Math.round(this.side * Math.min(devicePixelRatio || 1, 2));
    return new Lens(view, Math.max(1, pixels), grown);
  }

  remove() {
    const { scene } = this.store;
    const panels = scene.panels.filter((_, i) => i !== this.number);
    const active = Math.min(scene.active - (this.number < scene.active), panels.length - 1);
    for (const each of [this.store.pictures, this.store.menus]) each.splice(this.number, 1);
    this.store.show({ ...scene, panels, active: Math.max(0, active) });
  }

  // In a comparison the method and the weight stand above the picture, alone beside it.
  update(single, left) {
    const { guidance, head, close } = this;
    const home = single ? left : head;
    putIn(guidance.main, home, home.firstChild);
    if (single) close.remove();
    else head.append(this.numbers.brief, close);
    if (!single && this.number !== this.store.scene.active) guidance.more.remove();
    guidance.update();
    this.element.classList.toggle("toydiff-active", !single && this.number === this.store.scene.active);
    this.element.setAttribute("aria-label", `Picture ${this.number + 1}: ${guidance.words()}`);
  }

  draw(now) {
    const { data, state, store } = this;
    data.sigmaData = store.about.sigma_data;
    data.move(state.sigma);
    const moved = data.step(now);
    const lens = this.lens();
    data.pixel = 1 / lens.zoom;
    const { has_guide } = store.menus[this.number];
    const layers = state.layers.filter((name) => has_guide || !store.about.layers[name].of_guide);
    const { side, zoom, left, top } = lens;
    const wanted = [data.version, layers, state.sigma, state.probe, side, zoom, left, top, this.ring].join();
    if (wanted !== this.drawn || moved || data.rough) {
      this.painting.text = parseFloat(getComputedStyle(this.frame).fontSize) * (lens.side / Math.max(1, this.side));
      this.painting.draw(data, { ...state, layers }, lens, store.about, this.ring, now);
      data.rough = this.painting.background.rough;
      this.drawn = wanted;
    }
    this.dim(now);
    return data.gliding;
  }

  // While another is enlarged the points of this one come to rest too.
  unseen(now) {
    this.data.rough = false;
    this.data.step(now);
    return this.data.gliding;
  }

  // What is not yet true is dimmed, once that is longer than a moment.
  dim(now) {
    const old = (part) => Boolean(this.data.stale[part]) && now - this.data.stale[part].since > DIM_MS;
    const untrue = old("picture") || !this.data.points;
    this.frame.classList.toggle("toydiff-stale", untrue);
    this.computing.hidden = !untrue;
    this.numbers.dim(old("numbers"));
  }

  say() {
    const words = this.guidance.words();
    this.canvas.setAttribute("aria-label", `${words}. ${sentence(this.data.numbers, this.store.about)}`);
  }
}

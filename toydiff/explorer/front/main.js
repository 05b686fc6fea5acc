// The explorer in an element: what a host carries between it and the kernel is all that it knows of the outside.
import { NoiseStrip, TopBar } from "./bars.js";
import { chart } from "./chart.js";
import { button, make, news, putIn, swatch } from "./dom.js";
import { Drawer } from "./drawer.js";
import { heightFor, measured } from "./layout.js";
import { bestOf } from "./numbers.js";
import { DIM_MS, Panel } from "./panel.js";
import { Store } from "./store.js";

const AWAY = { weight: ["guide", "weight-curve", "tabs"], guidance: ["tabs"] }; // what a lecture leaves out
const ANSWER_MS = 60; // after which what has changed is shown without an answer
const CURVES = ["outlier_rate_0.001", "branch_coverage"];

class View {
  constructor(root, store) {
    Object.assign(this, { root, store, panels: [] });
    this.top = new TopBar(store, this);
    this.strip = new NoiseStrip(store);
    store.ui.grow ??= store.about.grow;
    this.drawer = new Drawer(store);
    root.append(this.top.element);
    this.banner = make(root, "div", { name: "scene-title" });
    [this.title, this.question] = [make(this.banner, "h2"), make(this.banner, "p")];
    this.body = make(root, "div", { name: "body" });
    this.left = make(this.body, "div", { name: "left" });
    this.grid = make(this.body, "div", { name: "grid" });
    this.right = make(this.body, "div", { name: "right" });
    this.body.append(this.drawer.element);
    root.append(this.strip.element);
    this.after = make(root, "div", { name: "after" });
    this.numbers = make(this.right, "div", { name: "numbers-place" });
    this.probe = make(this.right, "table", { name: "probe" });
    this.curves = make(this.right, "div", { name: "curve" });
    this.chart = chart(this.curves, "curve-chart");
    this.legend = make(this.right, "p", { name: "legend" });
    this.message = make(root, "p", { name: "message", hidden: true }, { role: "status" });
    this.leave = button(root, "leave", "Esc: leave", "", () => this.escape());
    this.listen();
  }

  listen() {
    const { store, root } = this;
    store.on("scene", (atOnce) => this.changed(atOnce));
    store.on("frame", () => this.frame());
    store.on("ring", (i) => this.ring(i));
    store.on("enlarge", (i) => this.enlarge(i));
    store.on("say", ({ text, error }) => this.say(text, error));
    store.on("silent", (silent) => this.silent(silent));
    store.on("offer", ({ name, mime }, [content]) => offer(name, mime, content));
    root.addEventListener("keydown", (event) => this.key(event));
    this.ended = new AbortController();
    const { signal } = this.ended;
    document.addEventListener("keydown", (event) => this.lead(event), { signal });
    const again = () => {
      this.laid = null;
      this.changed();
    };
    this.resized = new ResizeObserver(again);
    this.resized.observe(root);
    addEventListener("resize", again, { signal });
  }

  // Where the kernel's answer is near, controls and picture change in one.
  changed(atOnce = true) {
    this.dirty = true;
    if (atOnce) this.soon();
    else this.patience ??= setTimeout(() => this.soon(), ANSWER_MS);
  }

  // Draw now: a frame that has come shall not wait for the next picture of the screen; words and numbers follow with it.
  frame() {
    this.told = false;
    if (this.laid && this.panels.length === this.store.scene.panels.length) for (const panel of this.visible()) panel.draw(performance.now());
    this.soon();
  }

  soon() {
    this.asked ??= requestAnimationFrame((now) => {
      this.asked = null;
      this.tick(now);
    });
  }

  tick(now) {
    clearTimeout(this.patience);
    this.patience = null;
    const playing = this.strip.step(now);
    if (this.dirty) this.update();
    let busy = playing;
    const shown = this.visible();
    for (const panel of this.panels) busy = (shown.includes(panel) ? panel.draw(now) : panel.unseen(now)) || busy;
    if (!this.told) this.tell();
    clearTimeout(this.later);
    if (busy) this.soon();
    else if (this.store.pictures.some(({ stale }) => Object.keys(stale).length)) this.later = setTimeout(() => this.soon(), DIM_MS / 2);
  }

  visible() {
    const { enlarged } = this.store.ui;
    return enlarged === undefined ? this.panels : this.panels.filter((_, i) => i === enlarged);
  }

  update() {
    this.dirty = false;
    const { store, root } = this;
    const { scene, ui } = store;
    while (this.panels.length < scene.panels.length) this.panels.push(new Panel(store, this.panels.length));
    for (const gone of this.panels.splice(scene.panels.length)) gone.numbers.element.remove(); // the rest leaves with the grid
    if (ui.enlarged >= scene.panels.length) delete ui.enlarged;
    const shown = this.visible();
    const single = shown.length === 1; // the only one, or one that is enlarged
    if (this.grid.childElementCount !== shown.length || shown.some(({ element }, i) => this.grid.children[i] !== element)) {
      this.grid.replaceChildren(...shown.map(({ element }) => element));
      this.after.replaceChildren(...shown.map(({ below }) => below));
    }
    for (const panel of this.panels) panel.update(single && panel === shown[0], this.left);
    this.drawer.update(single ? shown[0] : this.panels[scene.active], single);
    this.top.update(single ? shown[0].guidance.words() : "");
    this.strip.update();
    root.dataset.panels = shown.length;
    this.told = false;
    const { title, question, hidden, panels } = scene;
    const laid = JSON.stringify([title, question, hidden, panels.map(({ method }) => method), ui, this.drawer.element.hidden]);
    if (laid === this.laid) return; // a drag moves no box
    this.laid = laid;
    this.layOut(shown);
    this.hide(scene);
    [this.title.textContent, this.question.textContent] = [title, question];
  }

  layOut(shown) {
    const { store, root } = this;
    const { scene, ui } = store;
    const lecture = Boolean(ui.present);
    const asked = { panels: shown.length, lecture, card: lecture && shown.length === 2 };
    const size = measured({ ...asked, width: root.clientWidth, height: heightFor(root), titled: scene.title, asked: scene.question });
    ui.narrow = size.mode === "narrow";
    root.dataset.mode = size.mode;
    this.settle(size);
    root.classList.toggle("toydiff-compact", size.compact);
    root.classList.toggle("toydiff-lecture", lecture);
    const { font, ...boxes } = size;
    root.style.fontSize = `${font}px`;
    for (const [name, value] of Object.entries(boxes)) if (typeof value === "number") root.style.setProperty(`--${name}`, `${value}px`);
    for (const panel of shown) panel.side = size.side;
    this.banner.hidden = !(scene.title || scene.question);
    this.leave.hidden = !lecture && !scene.hidden.length;
    (lecture ? root : this.top.element).append(this.leave);
    this.leave.textContent = lecture ? "Esc: leave" : ui.reveal ? "Esc: as the class sees it" : "Esc: all controls";
  }

  // The noise level stands below the pictures; in one row with the scene where the window is low, on a phone below the picture.
  settle({ mode, compact }) {
    const { root, body, right, after, top, strip } = this;
    if (mode === "narrow") putIn(strip.element, body, right);
    else if (compact && !this.store.ui.present) putIn(strip.element, top.element, top.compare);
    else putIn(strip.element, root, after);
  }

  // What a scene hides, and in a lecture what its author leaves; it always comes back with Esc.
  hide(scene) {
    const { present, reveal } = this.store.ui;
    const away = [...(reveal ? [] : scene.hidden), ...(AWAY[present] ?? [])];
    for (const [name, parts] of Object.entries(this.parts())) {
      for (const part of parts) part.classList.toggle("toydiff-hidden", away.includes(name));
    }
  }

  parts() {
    const find = (name) => [...this.root.querySelectorAll(`.toydiff-${name}`)].map((one) => one.closest("label") ?? one);
    const names = this.store.about.hideable;
    return { ...Object.fromEntries(names.map((name) => [name, find(name)])), guide: [...find("guide"), ...find("guide-words")], tabs: find("more"), noise: find("strip"), "weight-curve": find("bend") };
  }

  // Numbers, curve, legend and probe: from the newest frames.
  tell() {
    this.told = true;
    const { store } = this;
    const { about } = store;
    const all = this.panels.map(({ data }) => data.numbers);
    const best = bestOf(all, about);
    const { mode } = this.root.dataset;
    const shown = this.visible();
    const beside = shown.length === 1 || (mode === "lecture" && shown.length === 2);
    this.panels.forEach((panel, i) => {
      const { guide } = store.menus[i].words;
      const whole = this.panels.length < 3 && mode !== "lecture" && guide; // the guide in a line of its own: the weight moves nothing
      const title = [`${i + 1} ${panel.guidance.words(false)}`, whole ? `guide: ${guide}` : ""];
      panel.numbers.show(all[i], about, { best: best[i], short: shown.length > 2, title });
      putIn(panel.numbers.element, beside && shown.includes(panel) ? this.numbers : panel.below);
    });
    this.showCurves();
    this.showLegend();
    this.showProbe();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.panels.forEach((panel) => panel.say()), 500);
  }

  showCurves() {
    const { store } = this;
    const known = this.panels.filter(({ data }) => data.curve?.values.length);
    const below = this.root.dataset.mode === "compare";
    putIn(this.curves, below ? this.after : this.right, below ? null : this.legend);
    this.curves.hidden = !known.length || Boolean(store.state.probe);
    if (this.curves.hidden) return;
    const stale = this.panels.some(({ data }) => data.stale.curve && performance.now() - data.stale.curve.since > 200);
    this.curves.classList.toggle("toydiff-stale", stale);
    const { layers, colours, palette } = store.about;
    const several = this.panels.length > 1;
    const lines = known.flatMap(({ data, number }) => CURVES.map((name, k) => ({
      values: data.curve.values.map((value) => (value ? 100 * value[k] : null)),
      colour: several ? palette[number] : k ? colours.ink : layers.outliers.colour,
      label: several ? `${number + 1} ${store.menus[number].words.short}` : k ? "branches kept" : "outliers",
      side: k ? "right" : "left", dashed: Boolean(k), dot: k ? "square" : "round",
      level: store.scene.panels[number].weight_curve && data.numbers ? 100 * data.numbers.rows[name]?.value : null, // as drawn
    })));
    const { weight, weight_curve } = store.state;
    const x = known[0].data.curve.weights;
    this.chart.show({
      x, lines, xLabel: "constant weight w", left: { label: "outliers, %" }, right: { label: "branches kept, %", max: 100 },
      ...(weight_curve ? {} : { mark: weight }),
    });
  }

  showLegend() {
    const { about, state } = this.store;
    const shown = state.layers.filter((name) => name !== "rescue").map((name) => [about.layers[name].colour, about.layers[name].legend]);
    if (state.layers.includes("rescue")) shown.push([about.colours.rescued, "rescued"], [about.colours.lost, "lost"], [about.colours.kept, "neither"]);
    const meanings = new Map(); // one colour, one entry
    for (const [colour, label] of shown) meanings.set(colour, [...(meanings.get(colour) ?? []), label]);
    if (!news(this.legend, [...meanings])) return;
    this.legend.replaceChildren();
    for (const [colour, labels] of meanings) {
      make(this.legend, "span", { name: "legend-item" }).append(swatch(colour), labels.join(", "));
    }
  }

  showProbe() {
    const { store } = this;
    const probe = store.state.probe ? this.panels[store.scene.active].data.probe : null;
    this.probe.hidden = !probe;
    if (!probe) return;
    const row = (cells, tag = "td") => {
      const line = make(this.probe, "tr");
      cells.forEach((cell, i) => make(line, i ? tag : "th", { textContent: cell }));
      return line;
    };
    this.probe.replaceChildren();
    row(["σ² score here", "length", "to exact"], "th");
    for (const [name, { length, angle }] of Object.entries(probe.arrows)) {
      const line = row([name, length.toPrecision(3), angle === null ? "–" : `${angle.toFixed(0)}°`]);
      line.firstChild.prepend(swatch(store.about.colours.probe[name]));
    }
    const best = this.panels.map(({ data }) => data.probe?.best?.toFixed(2) ?? "–").join(", ");
    row(["best weight here", best, ""]);
  }

  ring(i) {
    for (const panel of this.panels) panel.ring = i;
    this.soon();
  }

  enlarge(i) {
    const { ui } = this.store;
    ui.enlarged = ui.enlarged === undefined ? i : undefined;
    this.changed();
  }

  present(level) {
    const { ui } = this.store;
    ui.present = level || undefined;
    if (level && !this.drawer.element.hidden) this.toggleDrawer();
    this.changed();
  }

  toggleDrawer() {
    const { element } = this.drawer;
    element.hidden = !element.hidden;
    this.top.more.setAttribute("aria-expanded", String(!element.hidden));
    this.changed();
  }

  // Keys of a lecture: Esc leaves it, arrows go through the prepared views.
  lead(event) {
    const { scenes, named, ui } = this.store;
    if (event.key === "Escape") this.escape();
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (!by || !ui.present || event.defaultPrevented || event.target.matches("input, select, textarea, canvas")) return;
    event.preventDefault();
    this.store.open(scenes[(scenes.indexOf(named) + by + scenes.length) % scenes.length]);
  }

  escape() {
    const { ui, scene } = this.store;
    if (ui.enlarged !== undefined) this.enlarge();
    else if (ui.present) this.present("");
    else if (!this.drawer.element.hidden) this.toggleDrawer();
    else if (scene?.hidden.length) {
      ui.reveal = !ui.reveal;
      this.changed();
    }
  }

  key(event) {
    const typing = event.target.matches("input[type=text], textarea");
    if (typing || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.shiftKey) this.store.redo();
    else this.store.undo();
  }

  say(text, error) {
    this.message.classList.toggle("toydiff-error", Boolean(error));
    Object.assign(this.message, { role: error ? "alert" : "status", textContent: text, hidden: !text });
  }

  silent(silent) {
    if (silent) this.say(`Python does not answer: it is busy, or it has ended. ${this.store.host.hint ?? ""}`, true);
    else if (this.wasSilent) this.say("");
    this.wasSilent = silent;
  }

  close() {
    cancelAnimationFrame(this.asked);
    for (const timer of [this.resting, this.later, this.patience]) clearTimeout(timer);
    this.resized.disconnect();
    this.ended.abort();
  }
}

function offer(name, mime, content) {
  const link = make(document.body, "a", { download: name, href: URL.createObjectURL(new Blob([content], { type: mime })) });
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Show the explorer in an element; returns what ends it. `toydiff` in the console is what tests and the curious use.
export function mount(element, host) {
  const root = make(element, "div", { className: "toydiff" });
  const store = new Store(host);
  let view = null;
  store.on("scene", () => {
    if (view || !store.about || !store.menus.length) return;
    view = new View(root, store);
    view.changed();
  });
  store.start();
  globalThis.toydiff = root.toydiff = {
    get scene() { return store.scene; },
    set: (scene) => store.showTruly(scene),
    points: (panel = 0) => Float32Array.from(store.pictures[panel].shown),
    get engine() { return store.far && store.live !== null ? "the page" : "Python"; }, // what moves the points
    store,
  };
  const end = () => {
    view?.close();
    store.close();
    root.remove();
  };
  return { store, end };
}

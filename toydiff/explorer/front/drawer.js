// The drawer "More": layers, networks, the run, and what is made here; one wish, one place.
import { box, button, check, drawerRow, explain, make, menu, putIn, swatch } from "./dom.js";
import { drawSection } from "./draw.js";
import { keepSection } from "./keep.js";
import { sweepSection } from "./sweep.js";
import { trainSection } from "./train.js";

const NOISE = 0.03; // what is shown of a layer that shows nothing at the data
const FEWEST = 0.01;
const SECTIONS = [["draw", "Draw", drawSection], ["train", "Train", trainSection], ["sweep", "Sweep", sweepSection], ["take-along", "Keep", keepSection]];

export class Drawer {
  constructor(store) {
    this.store = store;
    this.updates = [];
    this.element = make(null, "aside", { name: "drawer", hidden: true }, { "aria-label": "More" });
    this.guidance = this.section("guidance", "Guidance", true);
    this.layers(this.section("layers", "Layers", true));
    this.networks(this.section("networks", "Networks"));
    this.run(this.section("run", "Samples"));
    const about = store.about.made && this.section("about", "About", true);
    for (const textContent of store.about.made ?? []) make(about, "p", { textContent });
    if (!store.about.train) return; // without Python nothing is made
    for (const [name, title, fill] of SECTIONS) {
      const section = make(null, "section", { name: title.toLowerCase() }, { "aria-label": title });
      fill(store, this.section(name, title, false, section), this.updates);
    }
  }

  // What its content goes into.
  section(name, title, open = false, content = make(null, "div")) {
    const details = make(this.element, "details", { name, open });
    make(details, "summary", { textContent: title });
    details.append(content);
    return content;
  }

  layers(part) {
    const { store } = this;
    for (const [name, { label, kind, colour, of_guide }] of Object.entries(store.about.layers)) {
      const input = check(part, `layer-${name}`, label, store.about.help[`layer-${name}`], (on) => this.turn(name, kind, on));
      input.parentNode.append(swatch(colour));
      this.updates.push((state, menus) => {
        input.checked = state.layers.includes(name);
        const low = kind === "arrows" && input.checked && state.sigma < FEWEST;
        explain(input, menus.reasons[`layer-${name}`] ?? (of_guide && !menus.has_guide && "this method has no guide"));
        note(input, low ? "nothing to see at σ = 0: drag the noise" : "");
      });
    }
    const grow = check(part, "grow", "zoom out with the noise", "So that the points stay in the picture", (on) => {
      store.ui.grow = on;
      store.emit("scene");
    });
    grow.checked = Boolean(store.ui.grow);
  }

  // Arrows show nothing at the data: with the first of them the noise comes.
  turn(name, kind, on) {
    const { layers, sigma } = this.store.state;
    const next = on ? [...layers, name] : layers.filter((other) => other !== name);
    const order = Object.keys(this.store.about.layers).filter((other) => next.includes(other));
    this.store.set({ layers: order, ...(on && kind === "arrows" && sigma < FEWEST ? { sigma: NOISE } : {}) });
  }

  networks(part) {
    const { store } = this;
    const { help } = store.about;
    for (const [which, title] of [["main", "Main model"], ["guide", "Guide"]]) {
      make(part, "h3", { textContent: title });
      const size = (what) => (value) => store.set({ [which]: { ...store.state[which], [what]: Number(value) } });
      const family = menu(part, `${which}-family`, "family", help[`${which}-family`], (name) => store.choose(`${which}-family`, name));
      const width = menu(part, `${which}-width`, "width", help[`${which}-width`], size("width"));
      const steps = menu(part, `${which}-steps`, "steps", help[`${which}-steps`], size("steps"));
      const exact = check(part, `${which}-exact`, "exact score in its place", help[`${which}-exact`], (on) => store.choose(`${which}-exact`, on));
      this.updates.push((state, menus) => {
        const sizes = menus[which];
        family.fill(sizes.families, state[which].family);
        width.fill(sizes.widths, state[which].width);
        steps.fill(sizes.steps.map((value) => [value, value.toLocaleString("en")]), state[which].steps);
        exact.checked = state[which].exact;
        explain([family, width, steps], menus.reasons[`${which}-size`]);
        explain(exact, menus.reasons[`${which}-exact`]);
      });
    }
  }

  run(part) {
    const { store } = this;
    const { help, solvers, starts } = store.about;
    const whole = (name) => (text) => store.set({ [name]: text.trim() === "" ? text : Number(text) });
    const names = ["seed", "points", "steps"];
    const boxes = names.map((name) => box(part, `${name}-box`, name, help[`${name}-box`], whole(name)));
    const solver = menu(part, "solver", "solver", help.solver, (name) => store.set({ solver: name }));
    const start = menu(part, "start", "start", help.start, (name) => store.set({ start: name }));
    const undo = drawerRow(part);
    button(undo, "undo", "Undo", "Take the last change back (Ctrl+Z)", () => store.undo());
    button(undo, "redo", "Redo", "Bring it again (Ctrl+Shift+Z)", () => store.redo());
    this.updates.push((state, menus) => {
      boxes.forEach((one, i) => one.show(state[names[i]]));
      explain([...boxes, solver, start], menus.reasons.run);
      solver.fill(solvers, state.solver);
      start.fill(starts, state.start);
    });
  }

  // In a comparison the rest of the active panel's guidance is here.
  update(panel, single) {
    const { store } = this;
    this.guidance.parentNode.hidden = single;
    putIn(panel.guidance.more, single ? panel.guidance.main : this.guidance);
    if (this.element.hidden) return;
    for (const update of this.updates) update(store.state, store.menus[store.scene.active]);
  }
}

// A remark beside a control that works, but shows nothing now.
function note(control, text) {
  const place = control.closest("label");
  let remark = place.querySelector(".toydiff-remark");
  if (!text) return remark?.remove();
  remark ??= make(place, "em", { name: "remark" });
  remark.textContent = text;
}

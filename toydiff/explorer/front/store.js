// The scene as JSON, and the way to the kernel: changes are shown at once, sent one at a time, and the last one wins.
import { PictureData } from "./data.js";
import { Live, kitCovers } from "./live.js";
import { kept } from "./record.js";

const PATIENCE_MS = 300; // after which the next change does not wait for the answer to the last
const SILENT_MS = 4000; // after which a kernel that has not answered is said to be silent
const FAR_MS = 150; // an answer that takes longer comes from far away
const ANSWERS = 5; // of which most must
const LAZY_MS = 350; // after which what is drawn without the kernel is told to it
const UNDO_MS = 600; // changes that follow sooner are one
const MOST_UNDO = 100;
const DRAWN = ["sigma", "view", "layers", "probe"]; // what does not change which samples come out
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Store {
  constructor(host) {
    Object.assign(this, { host, scene: null, about: null, menus: [], scenes: [], named: "", pictures: [] });
    Object.assign(this, { n: 0, heard: 0, serial: 0, waiting: null, lazy: null, listeners: {}, goals: [] });
    Object.assign(this, { past: [], future: [], changedAt: 0, sentAt: 0, ui: {}, sent: 0 });
    Object.assign(this, { answers: [], far: false });
    this.view = Math.random().toString(36).slice(2);
  }

  // Show what was kept, and greet the kernel.
  start() {
    const { opening } = this.host;
    for (const [message, buffers] of opening ? kept(opening) : []) this.take(message, buffers);
    this.host.on((message, buffers) => this.take(message, buffers ?? []));
    this.greet();
  }

  greet() {
    this.send({ hello: this.view, shows: this.scene !== null });
  }

  get state() {
    return this.scene.panels[this.scene.active];
  }

  on(topic, handler) {
    (this.listeners[topic] ??= []).push(handler);
  }

  emit(topic, ...values) {
    for (const handler of this.listeners[topic] ?? []) handler(...values);
  }

  send(message, buffers = []) {
    this.sent += 1;
    this.host.send(message, buffers);
  }

  act(action, values = {}, buffers = []) {
    this.tell();
    this.flush(true);
    this.send({ do: action, with: values }, buffers);
  }

  // Fields of a panel's state: shown at once, or with the answer where the control that was moved shows it by itself;
  // sent as soon as the last change was answered.
  set(patch, panel = this.scene.active, atOnce = true) {
    if (this.movesHere(patch, panel)) return this.moveHere(patch, panel, atOnce);
    this.remember();
    this.adopt(patched(this.scene, patch, panel, this.about.linked), null, atOnce);
    this.queue({ set: patch, panel });
  }

  // What is drawn here without the kernel: it is told when nothing moves any more.
  setLocally(patch, panel = this.scene.active, atOnce = true) {
    this.remember();
    this.adopt(patched(this.scene, patch, panel, this.about.linked), null, atOnce);
    if (this.lazy && this.lazyPanel !== panel) this.tell();
    [this.lazy, this.lazyPanel] = [{ ...this.lazy, ...patch }, panel];
    clearTimeout(this.lazily);
    this.lazily = setTimeout(() => this.tell(), LAZY_MS);
  }

  // Whether what a change moves can be computed here: points alone, by a kit that came for this state.
  movesHere(patch, panel) {
    const state = { ...this.scene.panels[panel], ...patch };
    const drawn = state.probe || state.layers.some((name) => this.about.layers[name].kind);
    const sound = [state.weight, ...(state.weight_curve ?? [])].every((w) => w >= 0 && w <= this.about.most_weight);
    return this.live !== null && this.far && !drawn && sound && kitCovers(this.pictures[panel]?.kit, state, patch);
  }

  // Whether Python answers so late that the page does better by itself; then it asks for what it needs.
  noteAnswer() {
    this.answers = [...this.answers.slice(-ANSWERS + 1), performance.now() - this.sentAt];
    const late = this.answers.filter((ms) => ms > FAR_MS).length;
    this.far = late > ANSWERS / 2;
    if (!this.far || this.asked || this.live === null) return;
    this.asked = true;
    this.send({ do: "kits", with: {} });
  }

  // The newest wish is computed when the last one has come; Python is told at rest.
  async moveHere(patch, panel, atOnce) {
    this.setLocally(patch, panel, atOnce);
    this.moving = { panel };
    this.here = true;
    if (this.busy) return;
    this.busy = true;
    try {
      this.live ??= new Live();
      for (let done = null; done !== this.moving; ) {
        done = this.moving;
        const picture = this.pictures[done.panel];
        const found = await this.live.points(picture.kit, this.scene.panels[done.panel]);
        const first = this.lazy || this.heard < this.n; // before Python's, which are the better ones
        if (this.pictures[done.panel] === picture && first) picture.takeHere(found);
        this.emit("frame", { frame: "points", panel: done.panel });
      }
    } catch {
      this.live?.end();
      this.live = null; // Python computes it all
      this.tell();
    }
    this.busy = false;
  }

  activate(panel) {
    if (panel === this.scene.active) return;
    this.adopt({ ...this.scene, active: panel });
    this.queue({ set: {}, panel });
  }

  tell() {
    clearTimeout(this.lazily);
    const { lazy, here } = this;
    [this.lazy, this.here] = [null, false];
    if (lazy) this.queue({ set: lazy, panel: this.lazyPanel, ...(here ? { here } : {}) });
  }

  // The kernel decides what a choice brings with it.
  choose(name, value, panel = this.scene.active) {
    this.remember(true);
    this.queue({ choose: { [name]: value }, panel }, true);
  }

  show(scene, remember = true) {
    if (remember) this.remember(true);
    this.adopt(scene);
    this.queue({ scene }, true);
  }

  open(name) {
    this.remember(true);
    this.queue({ named: name }, true);
  }

  // A scene of unknown origin is shown when the kernel has taken it.
  wish(scene) {
    this.remember(true);
    this.queue({ scene }, true);
  }

  // A promise that resolves when all of a scene is true and stands still.
  showTruly(scene) {
    this.wish({ ...this.scene, ...scene });
    return new Promise((resolve) => this.goals.push(resolve));
  }

  queue(change, atOnce = false) {
    if (this.lazy) this.tell(); // in the order in which it was done
    const last = this.waiting;
    if (last?.set && change.set && last.panel === change.panel) change = { ...change, set: { ...last.set, ...change.set } };
    else if (last) this.flush(true);
    this.waiting = change;
    this.flush(atOnce);
  }

  flush(atOnce = false) {
    if (!this.waiting) return;
    const now = performance.now();
    if (!atOnce && this.heard < this.n && now - this.sentAt < PATIENCE_MS) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.flush(), PATIENCE_MS - (now - this.sentAt) + 1);
      return;
    }
    const change = this.waiting;
    this.waiting = null;
    this.sentAt = now;
    this.send({ ...change, view: this.view, n: ++this.n });
    clearTimeout(this.silent);
    this.silent = setTimeout(() => this.heard < this.n && this.emit("silent", true), SILENT_MS);
  }

  // Bring a scene here; what it makes untrue is noted in the pictures.
  adopt(scene, serial = null, atOnce = true) {
    const before = this.scene;
    this.scene = scene;
    while (this.pictures.length < scene.panels.length) this.pictures.push(new PictureData());
    this.pictures.length = scene.panels.length;
    while (this.menus.length && this.menus.length < scene.panels.length) {
      this.menus.push(this.menus[before.active] ?? this.menus[0]); // for now
    }
    scene.panels.forEach((panel, i) => {
      const old = before?.panels[i] ?? before?.panels[before.active]; // a new one begins as a copy
      const changed = Object.keys(panel).filter((name) => !DRAWN.includes(name) && !same(panel[name], old?.[name]));
      if (changed.length) this.pictures[i].changed(changed, this.n + (serial === null ? 1 : 0), serial ?? 0);
    });
    this.emit("scene", atOnce);
  }

  remember(whole = false) {
    const now = performance.now();
    if (this.scene && (whole || now - this.changedAt > UNDO_MS)) {
      this.past = [...this.past.slice(1 - MOST_UNDO), this.scene];
      this.future = [];
    }
    this.changedAt = now;
  }

  undo(from = "past", to = "future") {
    const scene = this[from].pop();
    if (!scene) return;
    this[to].push(this.scene);
    this.show(scene, false);
  }

  redo() {
    this.undo("future", "past");
  }

  take(message, buffers) {
    if (message === null) return this.emit("silent", true);
    if (typeof message !== "object") return;
    const heard = message.heard?.[this.view] ?? 0;
    if (heard > this.heard) {
      if (heard === this.n) this.noteAnswer();
      this.heard = heard;
      this.emit("silent", false);
    }
    if (message.connected) this.restart();
    else if (message.about) this.about = message.about;
    else if (message.scene) this.takeScene(message, heard);
    else if (message.frame) this.takeFrame(message, buffers, heard);
    else for (const [topic, value] of Object.entries(message)) this.emit(topic, value, buffers);
    if (message.true || message.measured || message.rest) this.takeTruth(message, heard);
    if (this.heard >= this.n) this.flush();
  }

  // A kernel that began anew counts anew; it is told what stands here.
  restart() {
    const { scene, serial } = this;
    this.greet();
    Object.assign(this, { n: 0, heard: 0, serial: 0, waiting: null, asked: false });
    for (const picture of this.pictures) picture.forget();
    if (serial) this.queue({ scene }, true); // else it is only what was kept
  }

  takeScene(message, heard) {
    this.serial = Math.max(this.serial, message.serial ?? 0);
    if (message.menus) Object.assign(this, { menus: message.menus, scenes: message.scenes, named: message.named });
    let scene = message.scene;
    if (this.scene && (heard < this.n || this.waiting?.scene)) scene = this.scene; // the hand leads
    else for (const patch of [this.waiting?.set, this.lazy]) {
      if (patch) scene = patched(scene, patch, scene.active, this.about.linked);
    }
    this.adopt(scene, message.serial ?? 0);
  }

  takeFrame({ frame, serial }, buffers, heard) {
    if (this.pictures[frame.panel]?.take(frame, buffers, serial ?? 0.25, heard)) this.emit("frame", frame);
  }

  takeTruth(message, heard) {
    if (heard < this.n) return;
    const parts = message.rest ? ["points", "numbers", "curve"] : message.measured ? ["points", "numbers"] : ["points"];
    for (const picture of this.pictures) picture.confirm(parts, heard, message.serial);
    this.emit("frame");
    if (!message.true) return;
    const reached = this.goals.splice(0);
    const settle = () => {
      if (this.pictures.some((picture) => picture.gliding)) requestAnimationFrame(settle);
      else reached.forEach((resolve) => resolve(this.scene));
    };
    if (reached.length) settle();
  }

  close() {
    for (const timer of [this.lazily, this.later, this.silent]) clearTimeout(timer);
    this.live?.end();
    this.listeners = {};
    this.send({ bye: this.view });
  }
}

// A scene with other fields in a panel, which becomes the active one; what is linked follows in the others.
export function patched(scene, patch, panel, linked) {
  const shared = Object.fromEntries(Object.entries(patch).filter(([name]) => linked.includes(name)));
  const panels = scene.panels.map((state, i) => ({ ...state, ...(i === panel ? patch : shared) }));
  return { ...scene, panels, active: panel };
}

// The engine in an exported page: what the front end asks of Python is answered from recorded runs.
const REST_MS = 250; // without a change, after which what stands still is a recorded weight
const fixed = ({ weight, guide, sigma, view, layers, ...rest }) => rest; // of a state what is the same in all of a run
const alike = (a, b) => a === b || (a && b && typeof a === "object"
  && Object.keys({ ...a, ...b }).every((name) => alike(a[name], b[name])));

class Recorded {
  constructor(page) {
    Object.assign(this, { page, about: { ...TABLES, ...page.about }, scene: page.scene, said: "" });
    Object.assign(this, { serial: 0, heard: {}, sent: [], opened: {}, count: page.scene.panels[0].points });
    const nothing = new Int32Array(page.levels.length * 2 * this.count);
    this.plain = this.open("base", 1, nothing).then((run) => ({ ...run, path: this.path(run.steps[0]) }));
    this.outlines = Promise.all(page.outlines.items.map((_, i) => inflated(`outlines${i}`)));
    this.recall();
    addEventListener("hashchange", () => this.recall() && this.show(true));
  }

  on(handler) {
    this.tell = (message, buffers) => handler({ ...message, serial: this.serial, heard: this.heard }, buffers);
  }

  send(message) {
    queueMicrotask(() => this.take(message)); // no answer comes before the call is over
  }

  take({ hello, view, n, ...wish }) {
    if (hello) this.tell({ about: this.about });
    else if (n) this.heard[view] = n;
    else return; // a view that goes
    let text = "";
    try {
      this.scene = this.known(this.wanted(wish));
    } catch (error) {
      text = error.message;
    }
    if (text !== this.said) this.tell({ say: { text, error: true } });
    this.said = text;
    this.show(!wish.set);
  }

  wanted({ set, choose, scene, named, panel }) {
    const { own, runs, scenes } = this.page;
    const brought = set ?? runs[own[choose?.method]]?.state;
    return brought ? patched(this.scene, brought, panel, this.about.linked) : (scenes[named] ?? scene ?? this.scene);
  }

  // A scene with all that it leaves out, its weights within those that were recorded.
  known(scene) {
    const { most_panels, layers, linked } = this.about;
    const first = this.page.scene;
    const panels = scene.panels.slice(0, most_panels).map((panel) => {
      const state = { ...first.panels[0], ...panel };
      const run = this.runOf(state);
      if (!run) throw new Error("this was not recorded: it needs Python");
      const numbers = [state.weight, state.sigma, ...Object.values(state.view)];
      if (!numbers.every(Number.isFinite)) throw new Error("weight, noise level and view must be numbers");
      const weight = clamp(state.weight, run.weights[0], run.weights.at(-1));
      return { ...state, weight, layers: state.layers.filter((name) => layers[name]?.kind === "") };
    });
    const active = clamp(scene.active ?? 0, 0, panels.length - 1);
    const shared = Object.fromEntries(linked.map((name) => [name, panels[active][name]]));
    return { ...first, ...scene, active, panels: panels.map((state) => ({ ...state, ...shared })) };
  }

  runOf(state) {
    const same = (own) => alike(fixed({ ...this.page.scene.panels[0], ...own }), fixed(state));
    return this.page.runs.find((run) => same(run.state) && (!run.sized || alike(run.state.guide, state.guide)));
  }

  // Where a panel's weight lies among those of its run.
  place(state) {
    const run = this.runOf(state);
    const { weights } = run;
    const low = weights.findLastIndex((weight) => weight <= state.weight);
    const high = Math.min(low + 1, weights.length - 1);
    const share = high > low ? (state.weight - weights[low]) / (weights[high] - weights[low]) : 0;
    return { run, low, high, share, nearest: share > 0.5 ? high : low };
  }

  show(atOnce) {
    const { scene } = this;
    const scenes = Object.entries(this.page.scenes);
    const named = scenes.find(([, other]) => alike(other, scene))?.[0] ?? "";
    const menus = scene.panels.map((state) => this.runOf(state).menus);
    this.serial += 1;
    if (atOnce) this.sent = [];
    this.tell({ scene, menus, scenes: scenes.map(([name]) => name), named });
    this.paint(false);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), atOnce ? 0 : REST_MS);
  }

  // Nothing moves: the nearest recorded weights, in full; and the address says what is set.
  async rest() {
    const places = this.scene.panels.map((state) => this.place(state));
    const panels = places.map(({ run, nearest }, i) => ({ ...this.scene.panels[i], weight: run.weights[nearest] }));
    if (!alike(panels, this.scene.panels)) {
      this.scene = { ...this.scene, panels };
      return this.show(true);
    }
    if (!(await this.paint(true))) return;
    this.tell({ true: true, measured: true, rest: true });
    const sizes = (run) => (run.sized ? [run.state.guide.width, run.state.guide.steps] : []);
    const words = places.map(({ run }, i) => [run.state.method, panels[i].weight, ...sizes(run)].join());
    history.replaceState(null, "", `#${words.join("/")}`);
  }

  async paint(full) {
    const { page, serial, count } = this;
    const [plain, lines] = [await this.plain, await this.outlines];
    const ends = (path) => path.subarray(-2 * count);
    for (const [panel, state] of this.scene.panels.entries()) {
      const { run, nearest, low, high, share } = this.place(state);
      const i = page.runs.indexOf(run);
      const { steps, out } = await (this.opened[i] ??= this.open(`run${i}`, run.weights.length, plain.steps[0]));
      if (serial !== this.serial) return false; // something newer is on its way
      const path = this.path(steps[low], steps[high], share);
      const curve = run.numbers.map((rows) => Object.values(rows).slice(0, 2).map(({ value }) => value));
      const put = (frame, key, header, buffers) => this.put({ ...header, frame, panel, full }, key, buffers);
      put("outlines", 0, page.outlines, lines);
      put("points", `${i} ${state.weight}`, { count, levels: page.levels, sigma: 0, path }, [ends(path), out[nearest]]);
      put("unguided", 0, { count }, [ends(plain.path), plain.out[0]]);
      put("numbers", `${i} ${nearest}`, { count: page.samples, rows: run.numbers[nearest] });
      put("curve", i, { weights: run.weights, values: curve.length > 1 ? curve : [] });
    }
    return true;
  }

  // Send a part unless it is there.
  put(frame, key, buffers) {
    const sent = (this.sent[frame.panel] ??= {});
    const [old, full] = sent[frame.frame] ?? [];
    if (old === key && (full || !frame.full)) return;
    sent[frame.frame] = [key, frame.full];
    this.tell({ frame }, buffers);
  }

  async open(id, weights, base) {
    return unpacked(await inflated(id), weights, base, this.page.quanta, this.count);
  }

  // The points at all noise levels, straight between those of two weights.
  path(low, high = low, share = 0) {
    const unit = (i) => this.page.quanta[Math.floor(i / (2 * this.count))];
    return Float32Array.from(low, (step, i) => unit(i) * (step + share * (high[i] - step)));
  }

  // What the address holds, as `rest` wrote it; whatever else stands there is passed over.
  recall() {
    const { own, runs } = this.page;
    try {
      const parts = decodeURIComponent(location.hash.slice(1)).split("/").map((part) => part.split(","));
      const panels = parts.filter(([method]) => Object.hasOwn(own, method)).map(([method, weight, width, steps]) => {
        const usual = { ...this.scene.panels[0], ...runs[own[method]].state };
        const sized = { ...usual, guide: { ...usual.guide, width: Number(width), steps: Number(steps) } };
        return { ...(this.runOf(sized)?.sized ? sized : usual), weight: Number(weight) || usual.weight };
      });
      if (panels.length) this.scene = this.known({ ...this.scene, panels });
      return panels.length > 0;
    } catch {
      return false; // an address that was cut short
    }
  }
}

mount(document.getElementById("toydiff"), new Recorded(JSON.parse(textOf("manifest"))));

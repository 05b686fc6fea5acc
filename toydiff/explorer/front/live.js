// What moves is computed here: modules of WebAssembly that Python wrote from its own functions, in workers.
const WORKERS = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2)));
const EIGHT = 8; // points that a module treats together

// Runs in a worker, as text: what it needs stands in it.
function liveWorker() {
  let kit = null;
  let walks = {};
  let density = null;

  function linked(one) {
    const sites = one.sites.map((part) => linked(kit.parts[part]));
    const imports = Object.fromEntries(sites.map(({ exports }, i) => [`site${i}`, exports]));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(kit.buffers[one.code]), imports);
    for (const [address, i] of one.folded) new Uint8Array(exports.memory.buffer).set(kit.buffers[i], address);
    return { ...one, exports, floats: new Float32Array(exports.memory.buffer), words: new Uint32Array(exports.memory.buffer) };
  }

  // The walk of a solver, linked when it is first taken.
  function walkOf(name) {
    const { step, last, start } = kit.walks[name];
    return (walks[name] ??= { step: linked(step), last: linked(last), start: start.map((i) => new Uint32Array(kit.buffers[i].slice().buffer)) });
  }

  const column = ({ words, capacity }, [address], j, n) => words.subarray(address / 4 + j * capacity, address / 4 + j * capacity + n);

  function run(module, given, n) {
    given.forEach((numbers, k) => module.floats.set(numbers, module.uniforms[k] / 4));
    module.exports.prepare();
    module.exports.run(n);
  }

  function copy(from, to, n) {
    from.points.forEach((place, k) => {
      for (let j = 0; j < place[1]; j++) column(to, to.points[k], j, n).set(column(from, place, j, n));
    });
  }

  // Points from number `from` on, at each noise level of a rung; and which of them end as outliers.
  function move({ controls, rung, from, n }) {
    const { solver, rows } = kit.rungs[rung];
    const { step, last, start } = walkOf(solver);
    step.points.forEach((place, k) => {
      for (let j = 0; j < place[1]; j++) {
        const numbers = column(step, place, j, n);
        for (let i = 0; i < n; i++) numbers[i] = start[k][(from + i) * place[1] + j];
      }
    });
    const path = new Float32Array(2 * n * (rows.length + 1));
    const keep = (module, place, level) => {
      const [x, y] = [0, 1].map((j) => module.floats.subarray(place[0] / 4 + j * module.capacity));
      for (let i = 0, at = 2 * n * level; i < n; i++) {
        path[at++] = x[i];
        path[at++] = y[i];
      }
    };
    rows.forEach((row, level) => {
      const final = level === rows.length - 1;
      const module = final ? last : step;
      if (final) copy(step, last, n);
      run(module, [...controls, ...row], n);
      keep(module, module.points.at(-1), level);
    });
    keep(last, last.points[0], rows.length);
    for (const j of [0, 1]) column(density, density.points[0], j, n).set(column(last, last.points[0], j, n));
    run(density, [], n);
    const found = density.floats.subarray(density.results[0][0] / 4);
    const out = Uint8Array.from({ length: n }, (_, i) => Number(!(found[i] >= kit.level)));
    return { path, out };
  }

  onmessage = ({ data }) => {
    try {
      if (data.kit) {
        [kit, walks] = [data.kit, {}];
        density = linked(kit.density);
      } else {
        const { path, out } = move(data);
        postMessage({ n: data.number, path, out }, [path.buffer, out.buffer]);
      }
    } catch (error) {
      postMessage({ failed: String(error) });
    }
  };
}

// One for each page: the workers, which hold the kit that was asked last.
export class Live {
  constructor() {
    const url = URL.createObjectURL(new Blob([`(${liveWorker})()`], { type: "text/javascript" }));
    this.workers = Array.from({ length: WORKERS }, () => new Worker(url));
    this.number = 0;
  }

  // The points of a state, [levels, n, 2], and their outliers; a promise that fails where something does.
  async points(kit, state) {
    if (this.kit !== kit) for (const worker of this.workers) worker.postMessage({ kit });
    this.kit = kit;
    const weights = state.weight_curve ?? Array(kit.knots).fill(state.weight);
    const rung = Math.max(0, kit.rungs.findIndex(({ highest }) => Math.max(...weights) <= highest));
    const knobs = Object.entries(kit.knobs).map(([name, usual]) => [state.knobs[name] ?? usual]);
    const controls = [state.interval, ...knobs, weights];
    const size = EIGHT * Math.ceil(kit.count / (EIGHT * this.workers.length));
    const number = ++this.number;
    const parts = await Promise.all(this.workers.map((worker, i) => {
      const from = i * size;
      const n = Math.min(size, kit.count - from);
      if (n <= 0) return null;
      worker.postMessage({ number, controls, rung, from, n });
      return new Promise((done, fail) => {
        worker.onmessage = ({ data }) => (data.failed ? fail(new Error(data.failed)) : data.n === number && done({ ...data, from, n }));
        worker.onerror = ({ message }) => fail(new Error(message));
      });
    }));
    const { levels } = kit.rungs[rung];
    const path = new Float32Array(2 * kit.count * levels.length);
    const out = new Uint8Array(kit.count);
    for (const one of parts.filter(Boolean)) {
      out.set(one.out, one.from);
      levels.forEach((_, level) => {
        path.set(one.path.subarray(2 * one.n * level, 2 * one.n * (level + 1)), 2 * (kit.count * level + one.from));
      });
    }
    return { levels, path, out };
  }

  end() {
    for (const worker of this.workers) worker.terminate();
  }
}

// Whether a kit is that of a state, and a change leaves it so.
export function kitCovers(kit, state, patch) {
  const alike = ([name, value]) => JSON.stringify(value) === JSON.stringify(state[name]);
  return Boolean(kit?.open) && Object.keys(patch).every((name) => kit.open.includes(name)) && Object.entries(kit.of).every(alike);
}

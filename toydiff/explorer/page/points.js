// Where the points of a run are, at any weight and noise level: the inverse of pack.py, and what lies between.
const $ = (id) => document.getElementById(id);
const page = JSON.parse($("manifest").textContent);
const SIGMA_DATA = 0.5;
const ESCAPE = 255;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// A run's whole steps, an Int32Array of `levels * 2 * points` for each weight, and which points end as outliers.
function steps(bytes, weights, base, quanta, points) {
  const levels = quanta.length;
  const size = 2 * points;
  const row = Math.ceil(points / 8);
  const folded = weights * levels * size;
  const escaped = new DataView(bytes.buffer, bytes.byteOffset + folded + weights * row);
  let [at, next, before] = [0, 0, base];
  const all = [];
  for (let w = 0; w < weights; w++) {
    const now = new Int32Array(levels * size);
    for (let level = 0, i = 0; level < levels; level++) {
      const ratio = level ? quanta[level - 1] / quanta[level] : 0;
      for (let k = 0; k < size; k++, i++) {
        let rest = bytes[at++];
        if (rest === ESCAPE) rest = escaped.getUint32(4 * next++, true);
        rest = rest & 1 ? -(rest + 1) / 2 : rest / 2;
        const apart = level ? now[i - size] - before[i - size] : 0;
        now[i] = before[i] + Math.floor(apart * ratio + 0.5) + rest;
      }
    }
    all.push(now);
    before = now;
  }
  const bits = bytes.subarray(folded, folded + weights * row);
  const outliers = all.map((_, w) => (n) => Boolean((bits[w * row + (n >> 3)] >> (7 - (n & 7))) & 1));
  return { all, outliers };
}

// The runs by their number, unpacked when first asked for.
class Runs {
  constructor(page, texts) {
    Object.assign(this, { page, texts, ready: new Map(), size: 2 * page.points });
    const nothing = new Int32Array(page.levels.length * this.size);
    this.base = this.open(0, 1, nothing).then((run) => {
      this.plain = run; // without guidance
      return run.all[0];
    });
  }

  async open(block, weights, base) {
    return steps(await unpack(this.texts[block]), weights, base, this.page.quanta, this.page.points);
  }

  // A run, once it is there; block 0 is what the others are told from.
  get(i) {
    if (!this.ready.has(i)) {
      this.ready.set(i, null);
      this.base
        .then((base) => this.open(i + 1, this.page.runs[i].weights.length, base))
        .then((run) => this.ready.set(i, run));
    }
    return this.ready.get(i);
  }

  sigma(step) {
    const { sigma } = this.page;
    const i = Math.min(Math.floor(step), sigma.length - 2);
    return sigma[i] + (step - i) * (sigma[i + 1] - sigma[i]);
  }

  // Steps of a way from the noise to `step`, close enough to look round.
  stepsTo(step) {
    const { levels } = this.page;
    const thirds = ([from, to]) => [0, 1, 2].map((k) => from + (k / 3) * (to - from));
    const pairs = levels.slice(1).map((to, i) => [levels[i], to]);
    return pairs.flatMap(thirds).filter((one) => one < step);
  }

  // Points at a place among the weights of a run and a step of the solver, both in between too, all x and then all y:
  // straight lines between weights, and between noise levels in x* = x / sqrt(sigma^2 + sigma_data^2).
  points(run, weight, step, into = new Float32Array(this.size)) {
    const { levels, sigma, quanta } = this.page;
    const low = Math.min(Math.floor(weight), run.all.length - 1);
    const high = Math.min(low + 1, run.all.length - 1);
    const level = Math.max(0, levels.findLastIndex((one) => one <= step));
    const later = Math.min(level + 1, levels.length - 1);
    const share = later > level ? (step - levels[level]) / (levels[later] - levels[level]) : 0;
    const now = Math.hypot(this.sigma(step), SIGMA_DATA);
    const scale = (i) => (quanta[i] * now) / Math.hypot(sigma[levels[i]], SIGMA_DATA);
    const parts = [
      [run.all[low], level, (1 - share) * (1 - weight + low)],
      [run.all[low], later, share * (1 - weight + low)],
      [run.all[high], level, (1 - share) * (weight - low)],
      [run.all[high], later, share * (weight - low)],
    ];
    into.fill(0);
    for (const [values, i, part] of parts) {
      const factor = part * scale(i);
      if (factor) for (let k = 0, from = i * this.size; k < this.size; k++) into[k] += factor * values[from + k];
    }
    return into;
  }
}

const runs = new Runs(page, [...document.querySelectorAll("script[id^=run]")].map((block) => block.textContent));

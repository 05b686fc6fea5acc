// What a panel's picture is drawn of, as it came from the kernel, and where its points stand now: they glide.
import { calm } from "./dom.js";

// To the better solution, and from one answer of a drag to the next: that one is three quarters there when first drawn.
const GLIDES = { true: { ms: 200, begun: 0 }, false: { ms: 32, begun: 16 } };
const MEANS = ["distribution", "classes", "seed", "start"]; // with another one, points are other samples
const OUTLIERS = "outlier_rate_0.001";
const ease = (part) => part * (2 - part);
let halves = null;

// float16 as float32, by a table of all of them.
function half(bytes) {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const [sign, power, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (power === 31) return rest ? NaN : sign * Infinity;
    return power ? sign * 2 ** (power - 15) * (1 + rest / 1024) : sign * 2 ** -14 * (rest / 1024);
  });
  const from = typed(Uint16Array, bytes);
  const to = new Float32Array(from.length);
  for (let i = 0; i < from.length; i++) to[i] = halves[from[i]];
  return to;
}

// A view of a buffer as numbers, copied only where it does not lie on a multiple of their size.
export function typed(Kind, bytes) {
  const { buffer, byteOffset = 0, byteLength } = bytes;
  const fits = byteOffset % Kind.BYTES_PER_ELEMENT === 0;
  const from = fits ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  return new Kind(from, fits ? byteOffset : 0, Math.floor(byteLength / Kind.BYTES_PER_ELEMENT));
}

// Bits as numbers 0 and 1, before those that stay behind.
function bits(bytes, count, behind = []) {
  const packed = typed(Uint8Array, bytes);
  const found = new Uint8Array(Math.max(count, behind.length));
  found.set(behind);
  for (let i = 0; i < count; i++) found[i] = (packed[i >> 3] >> (7 - (i & 7))) & 1;
  return found;
}

function packed(out) {
  const bytes = new Uint8Array(Math.ceil(out.length / 8));
  out.forEach((one, i) => (bytes[i >> 3] |= one << (7 - (i & 7))));
  return bytes;
}

export class PictureData {
  constructor() {
    this.forget();
    Object.assign(this, { fields: {}, arrows: {}, points: null, shown: new Float32Array(0), out: new Uint8Array(0), live: 0, version: 0 });
    Object.assign(this, { outlines: null, detail: null, unguided: null, probe: null, kit: null, numbers: null, curve: null });
    Object.assign(this, { glide: null, rough: false, stale: {}, renew: true });
  }

  // Before a kernel that begins anew.
  forget() {
    this.serials = {};
    this.stale = {};
  }

  // Whether the picture is not yet what it will be at rest.
  get gliding() {
    return this.glide !== null || this.rough;
  }

  get count() {
    return this.shown.length / 2;
  }

  // Some fields of the state are others now: what depends on them is not yet true.
  changed(names, n, serial) {
    const since = performance.now();
    const untrue = { n, serial, since };
    this.stale.points ??= untrue;
    this.stale.numbers ??= untrue;
    if (names.some((name) => !["weight", "weight_curve", "points"].includes(name))) this.stale.curve ??= untrue;
    if (names.some((name) => MEANS.includes(name))) [this.renew, this.stale.picture] = [true, untrue];
    for (const one of Object.values(this.stale)) Object.assign(one, { n: Math.max(one.n, n), serial: Math.max(one.serial, serial) });
  }

  confirm(parts, heard, serial) {
    for (const part of parts) this.settle(part, heard, serial);
  }

  settle(part, heard, serial) {
    const untrue = this.stale[part];
    if (untrue && heard >= untrue.n && serial >= untrue.serial) delete this.stale[part];
    else if (untrue) untrue.since = Math.max(untrue.since, performance.now() - 100); // it follows, if late
  }

  // Take a frame; whether it is news: a late, doubled or broken one is not.
  take(frame, buffers, serial, heard) {
    const part = frame.layer ?? frame.frame;
    const rank = serial + (frame.full ? 0.5 : 0);
    if (rank <= (this.serials[part] ?? 0)) return false;
    const took = this[`take_${frame.frame}`]?.(frame, buffers, heard);
    if (!took) return false;
    this.serials[part] = rank;
    this.version += 1;
    if (["points", "numbers", "curve"].includes(part)) this.settle(part, heard, serial);
    if (part === "points") this.settle("picture", heard, serial);
    return true;
  }

  take_points(frame, [now, out, ways]) {
    const { count, levels, full, path } = frame; // an engine in the page gives the path as it is
    if (!now || now.byteLength !== 8 * count || !out || out.byteLength < count / 8) return false;
    if (levels && !path && ways?.byteLength !== 4 * count * levels.length) return false;
    const old = this.points;
    const xy = typed(Float32Array, now);
    if (this.renew || !old || (full && old.count < count && old.full)) this.shown = Float32Array.from(xy);
    this.renew = false;
    this.points = { count, levels, full, sigma: frame.sigma, now: xy, end: full ? xy : null };
    if (levels) this.points.path = path ?? half(ways);
    this.out = bits(out, count, full ? [] : this.out);
    this.live = count;
    if (this.count < count || full) this.shown = resized(this.shown, xy);
    this.aim(full);
    return true;
  }

  // Let the points glide to where they belong at the noise level on show.
  aim(settled = false) {
    const goal = this.at(this.sigma ?? this.points.sigma);
    this.from = Float32Array.from(this.shown);
    const { ms, begun } = GLIDES[Boolean(settled)];
    const still = calm() || (!settled && this.nearTo(goal));
    this.glide = still ? null : { goal, start: performance.now() - begun, ms };
    if (!this.glide) this.shown.set(goal.subarray(0, this.shown.length));
  }

  // Whether the points move by less than a pixel on the mean: no eye sees them glide.
  nearTo(goal) {
    let [sum, known] = [0, 0];
    for (let k = 0; k < goal.length; k++) {
      const way = Math.abs(goal[k] - this.shown[k]);
      if (way < Infinity) [sum, known] = [sum + way, known + 1];
    }
    return sum < known * (this.pixel ?? 0);
  }

  // Where the points stand at a noise level: on straight lines in x / sqrt(sigma^2 + sigma_data^2) between two known ones.
  at(sigma) {
    const { levels, path, now, end, count } = this.points;
    if (!path || (end && sigma <= 0)) return end ?? now;
    const later = levels.findIndex((level) => level <= sigma);
    if (later <= 0) return path.subarray(0, 2 * count);
    const [high, low] = [levels[later - 1], levels[later]];
    const part = (high - sigma) / (high - low);
    const scale = (level) => Math.hypot(level, this.sigmaData ?? 0.5);
    const [a, b] = [((1 - part) * scale(sigma)) / scale(high), (part * scale(sigma)) / scale(low)];
    const [from, to] = [2 * count * (later - 1), 2 * count * later];
    const last = later === levels.length - 1 && end;
    const found = new Float32Array(2 * count);
    for (let k = 0; k < found.length; k++) found[k] = a * path[from + k] + b * (last ? end[k] : path[to + k]);
    return found;
  }

  // The noise level is moved by hand: nothing glides.
  move(sigma) {
    if (sigma === this.sigma) return;
    this.sigma = sigma;
    if (!this.points?.path) return;
    const goal = this.at(sigma);
    this.glide = null;
    this.shown.set(goal.subarray(0, this.shown.length));
    this.version += 1;
  }

  // Bring the points nearer to their places; whether they have moved.
  step(now) {
    if (!this.glide) return false;
    const { goal, start, ms, part: before = 0 } = this.glide;
    const part = Math.min(1, Math.max(before, (now - start) / ms)); // a picture's own time may lie before that of a frame
    this.glide.part = part;
    const { shown, from } = this;
    const share = ease(part);
    const n = Math.min(goal.length, shown.length);
    for (let k = 0; k < n; k++) {
      const way = goal[k] - from[k];
      shown[k] = part === 1 || Number.isNaN(way) ? goal[k] : from[k] + share * way;
    }
    if (part === 1) this.glide = null;
    this.version += 1;
    return true;
  }

  take_unguided({ count }, [ends, out]) {
    if (ends?.byteLength !== 8 * count || !out) return false;
    this.unguided = { count, ends: typed(Float32Array, ends), out: bits(out, count) };
    return true;
  }

  take_outlines(frame, buffers) {
    const items = frame.items.map(({ light, strong, counts }, i) => ({ light, strong, path: closed(buffers[i], counts) }));
    if (items.some(({ path }) => !path)) return false;
    this[frame.frame] = items;
    if (frame.frame === "outlines") this.detail = null;
    else this.detail.view = frame.view;
    return true;
  }

  take_detail(frame, buffers) {
    return this.take_outlines(frame, buffers);
  }

  take_field({ layer, size, view, sigma }, [values]) {
    if (values?.byteLength !== 2 * size * size) return false;
    this.fields[layer] = { size, view, sigma, values: typed(Uint16Array, values), image: null };
    return true;
  }

  take_arrows({ layer }, [values]) {
    if (!values || values.byteLength % 16) return false;
    this.arrows[layer] = typed(Float32Array, values);
    return true;
  }

  take_probe(frame) {
    this.probe = frame.x ? frame : null;
    return true;
  }

  take_numbers(frame) {
    const old = Object.entries(frame.full ? {} : (this.numbers?.rows ?? {})); // what does not follow the hand stays, as old
    this.numbers = { ...frame, rows: { ...Object.fromEntries(old.map(([name, row]) => [name, { ...row, old: true }])), ...frame.rows } };
    return true;
  }

  // What Python wrote for this state, to move its points here.
  take_kit(frame, buffers) {
    this.kit = { ...frame, buffers: buffers.map((bytes) => typed(Uint8Array, bytes).slice()) };
    return true;
  }

  // Points that were computed here: before Python's, which come at rest.
  takeHere({ levels, path, out }) {
    const count = out.length;
    const now = new Uint8Array(path.slice(-2 * count).buffer);
    this.take_points({ count, levels, path, sigma: 0, full: false }, [now, packed(out)]);
    this.version += 1;
    const rows = this.numbers?.rows;
    if (!rows?.[OUTLIERS]) return;
    const value = out.reduce((sum, one) => sum + one, 0) / count;
    this.take_numbers({ count, rows: { [OUTLIERS]: { value, exact: rows[OUTLIERS].exact } } });
    this.settle("numbers", -1, -1); // not yet Python's, but what follows the hand is not old
  }

  take_curve(frame) {
    this.curve = frame;
    return true;
  }
}

function resized(shown, xy) {
  if (shown.length === xy.length) return shown;
  const bigger = Float32Array.from(xy);
  bigger.set(shown.subarray(0, bigger.length));
  return bigger;
}

// Closed lines in the units of the data.
function closed(bytes, counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (bytes?.byteLength !== 8 * total) return null;
  const xy = typed(Float32Array, bytes);
  const path = new Path2D();
  let at = 0;
  for (const count of counts) {
    for (let i = 0; i < count; i++, at += 2) path[i ? "lineTo" : "moveTo"](xy[at], xy[at + 1]);
    path.closePath();
  }
  return path;
}

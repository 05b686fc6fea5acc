// What lies behind the points, outlines and densities, as pixels: drawn when it has changed. While the view moves, a
// picture that reaches somewhat beyond it is moved along, for outlines take longer than all the rest; it is drawn
// sharply when the view rests.
import { imageOf } from "./raster.js";

const BEYOND = 0.125; // of the side, on each side
const GROWN = 1.15; // more, and lines would be seen to be thick and blurred
const SHARP_MS = 100;
const KEPT_HERE = { willReadFrequently: true }; // pixels that this thread writes stay with it

export class Background {
  constructor() {
    Object.assign(this, { sheet: new OffscreenCanvas(1, 1), wide: new OffscreenCanvas(1, 1), holds: [], rough: false });
  }

  // Draw `lines` upon `fields`, pairs of a field and its layer, as they look through `lens` at the time `now`.
  draw(lines, fields, lens, now) {
    const wanted = [lens.side, lines, ...fields.map(([field]) => field)];
    const same = wanted.length === this.holds.length && wanted.every((one, i) => one === this.holds[i]);
    const moves = same && !lens.equals(this.lens);
    if (moves) this.movedAt = now;
    if (same && !moves && !(this.rough && now - this.movedAt > SHARP_MS)) return;
    Object.assign(this, { holds: wanted, lens, rough: moves });
    if (!same) this.wideLens = null;
    const g = sized(this.sheet, lens.side);
    if (moves) this.moveAlong(g, lines, fields);
    else paint(g, lines, fields, lens);
    this.pixels = pixelsOf(g);
  }

  moveAlong(g, lines, fields) {
    const { lens, wide } = this;
    if (!this.wideLens || lens.zoom > GROWN * this.wideLens.zoom || !covers(lens.seen(this.wideLens), lens.side)) {
      this.wideLens = lens.wider(Math.ceil(BEYOND * lens.side));
      paint(sized(wide, this.wideLens.side), lines, fields, this.wideLens);
    }
    const [x, y, side] = lens.seen(this.wideLens);
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(wide, x, y, side, side);
  }
}

const covers = ([x, y, width], side) => x <= 0 && y <= 0 && x + width >= side && y + width >= side;

function paint(g, lines, fields, lens) {
  const { side, left, top, zoom } = lens;
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.fillStyle = "#fff";
  g.fillRect(0, 0, side, side);
  for (const [field, layer] of fields) {
    const [x, y, width] = lens.box(field.view);
    g.drawImage(imageOf(field, layer, side), x, y, width, width);
  }
  g.setTransform(zoom, 0, 0, -zoom, left, top);
  g.lineWidth = (0.00174 * side) / zoom;
  for (const { light, strong, path } of lines) {
    [g.fillStyle, g.strokeStyle] = [light, strong];
    if (!fields.length) g.fill(path, "evenodd");
    g.stroke(path);
  }
}

// Where to draw on a sheet of that many pixels.
export function sized(canvas, side) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  return canvas.getContext("2d", KEPT_HERE);
}

export function pixelsOf(pen) {
  const { width, height } = pen.canvas;
  return new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
}

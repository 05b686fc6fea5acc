// A density as the kernel sent it, coloured in steps with a fine line between them, as an image.
const MOST = 1600; // pixels on a side
const LINE = 0.3; // opacity of the line

export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

// The image of a field, kept with it.
export function imageOf(field, layer, side) {
  const size = Math.min(MOST, 4 * field.size, Math.round(side * 1.25));
  if (field.image?.width === size) return field.image;
  field.image = new OffscreenCanvas(size, size);
  const g = field.image.getContext("2d");
  const picture = g.createImageData(size, size);
  colour(new Uint32Array(picture.data.buffer), size, field, layer);
  g.putImageData(picture, 0, 0);
  return field.image;
}

function colour(pixels, size, { values, size: n }, { bands, dark }) {
  const palette = bands.map((hex) => pack(rgb(hex), 255));
  const lined = bands.map((hex) => pack(rgb(hex).map((value, i) => value + LINE * (rgb(dark)[i] - value)), 255));
  const edge = pack(rgb(dark), 255 * LINE);
  let above = new Int8Array(size).fill(-1);
  let row = new Int8Array(size);
  const step = (n - 1) / (size - 1);
  for (let py = 0; py < size; py++) {
    const y = (size - 1 - py) * step; // rows come from bottom to top
    const j = Math.min(n - 2, Math.floor(y));
    const v = y - j;
    for (let px = 0; px < size; px++) {
      const x = px * step;
      const i = Math.min(n - 2, Math.floor(x));
      const u = x - i;
      const k = j * n + i;
      const value = (values[k] * (1 - u) + values[k + 1] * u) * (1 - v) + (values[k + n] * (1 - u) + values[k + n + 1] * u) * v;
      const band = value < 1 ? -1 : Math.min(bands.length - 1, Math.floor((value / 65536) * bands.length));
      const crossed = py && px && (band !== above[px] || band !== row[px - 1]);
      row[px] = band;
      if (band >= 0) pixels[py * size + px] = crossed ? lined[band] : palette[band];
      else if (crossed) pixels[py * size + px] = edge;
    }
    [above, row] = [row, above];
  }
}

const pack = ([r, g, b], a) => (Math.round(a) << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);

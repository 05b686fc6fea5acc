// Draws a panel: classes and densities, lines, the points themselves, arrows, the probe and the ring of one sample.
import { Background, pixelsOf, sized } from "./background.js";
import { rgb } from "./raster.js";

const TRACED = 150; // trajectories
const FADED = 0.25; // opacity of points that wait for the better solution
const QUIET = 0.35; // of all of them beside the probe
const NONE = [];
const RESCUES = [400, 800]; // at most so many lines of samples that stay as they were, and of those that change

export class Painting {
  constructor(canvas) {
    Object.assign(this, { canvas, background: new Background(), lines: new OffscreenCanvas(1, 1) });
  }

  // Draw `data` as `state` says through `lens`, whose side is in pixels of the screen; `ring` is the sample that is held.
  draw(data, state, lens, about, ring, now) {
    const on = new Set(state.layers);
    Object.assign(this, { lens, about, data, on });
    this.image = this.points(this.below(state, now), state.probe && data.probe ? QUIET : 1);
    const g = this.g = sized(this.canvas, lens.side);
    g.putImageData(this.image, 0, 0);
    for (const [name, row] of Object.entries(about.layers)) {
      if (row.kind === "arrows" && on.has(name) && data.arrows[name]) this.arrows(data.arrows[name], row.colour);
    }
    if (state.probe && data.probe) this.probe(data.probe);
    if (ring !== null && ring < data.count) this.ring(ring);
  }

  // The pixels of what lies below the points.
  below(state, now) {
    const { data, on, lens, about, background } = this;
    const kinds = Object.entries(about.layers).filter(([name, { kind }]) => kind === "field" && on.has(name));
    const fields = kinds.map(([name, row]) => [data.fields[name], row]).filter(([field]) => field);
    const outlines = on.has("outlines") ? (seen(data.detail, state.view) ? data.detail : data.outlines) : null;
    background.draw(outlines ?? NONE, fields, lens, now);
    const lines = [["trajectories", data.points?.path], ["rescue", data.points && data.unguided]].filter(([name, known]) => on.has(name) && known);
    if (!lines.length) return background.pixels;
    const pen = this.g = sized(this.lines, lens.side);
    pen.drawImage(background.sheet, 0, 0);
    for (const [name] of lines) this[name]();
    return pixelsOf(pen);
  }

  stroke(colour, width, opacity, follow) {
    const { g, lens } = this;
    [g.strokeStyle, g.lineWidth, g.globalAlpha] = [colour, Math.max(0.6, width * lens.side), opacity];
    g.beginPath();
    follow(g);
    g.stroke();
    g.globalAlpha = 1;
  }

  // The way of a sample from noise to where it stands now.
  way(i) {
    const { lens, g, data } = this;
    const { levels, path, count } = data.points;
    if (path && i < count) {
      for (let level = 0; level < levels.length && levels[level] > (data.sigma ?? 0); level++) {
        const k = 2 * (level * count + i);
        g[level ? "lineTo" : "moveTo"](lens.x(path[k]), lens.y(path[k + 1]));
      }
    }
    g.lineTo(lens.x(data.shown[2 * i]), lens.y(data.shown[2 * i + 1]));
  }

  trajectories() {
    const { data, lens } = this;
    if (!data.points.path) return;
    const chosen = [];
    for (let i = 0; i < data.points.count && chosen.length < TRACED; i++) {
      const [x, y] = [lens.x(data.shown[2 * i]), lens.y(data.shown[2 * i + 1])];
      if (x >= 0 && y >= 0 && x <= lens.side && y <= lens.side) chosen.push(i);
    }
    this.stroke(this.about.layers.trajectories.colour, 0.00116, 0.8, () => chosen.forEach((i) => this.way(i)));
  }

  // From where each sample ends without guidance to where it stands: rescued, lost, or neither.
  rescue() {
    const { data, lens, about } = this;
    const { ends, out, count } = data.unguided;
    const groups = { kept: [], rescued: [], lost: [] };
    for (let i = 0; i < Math.min(count, data.points.count); i++) {
      const [before, after] = [out[i], data.out[i]];
      const group = before === after ? "kept" : before ? "rescued" : "lost";
      if (groups[group].length < RESCUES[Number(group !== "kept")]) groups[group].push(i);
    }
    for (const [name, chosen] of Object.entries(groups)) {
      this.stroke(about.colours[name], 0.00135, 0.8, (g) => {
        for (const i of chosen) {
          g.moveTo(lens.x(ends[2 * i]), lens.y(ends[2 * i + 1]));
          g.lineTo(lens.x(data.shown[2 * i]), lens.y(data.shown[2 * i + 1]));
        }
      });
    }
  }

  // Discs, written pixel by pixel upon those below: thousands of them cost a few milliseconds on any machine.
  points(below, opacity) {
    const { data, lens, about, on } = this;
    const { side } = lens;
    const { shown, count, live, out } = data;
    if (this.image?.width !== side) {
      this.image = new ImageData(side, side);
      this.cover = new Uint8Array(side * side);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.set(below);
    this.cover.fill(0);
    const pink = on.has("outliers");
    const paint = (wanted, { colour }, radius, faded) => {
      const [from, to] = faded ? [live, count] : [0, Math.min(live, count)];
      const disc = { below, radius, colour: rgb(colour), opacity: faded ? FADED * opacity : opacity };
      for (let i = from; i < to; i++) {
        if (!pink || out[i] === wanted) this.disc(lens.x(shown[2 * i]), lens.y(shown[2 * i + 1]), disc);
      }
    };
    for (const faded of [true, false]) {
      if (on.has("samples")) paint(0, about.layers.samples, Math.max(1, about.radius.sample * side), faded);
      if (pink) paint(1, about.layers.outliers, Math.max(1.4, about.radius.outlier * side), faded);
    }
    return this.image;
  }

  // Where discs overlap, the one that covers more of a pixel has it.
  disc(x, y, { below, radius, colour: [red, green, blue], opacity }) {
    const { pixels, cover } = this;
    const { side } = this.lens;
    if (!(x > -radius && y > -radius && x < side + radius && y < side + radius)) return; // NaN is nowhere
    const reach = radius + 0.5;
    const last = Math.min(side - 1, Math.floor(x - 0.5 + reach));
    const bottom = Math.min(side - 1, Math.floor(y - 0.5 + reach));
    for (let py = Math.max(0, Math.ceil(y - 0.5 - reach)); py <= bottom; py++) {
      const dy = py + 0.5 - y;
      for (let px = Math.max(0, Math.ceil(x - 0.5 - reach)); px <= last; px++) {
        const dx = px + 0.5 - x;
        const far = dx * dx + dy * dy;
        if (far >= reach * reach) continue;
        const covered = (255 * opacity * Math.min(1, reach - Math.sqrt(far)) + 0.5) | 0;
        const k = py * side + px;
        if (covered < cover[k]) continue;
        cover[k] = covered;
        const [was, left] = [below[k], 255 - covered];
        const b = (((was >> 16) & 255) * left + blue * covered + 127) / 255;
        const g = (((was >> 8) & 255) * left + green * covered + 127) / 255;
        const r = ((was & 255) * left + red * covered + 127) / 255;
        pixels[k] = 0xff000000 | (b << 16) | (g << 8) | r;
      }
    }
  }

  arrows(values, colour) {
    const { g, lens } = this;
    g.fillStyle = colour;
    g.beginPath();
    for (let k = 0; k < values.length; k += 4) {
      const from = [lens.x(values[k]), lens.y(values[k + 1])];
      arrow(g, from, [values[k + 2] * lens.zoom, -values[k + 3] * lens.zoom], 0.007 * lens.side);
    }
    g.fill();
  }

  // The scores at one point: arrows long enough to be seen, with their true lengths as numbers.
  probe({ x, arrows, paths }) {
    const { g, lens, about } = this;
    const colours = about.colours.probe;
    for (const [name, path] of Object.entries(paths)) {
      g.setLineDash([0.008 * lens.side, 0.004 * lens.side]);
      this.stroke(colours[name], 0.0031, 1, () => {
        path.forEach(([a, b], i) => g[i ? "lineTo" : "moveTo"](lens.x(a), lens.y(b)));
      });
      g.setLineDash([]);
    }
    const at = [lens.x(x[0]), lens.y(x[1])];
    const longest = Math.max(...Object.values(arrows).map(({ length }) => length)) * lens.zoom;
    const [least, most] = [Math.max(0.065 * lens.side, 2.9 * this.text), 0.3 * lens.side]; // 40 pixels of the page, at least
    const grown = longest > 0 ? Math.min(Math.max(1, (2 * least) / longest), most / longest) : 1;
    g.font = `600 ${Math.round(this.text)}px system-ui, sans-serif`;
    const labels = [];
    for (const [name, { step, length }] of Object.entries(arrows)) {
      if (!(length > 0)) continue;
      const long = Math.min(most, Math.max(least, length * lens.zoom * grown));
      const by = [(step[0] / length) * long, (-step[1] / length) * long];
      g.fillStyle = colours[name];
      g.beginPath();
      arrow(g, at, by, 0.006 * lens.side);
      g.fill();
      labels.push([length.toPrecision(2), at[0] + by[0] * 1.12, at[1] + by[1] * 1.12, colours[name]]);
    }
    // Arrows that lie on one another have one number; the table beside has them all.
    const near = ([, x, y], [, u, v]) => Math.abs(x - u) < 2.6 * this.text && Math.abs(y - v) < 1.2 * this.text;
    labels.filter((one, i) => !labels.slice(i + 1).some((later) => near(one, later))).forEach((one) => this.label(...one));
    [g.fillStyle, g.strokeStyle, g.lineWidth] = ["#fff", about.colours.ink, 0.003 * lens.side];
    g.beginPath();
    g.arc(...at, 0.008 * lens.side, 0, 2 * Math.PI);
    g.fill();
    g.stroke();
  }

  label(text, x, y, colour) {
    const { g } = this;
    [g.textAlign, g.textBaseline] = ["center", "middle"];
    [g.lineWidth, g.strokeStyle, g.lineJoin] = [4, "#fff", "round"];
    g.strokeText(text, x, y);
    g.fillStyle = colour;
    g.fillText(text, x, y);
  }

  ring(i) {
    const { data, lens, about } = this;
    const [x, y] = [lens.x(data.shown[2 * i]), lens.y(data.shown[2 * i + 1])];
    if (data.points?.path) this.stroke(about.colours.ink, 0.0022, 1, () => this.way(i));
    const circle = (g) => g.arc(x, y, 0.013 * lens.side, 0, 2 * Math.PI);
    this.stroke("#ffffff", 0.009, 1, circle);
    this.stroke(about.colours.ink, 0.0035, 1, circle);
  }
}

// Whether finer outlines cover a view, and are not too coarse for it.
function seen(detail, view) {
  if (!detail) return false;
  const { x, y, half_width } = detail.view;
  const beyond = Math.max(Math.abs(view.x - x), Math.abs(view.y - y)) + view.half_width;
  return beyond <= half_width;
}

function arrow(g, [x, y], [dx, dy], width) {
  const long = Math.hypot(dx, dy);
  if (!(long > 0)) return;
  const head = Math.min(4 * width, long);
  const [u, v] = [dx / long, dy / long];
  const half = [width / 2, (1.8 * width * head) / (4 * width)];
  const shaft = long - 0.9 * head;
  const point = (along, across, first) => g[first ? "moveTo" : "lineTo"](x + u * along - v * across, y + v * along + u * across);
  point(0, half[0], true);
  point(shaft, half[0]);
  point(long - head, half[1]);
  point(long, 0);
  point(long - head, -half[1]);
  point(shaft, -half[0]);
  point(0, -half[0]);
  g.closePath();
}

// From the units of the data to pixels and back, in a square picture.
import { clamp } from "./dom.js";

export class Lens {
  constructor(view, side, grown = 1) {
    this.zoom = side / (2 * view.half_width * grown);
    Object.assign(this, { side, left: side / 2 - view.x * this.zoom, top: side / 2 + view.y * this.zoom });
  }

  equals({ side, zoom, left, top }) {
    return side === this.side && zoom === this.zoom && left === this.left && top === this.top;
  }

  // The same with so many more pixels on each side.
  wider(more) {
    const { side, zoom, left, top } = this;
    return Object.assign(Object.create(Lens.prototype), { zoom, side: side + 2 * more, left: left + more, top: top + more });
  }

  x(value) {
    return this.left + value * this.zoom;
  }

  y(value) {
    return this.top - value * this.zoom;
  }

  // The point of the data under a pixel.
  at(px, py) {
    return [(px - this.left) / this.zoom, (this.top - py) / this.zoom];
  }

  // Where the picture of another lens lies: left, top and side.
  seen({ side, zoom, left, top }) {
    const ratio = this.zoom / zoom;
    return [this.left - left * ratio, this.top - top * ratio, side * ratio];
  }

  // Where a square view lies: left, top and side.
  box(view) {
    return [this.x(view.x - view.half_width), this.y(view.y + view.half_width), 2 * view.half_width * this.zoom];
  }
}

// The view after zooming by a factor (below 1: closer), with the point (x, y) kept in its place.
export function zoomed(view, factor, x, y) {
  const half_width = clamp(view.half_width * factor, 0.01, 10);
  const ratio = half_width / view.half_width;
  return within({ x: x + (view.x - x) * ratio, y: y + (view.y - y) * ratio, half_width });
}

export function moved(view, dx, dy) {
  return within({ ...view, x: view.x + dx, y: view.y + dy });
}

const within = (view) => ({ ...view, x: clamp(view.x, -10, 10), y: clamp(view.y, -10, 10) });

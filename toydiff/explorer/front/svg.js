// What every drawing in SVG needs: elements of its namespace, and how wide a text is before it stands anywhere.
const ruler = document.createElement("canvas").getContext("2d");

export function svgPut(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// An element of the class toydiff-NAME, appended.
export function svgPart(parent, tag, name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  parent?.append(element);
  return svgPut(element, { class: `toydiff-${name}`, ...attributes });
}

// A line through points, with a gap where one is nowhere; where ends are round, `h0` shows a point that is alone.
export const nowhere = (point) => !point || Number.isNaN(point[0] + point[1]);
export function svgLine(points) {
  const step = (point, i) => `${nowhere(points[i - 1]) ? "M" : "L"}${point[0]} ${point[1]}h0`;
  return points.map((point, i) => (nowhere(point) ? "" : step(point, i))).join("");
}

// The size of an element's font, and how wide a text is in it, or in a bolder one, in pixels; the font is looked up once.
export function rulerOf(element) {
  const { fontStyle, fontWeight, fontSize, fontFamily } = getComputedStyle(element);
  const wide = (text, weight = fontWeight) => {
    ruler.font = `${fontStyle} ${weight} ${fontSize} ${fontFamily}`;
    return ruler.measureText(text).width;
  };
  return [parseFloat(fontSize), wide];
}

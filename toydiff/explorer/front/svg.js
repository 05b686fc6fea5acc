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

// How wide a text is in the font of an element, or a bolder one, in pixels; the font is looked up once.
export function rulerOf(element) {
  const { fontStyle, fontWeight, fontSize, fontFamily } = getComputedStyle(element);
  return (text, weight = fontWeight) => {
    ruler.font = `${fontStyle} ${weight} ${fontSize} ${fontFamily}`;
    return ruler.measureText(text).width;
  };
}

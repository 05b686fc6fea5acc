// Makers of elements, and the few controls of which everything is made: native ones, each with a label and a help text.
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
let made = 0;

export function make(parent, tag, props = {}, attrs = {}) {
  const { name, ...rest } = props;
  const element = Object.assign(document.createElement(tag), rest);
  if (name) element.classList.add(`toydiff-${name}`);
  for (const [key, value] of Object.entries(attrs)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

export const swatch = (colour) => make(null, "i", { name: "swatch", style: `background: ${colour}` });

// Properties of an element, each only where it is another one: what is written costs the page a layout.
export function put(element, props) {
  for (const [name, value] of Object.entries(props)) if (element[name] !== value) element[name] = value;
}

// Whether an element is to hold something else than before; it is taken as told.
export function news(element, what) {
  const before = element.holds;
  element.holds = JSON.stringify(what);
  return element.holds !== before;
}

// An element in its place; untouched where it stands there, or it would lose the focus.
export function putIn(element, parent, before = null) {
  if (element.parentNode !== parent) parent.insertBefore(element, before);
}

export function button(parent, name, label, help, act) {
  const element = make(parent, "button", { name, type: "button", textContent: label, title: help });
  element.addEventListener("click", () => act());
  return element;
}

// A label with a control in it, whose words stand before it; the control gets the name.
export function labelled(parent, kind, label, control) {
  const element = make(parent, "label", { name: kind });
  make(element, "span", { textContent: label });
  element.append(control);
  return control;
}

export function check(parent, name, label, help, act) {
  const input = make(null, "input", { name, type: "checkbox", title: help });
  const element = make(parent, "label", { name: "check", title: help });
  element.append(input, make(null, "span", { textContent: label }));
  input.addEventListener("change", () => act(input.checked));
  return input;
}

// Controls side by side, and under a title.
export const drawerRow = (parent, attrs) => make(parent, "div", { name: "drawer-row" }, attrs);
export function drawerGroup(parent, title) {
  const group = make(parent, "fieldset", { name: "drawer-group" });
  make(group, "legend", { textContent: title });
  return group;
}

// `fill` sets what there is to choose, as [value, label] or as a value alone, and what is chosen; untouched where it is
// the same.
export function menu(parent, name, label, help, act) {
  const select = labelled(parent, "menu", label, make(null, "select", { name, title: help }));
  if (!label) select.setAttribute("aria-label", help);
  select.addEventListener("change", () => act(select.value));
  select.fill = (options, chosen) => {
    const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
    if (news(select, pairs)) select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
    select.value = String(chosen);
  };
  return select;
}

export function slider(parent, name, label, help, range, act) {
  const props = { name, type: "range", title: help, ...range };
  const input = labelled(parent, "slider", "", make(null, "input", props, { "aria-label": label }));
  input.addEventListener("input", () => act(Number(input.value)));
  return input;
}

// Text that is taken with Enter, or when the box is left; `show` does not disturb who is typing.
export function box(parent, name, label, help, act) {
  const input = labelled(parent, "box", label, make(null, "input", { name, type: "text", title: help }));
  input.setAttribute("aria-label", label || help);
  let shown = "";
  const take = () => {
    if (input.value !== shown) act((shown = input.value));
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && take());
  input.addEventListener("blur", take);
  input.show = (text) => {
    if (document.activeElement === input && input.value !== shown) return;
    input.value = shown = String(text);
  };
  return input;
}

export function fileButton(parent, name, label, help, accept, act, multiple = false) {
  const input = make(null, "input", { type: "file", accept, multiple, hidden: true });
  const element = button(parent, name, label, help, () => input.click());
  element.append(input);
  input.addEventListener("click", (event) => event.stopPropagation());
  input.addEventListener("change", async () => {
    const read = async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    const files = await Promise.all([...input.files].map(read));
    input.value = ""; // so that the same file can be chosen again
    if (files.length) act(files);
  });
  return element;
}

// Why a control, or several, have no effect now stands beside the last of them; without a reason they are free.
export function explain(controls, reason) {
  const all = [controls].flat();
  const last = all.at(-1).closest("label") ?? all.at(-1);
  let note = last.nextElementSibling;
  if (!note?.classList.contains("toydiff-reason")) note = null;
  if (reason && !note) {
    note = make(null, "p", { name: "reason", id: `toydiff-reason-${++made}` });
    last.after(note);
  }
  if (reason) put(note, { textContent: reason });
  else note?.remove();
  for (const control of all) {
    control.disabled = Boolean(reason);
    if (reason) control.setAttribute("aria-describedby", note.id);
    else control.removeAttribute("aria-describedby");
  }
}

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
export const short = (value) => String(Number(Number(value).toPrecision(3)));
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

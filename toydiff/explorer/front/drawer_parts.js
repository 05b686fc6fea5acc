// What the sections of the drawer are made of.
import { explain, make } from "./dom.js";

export const drawerSection = (name, label) => make(null, "section", { name }, { "aria-label": label });
export const drawerRow = (parent) => make(parent, "div", { name: "drawer-row" });

export function drawerGroup(parent, title) {
  const group = make(parent, "fieldset", { name: "drawer-group" });
  make(group, "legend", { textContent: title });
  return group;
}

// Several controls without effect for one reason, which stands beside the last.
export function explainAll(controls, reason) {
  const last = controls.at(-1);
  explain(last, reason);
  for (const control of controls) {
    control.disabled = Boolean(reason);
    if (reason) control.setAttribute("aria-describedby", last.getAttribute("aria-describedby"));
    else control.removeAttribute("aria-describedby");
  }
}

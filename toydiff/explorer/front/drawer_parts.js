// What the sections of the drawer are made of.
import { make } from "./dom.js";

export const drawerSection = (name, label) => make(null, "section", { name }, { "aria-label": label });
export const drawerRow = (parent, attrs) => make(parent, "div", { name: "drawer-row" }, attrs);

export function drawerGroup(parent, title) {
  const group = make(parent, "fieldset", { name: "drawer-group" });
  make(group, "legend", { textContent: title });
  return group;
}

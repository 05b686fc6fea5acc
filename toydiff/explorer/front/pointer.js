// What a hand does on a picture: mouse, touch and pen, wheel and keys. View, ring and probe move here, at once.
import { ARROWS, clamp } from "./dom.js";
import { moved, zoomed } from "./lens.js";

const NEAR = 18; // pixels from the pointer to a sample
const CLICK = 4; // pixels that a click may move

// `panel` has canvas, lens() and number; `store` the scene.
export function listenTo(panel, store) {
  const { canvas } = panel;
  const held = new Map(); // pointers that are down, and where
  let [start, far, gap] = [null, 0, 0];

  const place = (event, box = canvas.getBoundingClientRect()) => {
    const scale = panel.lens().side / box.width;
    return [clamp(event.clientX - box.left, 0, box.width) * scale, clamp(event.clientY - box.top, 0, box.height) * scale];
  };
  const show = (view) => store.setLocally({ view });
  const showAll = () => show(store.menus[store.scene.active].whole);
  const zoom = (factor, px, py) => show(zoomed(store.state.view, factor, ...panel.lens().at(px, py)));
  const probing = () => Boolean(store.state.probe);

  function drag(event) {
    const [before, now] = [held.get(event.pointerId), place(event)];
    held.set(event.pointerId, now);
    far = Math.max(far, Math.hypot(now[0] - start[0], now[1] - start[1]));
    if (held.size === 2) return pinch();
    if (probing()) return store.set({ probe: panel.lens().at(...now) });
    const { zoom: scale } = panel.lens();
    show(moved(store.state.view, (before[0] - now[0]) / scale, (now[1] - before[1]) / scale));
  }

  function pinch() {
    const [[ax, ay], [bx, by]] = [...held.values()];
    const apart = Math.hypot(ax - bx, ay - by);
    if (gap) zoom(gap / Math.max(1, apart), (ax + bx) / 2, (ay + by) / 2);
    gap = apart;
  }

  // The same noise in all pictures: the sample under the pointer is ringed in each.
  function hover(event) {
    const { data } = panel;
    const lens = panel.lens();
    const [px, py] = place(event);
    const reach = NEAR * (lens.side / canvas.clientWidth);
    let [nearest, best] = [null, reach ** 2];
    for (let i = 0; i < Math.min(data.live, data.count); i++) {
      const away = (lens.x(data.shown[2 * i]) - px) ** 2 + (lens.y(data.shown[2 * i + 1]) - py) ** 2;
      if (away < best) [nearest, best] = [i, away];
    }
    store.emit("ring", nearest);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || held.size === 2) return;
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    [start, far, gap] = [place(event), held.size > 1 ? Infinity : 0, 0];
    if (store.scene.active !== panel.number) store.activate(panel.number);
    if (probing()) store.set({ probe: panel.lens().at(...start) });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held.has(event.pointerId)) drag(event);
    else hover(event);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
    if (!held.delete(event.pointerId)) return;
    gap = 0;
    const clicked = event.type === "pointerup" && far < CLICK && !held.size && !probing();
    if (clicked && store.scene.panels.length > 2) store.emit("enlarge", panel.number);
    if (event.pointerType !== "mouse") hover(event); // a finger leaves its ring until the next touch
  });
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && store.emit("ring", null));
  canvas.addEventListener("wheel", (event) => {
    if (store.ui.narrow && !event.ctrlKey) return; // the page's own wheel
    event.preventDefault();
    zoom(Math.exp(clamp(event.deltaY / (event.ctrlKey ? 100 : 400), -1, 1)), ...place(event));
  }, { passive: false });
  canvas.addEventListener("dblclick", showAll);
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = store.state;
    const by = ARROWS[event.key];
    const factor = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key];
    if (by && probing()) {
      const [px, py] = store.state.probe;
      store.set({ probe: [px + by[0] * view.half_width * 0.02, py + by[1] * view.half_width * 0.02] });
    } else if (by) show(moved(view, by[0] * view.half_width * 0.1, by[1] * view.half_width * 0.1));
    else if (factor) show(zoomed(view, factor, view.x, view.y));
    else if (event.key === "0") showAll();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

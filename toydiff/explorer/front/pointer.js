// What a hand does on a picture: mouse, touch and pen, wheel and keys. View, ring and probe move here, at once.
import { moved, zoomed } from "./lens.js";

const NEAR = 18; // pixels from the pointer to a sample
const CLICK = 4; // pixels that a click may move
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// `panel` has canvas, lens() and number; `store` the scene.
export function listenTo(panel, store) {
  const { canvas } = panel;
  const held = new Map(); // pointers that are down, and where
  let [start, far, gap] = [null, 0, 0];

  const place = (event, box = canvas.getBoundingClientRect()) => {
    const scale = panel.lens().side / box.width;
    const inside = (value, size) => Math.max(0, Math.min(size, value));
    return [inside(event.clientX - box.left, box.width) * scale, inside(event.clientY - box.top, box.height) * scale];
  };
  const view = () => store.state.view;
  const zoom = (factor, px, py) => store.setLocally({ view: zoomed(view(), factor, ...panel.lens().at(px, py)) });
  const probing = () => Boolean(store.state.probe);

  function drag(event) {
    const [before, now] = [held.get(event.pointerId), place(event)];
    held.set(event.pointerId, now);
    far = Math.max(far, Math.hypot(now[0] - start[0], now[1] - start[1]));
    if (held.size === 2) return pinch();
    if (probing()) return store.set({ probe: panel.lens().at(...now) });
    const { zoom: scale } = panel.lens();
    store.setLocally({ view: moved(view(), (before[0] - now[0]) / scale, (now[1] - before[1]) / scale) });
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
    if (event.type === "pointerup" && far < CLICK && !held.size && !probing()) panel.clicked();
    if (event.pointerType !== "mouse") hover(event); // a finger leaves its ring until the next touch
  });
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && store.emit("ring", null));
  canvas.addEventListener("wheel", (event) => {
    if (panel.scrolls() && !event.ctrlKey) return; // the page's own wheel
    event.preventDefault();
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / (event.ctrlKey ? 100 : 400)))), ...place(event));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => store.setLocally({ view: store.menus[store.scene.active].whole }));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { half_width, x, y } = view();
    const by = KEYS[event.key];
    if (by && probing()) {
      const [px, py] = store.state.probe;
      store.set({ probe: [px + by[0] * half_width * 0.02, py + by[1] * half_width * 0.02] });
    } else if (by) store.setLocally({ view: moved(view(), by[0] * half_width * 0.1, by[1] * half_width * 0.1) });
    else if (event.key === "+" || event.key === "=") store.setLocally({ view: zoomed(view(), 0.8, x, y) });
    else if (event.key === "-") store.setLocally({ view: zoomed(view(), 1.25, x, y) });
    else if (event.key === "0") store.setLocally({ view: store.menus[store.scene.active].whole });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

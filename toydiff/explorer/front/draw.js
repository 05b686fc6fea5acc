// Drawing a distribution: strokes of two classes on a pad, of which the kernel makes an exact mixture.
import { button, drawerRow, explain, fileButton, make, menu, slider } from "./dom.js";
import { pad } from "./drawing_pad.js";

export function drawSection(store, section) {
  const { A, B } = store.about.pens;
  const pens = drawerRow(section, { role: "group", "aria-label": "Pen" });
  const keys = Object.entries({ A, B }).map(([name, colour]) => {
    const help = `Strokes to come are of class ${name}`;
    const key = button(pens, `draw-pen-${name}`, `class ${name}`, help, () => take(name));
    key.style.setProperty("--toydiff-pen", colour);
    return [name, key];
  });
  const board = pad(section, { colours: { A, B }, change: changed });
  function take(pen) {
    board.pen = pen;
    for (const [name, key] of keys) key.setAttribute("aria-pressed", String(name === pen));
  }

  const thick = drawerRow(section);
  make(thick, "span", { textContent: "thin" }, { "aria-hidden": "true" });
  const range = { min: 0.02, max: 0.3, step: 0.01, value: board.thickness };
  slider(thick, "draw-thickness", "thickness of the pen", "How thick the strokes to come are", range, (wide) => {
    board.thickness = wide;
  });
  make(thick, "span", { textContent: "thick" }, { "aria-hidden": "true" });

  const edit = drawerRow(section);
  const put = (strokes) => {
    board.put(strokes);
    changed();
  };
  const undo = button(edit, "draw-undo", "Undo", "Take the last stroke back (Ctrl+Z on the pad)", () => {
    put(board.strokes.slice(0, -1));
  });
  const clear = button(edit, "draw-clear", "Clear", "An empty pad", () => put([]));
  const ask = (action) => () => store.act(action, { strokes: board.strokes });
  const save = button(edit, "draw-save", "Save", "The drawing as a file", ask("save-drawing"));
  const help = "Make a distribution of the drawing, and show it";
  const explore = button(edit, "draw-explore", "Explore", help, ask("explore-drawing"));

  const others = drawerRow(section);
  const bundled = menu(others, "draw-bundled", "", "Put a drawing that comes with toydiff on the pad", (name) => {
    if (name) store.act("bundled-drawing", { name });
    bundled.value = "";
  });
  fileButton(others, "draw-open", "Open", "A drawing that was saved here or in Python", ".json", ([file]) => {
    store.act("open-drawing", {}, [file.bytes]);
  });

  function changed() {
    const { strokes } = board;
    undo.disabled = clear.disabled = !strokes.length;
    explain([save, explore], strokes.some((one) => one.class === "A") ? "" : "first a stroke of class A");
  }
  bundled.fill([["", "on the pad …"], ...store.about.drawings], "");
  store.on("strokes", put);
  take("A");
  changed();
}

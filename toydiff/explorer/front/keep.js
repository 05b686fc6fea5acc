// What is taken along: the scene as text and file, pictures, films, Python; and the views of a lecture.
import { box, button, check, fileButton, make, menu } from "./dom.js";
import { drawerGroup, drawerRow, drawerSection, explainAll } from "./drawer_parts.js";

const PROJECTOR_WIDTHS = ["1280", "1920"];

export function keepSection(store) {
  const section = drawerSection("keep", "Keep");
  keepScene(store, section);
  keepPictures(store, section);
  keepLecture(store, section);
  return section;
}

function keepArea(parent, name, label, rows, help) {
  const place = make(parent, "label", { name: "area" });
  make(place, "span", { textContent: label });
  return make(place, "textarea", { name, rows, title: help, spellcheck: false });
}

function keepScene(store, section) {
  const group = drawerGroup(section, "Scene");
  const files = drawerRow(group);
  const all = "Scene, views and trained networks in one file";
  button(files, "keep-save", "Save file", all, () => store.act("save-file"));
  fileButton(files, "keep-open", "Open file", "A file that was saved here", ".json", ([file]) => {
    store.act("open-file", {}, [file.bytes]);
  });
  const texts = drawerRow(group);
  const area = keepArea(group, "keep-text", "As text", 5, "The scene as JSON, or Python; or paste a scene to restore");
  let asked = false; // another view's question is not answered here
  button(texts, "keep-state", "State", "Put the scene into the box", () => (area.value = JSON.stringify(store.scene)));
  button(texts, "keep-restore", "Restore", "Show the scene that is in the box", () => {
    store.act("restore", { text: area.value });
  });
  button(texts, "keep-python", "Python", "Put the Python that makes exactly this picture into the box", () => {
    asked = true;
    store.act("python");
  });
  store.on("text", (text) => {
    if (asked) area.value = text;
    asked = false;
  });
}

function keepPictures(store, section) {
  const group = drawerGroup(section, "Picture and film");
  const sizes = PROJECTOR_WIDTHS.map((width) => [width, `${width} pixels`]);
  const size = menu(group, "keep-size", "width", "Of pictures and films; that of the projector", () => {});
  size.fill(sizes, PROJECTOR_WIDTHS[0]);
  const pictures = drawerRow(group);
  const painters = ["png", "svg", "pdf"].map((kind) => {
    const name = kind.toUpperCase();
    return button(pictures, `keep-${kind}`, name, `The picture as ${name}, under its caption`, () => {
      store.act("picture", { kind, pixels: Number(size.value) });
    });
  });
  const film = menu(group, "keep-film", "film", "What moves in it", () => {});
  const films = drawerRow(group);
  const recorders = ["gif", "mp4"].map((kind) => {
    const name = kind.toUpperCase();
    return button(films, `keep-${kind}`, name, `A film of the pictures as ${name}`, () => {
      store.act("film", { film: film.value, kind, width: Number(size.value) });
    });
  });
  const running = drawerRow(group);
  running.hidden = true;
  const bar = make(running, "progress", { name: "keep-bar", max: 1, value: 0 }, { "aria-label": "Film" });
  button(running, "keep-stop", "Stop film", "End now, without a film", () => store.act("stop-film"));
  store.on("picture", (told) => explainAll(painters, told.running ? "being drawn …" : ""));
  store.on("film", (told) => {
    bar.value = told.fraction;
    running.hidden = !told.running;
    explainAll(recorders, told.running ? "one film at a time" : "");
  });
  const update = () => film.fill(store.about.films, film.value || store.about.films[0][0]);
  store.on("scene", update);
  if (store.about) update();
}

// A title, a question and what is hidden: what a class sees.
function keepLecture(store, section) {
  const group = drawerGroup(section, "For a lecture");
  const title = box(group, "keep-title", "title", "Over the picture, and in the menu of scenes", () => {});
  const question = keepArea(group, "keep-question", "question", 2, "What the class should find out");
  const list = make(group, "details", { name: "keep-hidden" });
  const count = make(list, "summary");
  const places = make(list, "div", { name: "keep-hides" });
  let boxes = [];
  let filled = "";
  const ask = (action) => () => store.act(action, { title: title.value, question: question.value, hidden: hidden() });
  const hidden = () => boxes.filter(({ input }) => input.checked).map(({ name }) => name);
  const tally = () => (count.textContent = `hide from the class: ${hidden().length || "nothing"}`);
  const buttons = drawerRow(group);
  button(buttons, "keep-preview", "Preview", "Show the scene as the class sees it", ask("lecture"));
  const help = "Put the scene under its title into the menu of scenes";
  button(buttons, "keep-add", "Add view", help, ask("add-view"));

  function update() {
    if (!boxes.length) boxes = store.about.hideable.map((name) => {
      const words = name.replace(/[-_]/g, " ");
      const help = `Hide: ${store.about.help[name] ?? words}`;
      return { name, input: check(places, `keep-hide-${name}`, words, help, tally) };
    });
    const { scene } = store;
    const given = JSON.stringify([scene.title, scene.question, scene.hidden]);
    if (given === filled) return; // what is being written stays
    filled = given;
    title.show(scene.title);
    question.value = scene.question;
    for (const { name, input } of boxes) input.checked = scene.hidden.includes(name);
    tally();
  }
  store.on("scene", update);
  if (store.scene) update();
}

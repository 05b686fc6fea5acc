// What is taken along: the scene as text and file, pictures, films, Python; and the views of a lecture.
import { box, button, check, drawerGroup, drawerRow, explain, fileButton, labelled, make, menu, news } from "./dom.js";

export function keepSection(store, section, updates) {
  keepScene(store, section);
  keepPictures(store, section);
  keepLecture(store, section, updates);
}

function keepArea(parent, name, label, rows, help) {
  return labelled(parent, "area", label, make(null, "textarea", { name, rows, title: help, spellcheck: false }));
}

// A row with a button for each kind of file.
function keepKinds(parent, kinds, help, act) {
  const row = drawerRow(parent);
  return kinds.map((kind) => {
    const name = kind.toUpperCase();
    return button(row, `keep-${kind}`, name, help(name), () => act(kind));
  });
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
  const size = menu(group, "keep-size", "width", "Of pictures and films; that of the projector", () => {});
  size.fill(["1280", "1920"].map((width) => [width, `${width} pixels`]), "1280");
  const paint = (kind) => store.act("picture", { kind, pixels: Number(size.value) });
  const painters = keepKinds(group, ["png", "svg", "pdf"], (name) => `The picture as ${name}, under its caption`, paint);
  const film = menu(group, "keep-film", "film", "What moves in it", () => {});
  film.fill(store.about.films, store.about.films[0][0]);
  const record = (kind) => store.act("film", { film: film.value, kind, width: Number(size.value) });
  const recorders = keepKinds(group, ["gif", "mp4"], (name) => `A film of the pictures as ${name}`, record);
  const running = drawerRow(group);
  running.hidden = true;
  const bar = make(running, "progress", { name: "keep-bar", max: 1, value: 0 }, { "aria-label": "Film" });
  button(running, "keep-stop", "Stop film", "End now, without a film", () => store.act("stop-film"));
  store.on("picture", (told) => explain(painters, told.running ? "being drawn …" : ""));
  store.on("film", (told) => {
    bar.value = told.fraction;
    running.hidden = !told.running;
    explain(recorders, told.running ? "one film at a time" : "");
  });
}

// A title, a question and what is hidden: what a class sees.
function keepLecture(store, section, updates) {
  const group = drawerGroup(section, "For a lecture");
  const title = box(group, "keep-title", "title", "Over the picture, and in the menu of scenes", () => {});
  const question = keepArea(group, "keep-question", "question", 2, "What the class should find out");
  const list = make(group, "details", { name: "keep-hidden" });
  const count = make(list, "summary");
  const places = make(list, "div", { name: "keep-hides" });
  const boxes = store.about.hideable.map((name) => {
    const words = name.replace(/[-_]/g, " ");
    const help = `Hide: ${store.about.help[name] ?? words}`;
    return { name, input: check(places, `keep-hide-${name}`, words, help, tally) };
  });
  const ask = (action) => () => store.act(action, { title: title.value, question: question.value, hidden: hidden() });
  const hidden = () => boxes.filter(({ input }) => input.checked).map(({ name }) => name);
  const buttons = drawerRow(group);
  button(buttons, "keep-preview", "Preview", "Show the scene as the class sees it", ask("lecture"));
  const help = "Put the scene under its title into the menu of scenes";
  button(buttons, "keep-add", "Add view", help, ask("add-view"));

  function tally() {
    count.textContent = `hide from the class: ${hidden().length || "nothing"}`;
  }
  updates.push(() => {
    const { scene } = store;
    if (!news(group, [scene.title, scene.question, scene.hidden])) return; // what is being written stays
    title.show(scene.title);
    question.value = scene.question;
    for (const { name, input } of boxes) input.checked = scene.hidden.includes(name);
    tally();
  });
}

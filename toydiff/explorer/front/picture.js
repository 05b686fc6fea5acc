// Shows the pictures that the kernel sends, reports the pointer, and says when a picture is on the screen.
const PATIENCE_MS = 3000;

// A data address is decoded at once; a blob's makes a way through another process.
function base64(bytes) {
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let i = 0; i < view.length; i += 8192) text += String.fromCharCode(...view.subarray(i, i + 8192));
  return btoa(text);
}

function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "toydiff-frame";
  const image = document.createElement("img");
  image.className = "toydiff-picture";
  image.alt = "Samples and densities of the explorer's state";
  image.title = "Wheel: zoom. Drag: move. Double click: the whole tree.";
  image.draggable = false;
  image.tabIndex = 0;
  const silent = document.createElement("div");
  silent.className = "toydiff-silent";
  silent.setAttribute("role", "alert");
  silent.textContent = "The kernel does not answer. If it was restarted, run the cell again; if it is busy, wait.";
  silent.hidden = true;
  const caption = document.createElement("button");
  caption.className = "toydiff-caption";
  caption.title = "Choose this picture: the controls then move it";
  const close = document.createElement("button");
  close.className = "toydiff-close";
  close.textContent = "\u00d7";
  close.title = "Close this picture";
  close.setAttribute("aria-label", close.title);
  const mark = document.createElement("div");
  mark.className = "toydiff-mark";
  mark.hidden = true;
  frame.append(image, mark, caption, close, silent);
  el.append(frame);

  function show() {
    const number = model.get("frame");
    const full = model.get("full");
    const bytes = model.get("image");
    if (!bytes || !bytes.byteLength) return;
    heard();
    image.onload = () => requestAnimationFrame(() => {
      if (!image.dataset.frame) arrive();
      image.dataset.full = full;
      image.dataset.frame = number;
      send({ shown: number });
    });
    image.src = "data:image/jpeg;base64," + base64(bytes);
  }

  // With the first picture all controls are there. The widgets show a tooltip on some kinds only.
  function arrive() {
    (explorer ?? frame).scrollIntoView({ block: "nearest" });
    for (const [name, text] of Object.entries(model.get("help"))) {
      for (const control of explorer?.querySelectorAll(`.toydiff-${name}`) ?? []) {
        for (const part of [control, ...control.querySelectorAll("[title]")]) part.title = text;
      }
    }
  }

  // After a person has done something, a kernel that sends neither a picture nor an answer is dead or busy.
  let asked = null;
  function send(message) {
    try {
      model.send(message);
    } catch (error) {
      silent.hidden = false;
    }
  }
  function ask() {
    if (asked !== null) return;
    asked = setTimeout(() => {
      asked = setTimeout(() => { silent.hidden = false; }, PATIENCE_MS);
      send({ ask: performance.now() });
    }, PATIENCE_MS);
  }
  function heard() {
    clearTimeout(asked);
    asked = null;
    silent.hidden = true;
  }
  const deeds = ["pointerdown", "pointermove", "keydown", "change", "wheel"];
  let explorer = null;
  requestAnimationFrame(() => {
    explorer = el.closest(".toydiff-explorer") ?? el;
    const passive = { capture: true, passive: true };
    for (const deed of deeds) explorer.addEventListener(deed, onDeed, passive);
  });
  function onDeed(event) {
    if (event.type !== "pointermove" || event.buttons) ask();
  }

  // Positions go from -1 to 1 across the picture, y upwards.
  function position(event) {
    const box = image.getBoundingClientRect();
    return {
      x: (2 * (event.clientX - box.left)) / box.width - 1,
      y: 1 - (2 * (event.clientY - box.top)) / box.height,
    };
  }

  caption.addEventListener("click", () => send({ choose: true }));
  close.addEventListener("click", () => send({ close: true }));
  function compare() {
    const comparing = model.get("comparing");
    caption.hidden = close.hidden = !comparing;
    caption.textContent = model.get("caption");
    caption.setAttribute("aria-pressed", model.get("active"));
    frame.classList.toggle("toydiff-active", comparing && model.get("active"));
    if (!comparing) mark.hidden = true;
  }

  // The same sample in all pictures: the kernel knows which one is nearest, and where it is in the others.
  let hovering = null;
  function hover(event) {
    if (!model.get("comparing")) return;
    if (hovering === null) requestAnimationFrame(() => { send({ hover: hovering }); hovering = null; });
    const now = position(event);
    hovering = [now.x, now.y];
  }
  function ring(message) {
    if (!("mark" in message)) return;
    mark.hidden = message.mark === null;
    if (mark.hidden) return;
    mark.style.left = `${50 * (1 + message.mark[0])}%`;
    mark.style.top = `${50 * (1 - message.mark[1])}%`;
  }
  image.addEventListener("pointerleave", () => { if (model.get("comparing")) send({ hover: null }); });

  let dragged = null;
  image.addEventListener("wheel", (event) => {
    event.preventDefault();
    send({ zoom: Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400))), ...position(event) });
  }, { passive: false });
  image.addEventListener("pointerdown", (event) => {
    dragged = position(event);
    image.setPointerCapture(event.pointerId);
    if (model.get("probing")) send({ probe: [dragged.x, dragged.y] });
  });
  image.addEventListener("pointermove", (event) => {
    if (!dragged) { hover(event); return; }
    const now = position(event);
    if (model.get("probing")) send({ probe: [now.x, now.y] });
    else send({ pan: [dragged.x - now.x, dragged.y - now.y] });
    dragged = now;
  });
  image.addEventListener("pointerup", () => { dragged = null; });
  image.addEventListener("pointercancel", () => { dragged = null; });
  image.addEventListener("dblclick", () => send({ reset: true }));

  function choosePointer() {
    image.style.cursor = model.get("probing") ? "crosshair" : "";
  }

  model.on("change:probing", choosePointer);
  choosePointer();
  model.on("change:frame", show);
  model.on("msg:custom", heard);
  model.on("msg:custom", ring);
  for (const trait of ["comparing", "caption", "active"]) model.on(`change:${trait}`, compare);
  compare();
  show();
  return () => {
    clearTimeout(asked);
    model.off("msg:custom", ring);
    for (const trait of ["comparing", "caption", "active"]) model.off(`change:${trait}`, compare);
    model.off("change:probing", choosePointer);
    model.off("change:frame", show);
    model.off("msg:custom", heard);
  };
}

export default { render };

// Shows the pictures that the kernel sends, reports the pointer, and says when a picture is on the screen.
function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "toydiff-picture";
  image.alt = "Samples and densities of the explorer's state";
  image.draggable = false;
  image.tabIndex = 0;
  el.append(image);
  let url = null;

  function show() {
    const frame = model.get("frame");
    const bytes = model.get("image");
    if (!bytes || !bytes.byteLength) return;
    const next = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    image.onload = () => {
      if (url) URL.revokeObjectURL(url);
      url = next;
      requestAnimationFrame(() => {
        image.dataset.frame = frame;
        model.send({ shown: frame });
      });
    };
    image.src = next;
  }

  // Positions go from -1 to 1 across the picture, y upwards.
  function position(event) {
    const box = image.getBoundingClientRect();
    return {
      x: (2 * (event.clientX - box.left)) / box.width - 1,
      y: 1 - (2 * (event.clientY - box.top)) / box.height,
    };
  }

  let dragged = null;
  image.addEventListener("wheel", (event) => {
    event.preventDefault();
    model.send({ zoom: Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400))), ...position(event) });
  }, { passive: false });
  image.addEventListener("pointerdown", (event) => {
    dragged = position(event);
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const now = position(event);
    model.send({ pan: [dragged.x - now.x, dragged.y - now.y] });
    dragged = now;
  });
  image.addEventListener("pointerup", () => { dragged = null; });
  image.addEventListener("pointercancel", () => { dragged = null; });
  image.addEventListener("dblclick", () => model.send({ reset: true }));

  model.on("change:frame", show);
  show();
  return () => { model.off("change:frame", show); if (url) URL.revokeObjectURL(url); };
}

export default { render };

// Shows the pictures that the kernel sends, reports the pointer, and says when a picture is on the screen.
// A data address is decoded at once; a blob's makes a way through another process.
function base64(bytes) {
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let i = 0; i < view.length; i += 8192) text += String.fromCharCode(...view.subarray(i, i + 8192));
  return btoa(text);
}

function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "toydiff-picture";
  image.alt = "Samples and densities of the explorer's state";
  image.draggable = false;
  image.tabIndex = 0;
  el.append(image);

  function show() {
    const frame = model.get("frame");
    const bytes = model.get("image");
    if (!bytes || !bytes.byteLength) return;
    image.onload = () => {
      requestAnimationFrame(() => {
        image.dataset.frame = frame;
        model.send({ shown: frame });
      });
    };
    image.src = "data:image/jpeg;base64," + base64(bytes);
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
  return () => model.off("change:frame", show);
}

export default { render };

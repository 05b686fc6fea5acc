
// The notebook's host: the widget's own messages carry everything; a view is one of perhaps several of one session.
const SNAPSHOT_MS = 1000;

function render({ model, el }) {
  const record = new Record();
  let saved = null;
  let handler = null;
  const hear = (message, buffers) => {
    record.keep(message, buffers);
    handler?.(message, buffers);
    if (!message.rest) return;
    clearTimeout(saved); // in the notebook's file, not in the kernel: what a reader sees who has none
    saved = setTimeout(() => model.set("snapshot", record.text(store.scene)), SNAPSHOT_MS);
  };
  model.on("msg:custom", hear);
  const host = {
    opening: model.get("snapshot"),
    hint: "Run the cell again.",
    send(message, buffers) {
      try {
        model.send(message, null, buffers);
      } catch {
        handler?.(null); // the kernel has ended, or there never was one
      }
    },
    on: (act) => { handler = act; },
  };
  const { store, end } = mount(el, host);
  // Other widgets may be linked to these, in the browser alone.
  const LINKED = ["weight", "sigma"];
  store.on("scene", () => LINKED.forEach((name) => model.set(name, store.state[name])));
  const follow = LINKED.map((name) => {
    const changed = () => {
      const value = model.get(name);
      if (store.scene && store.state[name] !== value) store.set({ [name]: value, ...(name === "weight" ? { weight_curve: null } : {}) });
    };
    model.on(`change:${name}`, changed);
    return () => model.off(`change:${name}`, changed);
  });
  return () => {
    clearTimeout(saved);
    model.off("msg:custom", hear);
    [end, ...follow].forEach((stop) => stop());
  };
}

export default { render };

// Training networks on the distribution in view: what to train, how far it is, and the networks as files.
import { chart } from "./chart.js";
import { box, button, drawerGroup, drawerRow, explain, fileButton, make, menu } from "./dom.js";

const TRAIN_FIRST = { widths: "16, 64", steps: "1024", seed: "0" };
const TRAIN_HELP = {
  classes: "What the networks learn: one class, both, or for CFG a network of each",
  widths: "Units in each hidden layer; several, with commas between them, learn side by side",
  steps: "Of training, 4096 points each; sixteen snapshots on the way are kept",
  loss: "To the exact score, or to noisy points as in practice",
  network: "Its kind",
  seed: "Of the first parameters and the points",
};

export function trainSection(store, section, updates) {
  const inputs = Object.entries(TRAIN_HELP).map(([name, help]) => {
    const control = (TRAIN_FIRST[name] ? box : menu)(section, `train-${name}`, name, help, () => {});
    control.show?.(TRAIN_FIRST[name]);
    return [name, control];
  });
  const { classes, loss, network } = Object.fromEntries(inputs);
  const buttons = drawerRow(section);
  const train = button(buttons, "train-start", "Train", "Train these networks", () => {
    store.act("train", Object.fromEntries(inputs.map(([name, control]) => [name, control.value])));
  });
  const stop = button(buttons, "train-stop", "Stop", "End now; what has been learned is kept", () => {
    store.act("stop-training");
  });
  const bar = make(section, "progress", { name: "train-bar", max: 1, hidden: true }, { "aria-label": "Training" });
  const status = make(section, "p", { name: "train-status" }, { role: "status" });
  const losses = make(section, "div", { hidden: true });
  const curve = chart(losses, "train-losses");

  const files = drawerGroup(section, "Networks as files");
  const savers = ["main", "guide"].map((which) => {
    const help = `The network of the ${which} as a file`;
    return [which, button(drawerRow(files), `train-save-${which}`, `Save ${which}`, help, () => {
      store.act("save-network", { which });
    })];
  });
  const help = "Networks that were saved, one file each; those of one training go together";
  fileButton(drawerRow(files), "train-load", "Load", help, ".safetensors", (chosen) => {
    const names = chosen.map(({ name }) => name);
    store.act("load-networks", { names }, chosen.map(({ bytes }) => bytes));
  }, true);

  function showLosses({ steps, curves }) {
    const { largest, others } = store.about.train.colours;
    const widths = Object.keys(curves); // rising, as numbers
    const lines = widths.map((width, i) => {
      const last = i === widths.length - 1;
      const look = { colour: last ? largest : others, dashed: i > 0 && !last, dot: "", side: "left" };
      return { values: curves[width], label: `width ${width}`, ...look };
    });
    curve.show({ x: steps, xLabel: "steps", lines, left: { label: "loss", log: true } });
  }
  store.on("train", ({ fraction, status: words, running, losses: known }) => {
    bar.value = fraction;
    bar.hidden = stop.hidden = !running;
    status.setAttribute("aria-live", running ? "off" : "polite"); // ten times a second is not to be read out
    status.textContent = words;
    explain(train, running ? "one training at a time" : "");
    losses.hidden = !(known?.steps.length > 1);
    if (!losses.hidden) showLosses(known);
  });

  updates.push((state, { trainable }) => {
    const kept = trainable.some(([value]) => value === classes.value) ? classes.value : trainable[0][0];
    classes.fill(trainable, kept);
    for (const [which, control] of savers) {
      const { exact, family } = state[which];
      explain(control, exact ? "it is exact: no network" : family === "bundled" ? "it comes with toydiff" : "");
    }
  });
  const { losses: kinds, networks } = store.about.train;
  loss.fill(kinds, kinds[0]);
  network.fill(networks, networks[0]);
  network.closest("label").hidden = networks.length < 2;
  stop.hidden = true;
}

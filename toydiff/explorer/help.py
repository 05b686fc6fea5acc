"""What the pointer says over each control; its names are those by which a scene hides controls."""

from toydiff.explorer.state import LAYERS
from toydiff.guidance.methods import all_knobs
from toydiff.guidance.row import WEIGHT_HELP

HELP: dict[str, str] = {
    "scene": "A view of the paper, a comparison, or a view that you added",
    "method": "What the samples are steered away from",
    "weight": WEIGHT_HELP,
    "weight-box": "The weight as a number, from 0 to 100",
    "weight-curve": "w(σ): drag the knots or paint; drag the edges: guidance acts between them. Double click: straight",
    "distribution": "The exact distribution that the samples should follow",
    "classes": "What is sampled: one class, or both (AB)",
    "seed-box": "Of the noise: the same seed gives the same starting points",
    "main-width": "Units in each hidden layer of the network that is guided; the paper's has 64",
    "main-steps": "Training steps of the network that is guided, 4096 points each",
    "main-family": "The bundled networks, or those that were trained or loaded here",
    "guide-family": "The bundled networks, or those that were trained or loaded here",
    "main-exact": "The exact score in place of the network that is guided",
    "guide-width": "Units in each hidden layer of the network that is steered away from; the paper's has 32",
    "guide-steps": "Training steps of the network that is steered away from; the paper's has 512",
    "guide-exact": "The exact score in place of the network that is steered away from",
    "step": "The noise level: points, densities and arrows move together from noise to data",
    "probing": "Look at one point: drag it over the picture. Scores there, the best weight, the paths that start there",
    "compare": "Another picture beside this one, from the same noise",
    "play": "Play the sampling from noise to data; the keys beside it stop and repeat",
}
HELP |= {name: knob.help for name, knob in all_knobs().items()}
HELP |= {f"layer-{name}": f"Show or hide: {row.label}" for name, row in LAYERS.items()}
"""What the pointer says over each control."""

HIDEABLE = (
    *("tabs", "guidance", "layers", "draw", "train", "sweep", "take-along", "noise", "numbers", "curve", "legend"),
    *HELP,
)
"""What a scene can hide: parts of the explorer, and single controls."""

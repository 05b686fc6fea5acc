"""A training as the command runs it: its files, and a checkpoint to go on from."""

import time
from collections.abc import Sequence
from pathlib import Path

from toydiff.base.checks import InputError
from toydiff.base.files import check_writable
from toydiff.networks.model_file import save_averages, save_model
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import Training, load_checkpoint, save_checkpoint, train

SECONDS_BETWEEN_CHECKPOINTS = 30


def train_to_files(
    recipe: Recipe,
    steps: int,
    out: str,
    *,
    snapshots: Sequence[int] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Training:
    """Train a recipe and write every network of it at each snapshot and at the end, saying so.

    Args:
        recipe, steps, snapshots, progress: see `train`.
        out: name of the files, .safetensors, in which {width}, {member} and {step} are filled in.
        resume: go on from the checkpoint beside them.
        overwrite: start again although there is one.

    Raises:
        InputError: several networks would have one name, a file cannot be written, or there is a checkpoint and
            neither `resume` nor `overwrite`.
    """
    if Path(out).suffix != ".safetensors":
        raise InputError(f"--out is {out}; it must end in .safetensors")
    several = {"width": len(recipe.widths) > 1, "member": recipe.members > 1, "step": bool(snapshots)}
    missing = [f"{{{name}}}" for name, many in several.items() if many and f"{{{name}}}" not in out]
    if missing:
        raise InputError(f"--out is {out}; several networks are written, so put {' and '.join(missing)} in it")

    def path(width: object, member: object, step: object) -> Path:
        return Path(out.replace("{width}", str(width)).replace("{member}", str(member)).replace("{step}", str(step)))

    checkpoint = path("all", "all", "all").with_suffix(".checkpoint.safetensors")
    networks = [(width, member) for width in recipe.widths for member in range(recipe.members)]
    for file in {checkpoint, *(path(*network, step) for network in networks for step in (*snapshots, steps))}:
        check_writable(file)
    if checkpoint.exists() and not (resume or overwrite):
        raise InputError(f"{checkpoint} exists: --resume goes on from it, --overwrite starts again")
    earlier = load_checkpoint(checkpoint) if resume else None
    behind = 0 if earlier is None else earlier.step
    ahead = [s for s in snapshots if s > behind or not all(path(*network, s).exists() for network in networks)]
    began = saved = time.monotonic()

    def save_networks(done: Training) -> None:
        for width, member in networks:
            file = path(width, member, done.step)
            loss = save_model(file, done, width, member=member)["validation_loss"]
            print(f"wrote {file}: width {width}, step {done.step}, validation loss {loss:.4f}")
            if recipe.averages:
                save_averages(file.with_suffix(".averages.safetensors"), done, width, member)

    def keep(done: Training) -> None:
        nonlocal saved
        if done.step in ahead and done.step < steps:
            save_networks(done)
        if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, done)
            saved = time.monotonic()

    done = train(recipe, steps, resume=earlier, snapshots=ahead, progress=progress, on_progress=keep)
    seconds = time.monotonic() - began
    save_checkpoint(checkpoint, done)
    save_networks(done)
    print(f"{done.step - behind} steps in {seconds:.1f} s, {seconds / len(networks):.1f} s for each network")
    return done

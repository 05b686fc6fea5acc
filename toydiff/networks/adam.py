"""Adam with a falling learning rate, and many steps of it in one call: how every network here is trained."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

STEPS_PER_CALL = 32

Params = TypeVar("Params")
State = TypeVar("State")


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), learning rate l / sqrt(max(t / decay_start, 1)), t = 1, 2, ..."""

    learning_rate: float = 0.01
    decay_start: int = 512
    b2: float = 0.99  #: how slowly the mean of squared gradients follows

    @cached_property
    def _optimizer(self) -> optax.GradientTransformation:
        def schedule(done: Any) -> jax.Array:
            return self.learning_rate / jnp.sqrt(jnp.maximum((done + 1) / self.decay_start, 1))

        return optax.adam(schedule, b1=0.9, b2=self.b2)

    def init(self, params: Any) -> Any:
        """The moments before the first step."""
        return self._optimizer.init(params)

    def step(self, params: Params, moments: Any, slopes: Any) -> tuple[Params, Any]:
        """Parameters and moments after a step down the slopes."""
        updates, moments = self._optimizer.update(slopes, moments, params)
        return optax.apply_updates(params, updates), moments


@partial(jax.jit, static_argnames=("step", "how"))
def many_steps(
    step: Callable[[Any, Any, State], tuple[State, jax.Array]], how: Hashable, data: Any, state: State, steps: jax.Array
) -> tuple[State, jax.Array]:
    """The state after `steps` (traced, at most STEPS_PER_CALL) steps, and what each reported, [STEPS_PER_CALL, ...].

    Args:
        step: (how, data, state) -> the state after it, and what it reports, such as its loss.
        how: what is static of it, such as a recipe.
        data: arrays that do not change.
        state: before the first.
        steps: how many.
    """

    def body(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, reported = step(how, data, carry[0])
        return state, carry[1].at[i].set(reported)

    reported = jax.eval_shape(partial(step, how), data, state)[1]
    return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros((STEPS_PER_CALL, *reported.shape), reported.dtype)))

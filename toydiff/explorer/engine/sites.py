"""A model as a place where another module is called: what combines models is translated apart from them."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive

from toydiff.base.checks import InputError
from toydiff.base.score_model import Exact, ScoreModel

score_p = Primitive("score_of_part")
"""(x [2], sigma []) -> score [2] of the part whose number is the parameter `part`."""


score_p.def_abstract_eval(lambda x, sigma, *, part: x)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Site(ScoreModel):
    """A model of which only the number is known."""

    part: int = field(metadata={"static": True})

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The call of its module."""
        return score_p.bind(jnp.asarray(x, jnp.float32), jnp.asarray(sigma, jnp.float32), part=self.part)

    def truth(self) -> Exact:
        """None is known."""
        raise InputError("a rule that asks what is true cannot be translated")

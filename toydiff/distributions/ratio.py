"""What guidance is made of besides densities: their ratio, and the density that is flat."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from toydiff.base.checks import InputError
from toydiff.base.score_model import DensityModel, Exact, ScoreModel


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Flat(DensityModel):
    """Log density 0 everywhere, score 0, D(x; sigma) = x: guiding away from it scales the score by w."""

    @property
    def block(self) -> int:
        """No bound of its own."""
        return 1 << 20

    @property
    def positive_sigma(self) -> bool:
        """False: it is the same at every noise level."""
        return False

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """0."""
        return jnp.zeros_like(x[0])

    def truth(self) -> Exact:
        """There is none."""
        raise InputError("the flat model stands for no distribution; name one")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ratio(DensityModel):
    """log p_1(x; sigma) - log p_0(x; sigma): its score is the direction in which guidance pushes.

    Equation 3 of Karras et al. 2024 (arXiv 2406.02507): guidance multiplies p_1 by (p_1 / p_0)^(w - 1).
    """

    main: ScoreModel
    guide: ScoreModel

    @property
    def classifies(self) -> bool:
        """True: p_1 over the density of all classes is a classifier by Bayes."""
        return True

    @property
    def block(self) -> int:
        """The smaller block of its models."""
        return min(self.main.block, self.guide.block)

    @property
    def positive_sigma(self) -> bool:
        """Whether either of its models refuses sigma = 0."""
        return self.main.positive_sigma or self.guide.positive_sigma

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Log ratio, up to a constant, at one point x [2] and one noise level sigma []."""
        return self.main.log_density_at(x, sigma) - self.guide.log_density_at(x, sigma)

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Difference of the scores [2] at one point x [2] and one noise level sigma []."""
        return self.main.score_at(x, sigma) - self.guide.score_at(x, sigma)

    def truth(self) -> Exact:
        """That of the main model."""
        return self.main.truth()

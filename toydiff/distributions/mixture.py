"""Mixtures of Gaussians in the plane: the ground truth, exact at every noise level."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base import random
from toydiff.base.checks import InputError, choice, count
from toydiff.base.devices import map_points
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import Exact, check_sigma

_ROUNDING = 0.01
"""More than two sums over components in float32 can differ by."""
_THIN = 8
"""Draws for each that is wanted among which the lowest densities are looked for first."""


@jax.tree_util.register_pytree_node_class
class GaussianMixture(Exact):
    """p(x; sigma) = sum_i w_i N(x; mu_i, C_i + sigma^2 I), a mixture of k Gaussians.

    Noise only shifts the eigenvalues of the covariances, so their eigenvectors are kept and everything is
    computed from them in log space: finite in float32 far outside the data and at any sigma.

    Attributes:
        weights: [k], positive, summing to 1.
        means: [k, 2].
        covariances: [k, 2, 2], symmetric positive definite.
        branches: [k] integers, the branch that each component belongs to, from 0; by default a branch a component.
        branch_count: how many branches there are.
        depths: [branch_count] integers, how many forks of a tree lie before each branch, from 0; None where the
            branches form no tree.
    """

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        branches: ArrayLike | None = None,
        depths: ArrayLike | None = None,
    ):
        """Check the components, normalise the weights, decompose the covariances in float64.

        Raises:
            InputError: the shapes do not agree, a number is not finite, a weight is not positive or a
                covariance is not symmetric positive definite.
        """
        try:
            w, mean, cov = (np.asarray(a, dtype=np.float64) for a in (weights, means, covariances))
            branch = np.arange(w.size) if branches is None else np.asarray(branches)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"weights, means, covariances and branches must be arrays of numbers: {error}") from None
        k = w.size
        if k == 0 or w.shape != (k,) or mean.shape != (k, 2) or cov.shape != (k, 2, 2):
            raise InputError(
                f"weights, means and covariances have shapes {w.shape}, {mean.shape} and {cov.shape}; "
                "they must be [k], [k, 2] and [k, 2, 2] with k at least 1"
            )
        if not all(np.isfinite(a).all() for a in (w, mean, cov)):
            raise InputError("a weight, mean or covariance is not finite; all must be")
        if not (w > 0).all():
            raise InputError(f"a weight is {w.min():g}; each must be above 0")
        eigenvalues, eigenvectors = np.linalg.eigh(cov)
        if not np.allclose(cov, cov.swapaxes(1, 2)) or not (eigenvalues > 0).all():
            raise InputError("a covariance is not symmetric positive definite; each must be")
        if np.abs(mean).max() > 1e6 or eigenvalues.min() < 1e-12 or eigenvalues.max() > 1e12:
            raise InputError("a mean is beyond 1e6, or a standard deviation not from 1e-6 to 1e6: rescale the data")
        if branch.shape != (k,) or branch.dtype.kind not in "iu" or branch.min() < 0 or branch.max() >= k:
            raise InputError(f"branches must be {k} integers from 0 to {k - 1}, one a component")
        self.branch_count = int(branch.max()) + 1
        depth = np.zeros(self.branch_count, int) if depths is None else np.asarray(depths)
        if depth.shape != (self.branch_count,) or depth.dtype.kind not in "iu" or depth.min() < 0:
            raise InputError(f"depths must be {self.branch_count} integers from 0, one a branch")
        w = w / w.max()  # first to 1: the sum of huge weights could overflow
        self.weights, self.means, self.covariances = map(jnp.asarray, (w / w.sum(), mean, cov))
        self.branches = jnp.asarray(branch, jnp.int32)
        self.depths = None if depths is None else jnp.asarray(depth, jnp.int32)
        self._eigenvalues, self._eigenvectors = jnp.asarray(eigenvalues), jnp.asarray(eigenvectors)

    def tree_flatten(self) -> tuple[tuple[Any, ...], int]:
        """The arrays, and as the one static thing the number of branches."""
        names = ("weights", "means", "covariances", "branches", "depths", "_eigenvalues", "_eigenvectors")
        return tuple(getattr(self, name) for name in names), self.branch_count

    @classmethod
    def tree_unflatten(cls, branch_count: int, leaves: tuple[Any, ...]) -> "GaussianMixture":
        """The mixture again, without the checks: the leaves may be traced."""
        self = object.__new__(cls)
        self.weights, self.means, self.covariances, self.branches, self.depths = leaves[:5]
        self._eigenvalues, self._eigenvectors = leaves[5:]
        self.branch_count = branch_count
        return self

    @property
    def block(self) -> int:
        """256: on two cores 7 to 10 times faster than 4096 points of 1016 components at once; fewer of very many."""
        return max(8, min(256, (1 << 20) // self.weights.size))

    def __repr__(self) -> str:
        return f"GaussianMixture({self.weights.shape[0]} components)"

    def component_log_densities_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """log w_i N(x; mu_i, C_i + sigma^2 I) of every component, [k], at x [2] and sigma []."""
        dx, dy = x[0] - self.means[:, 0], x[1] - self.means[:, 1]
        axes = self._eigenvectors
        u = axes[:, 0, 0] * dx + axes[:, 1, 0] * dy
        v = axes[:, 0, 1] * dx + axes[:, 1, 1] * dy
        variance_u = self._eigenvalues[:, 0] + sigma**2
        variance_v = self._eigenvalues[:, 1] + sigma**2
        distance = u**2 / variance_u + v**2 / variance_v
        log_volume = jnp.log(variance_u * variance_v) + 2 * math.log(2 * math.pi)
        return jnp.log(self.weights) - 0.5 * (distance + log_volume)

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Normalised log density at one point x [2] and one noise level sigma []."""
        return jax.nn.logsumexp(self.component_log_densities_at(x, sigma))

    def score_of_draws(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The scores [n, 2] at draws x [n, 2] from p(x; sigma), each with a sigma of its own [n]; to be traced.

        The same as `score`, with half its work on a CPU: one component after the other, all points at once. That
        needs no largest term to scale the others by, since a draw is near the component that it was drawn from.
        Elsewhere it returns nonsense or zero.
        """
        if jax.default_backend() != "cpu":
            return self.score(x, sigma)
        columns = (self.weights, self.means, self._eigenvalues, self._eigenvectors)
        table = jnp.concatenate([a.reshape(len(a), -1) for a in columns], axis=1)  # a row is read at once

        def add(sums: list[jax.Array], row: jax.Array) -> tuple[list[jax.Array], None]:
            weight, mean_x, mean_y, eigenvalue_u, eigenvalue_v, ux, vx, uy, vy = row
            dx, dy = x[:, 0] - mean_x, x[:, 1] - mean_y
            u, v = ux * dx + uy * dy, vx * dx + vy * dy
            variance_u, variance_v = eigenvalue_u + sigma**2, eigenvalue_v + sigma**2
            height = jax.lax.rsqrt(variance_u * variance_v)
            pull_u, pull_v = u * height**2 * variance_v, v * height**2 * variance_u
            p = weight * height * jnp.exp(-0.5 * (u * pull_u + v * pull_v))
            terms = p, p * (ux * pull_u + vx * pull_v), p * (uy * pull_u + vy * pull_v)
            return [total + term for total, term in zip(sums, terms, strict=True)], None

        zero = jnp.zeros_like(sigma)
        density, along_x, along_y = jax.lax.scan(add, [zero, zero, zero], table)[0]
        return -jnp.stack([along_x, along_y], axis=1) / jnp.maximum(density, jnp.finfo(density.dtype).tiny)[:, None]

    def sample(self, key: Seed, n: int, sigma: ArrayLike = 0.0, *, first: int = 0) -> jax.Array:
        """`n` exact draws from p(x; sigma).

        Args:
            key: a JAX key or an integer seed.
            n: how many.
            sigma: noise level >= 0, one for all points or one each, [] or [n].
            first: number of the first one. The draws of a key are an endless sequence, the same in whatever parts.

        Returns:
            Points [n, 2].

        Raises:
            InputError: an argument is out of range.
        """
        n, first, sigma = count("n", n), count("first", first, 0), check_sigma(sigma, positive=False)
        if sigma.shape not in ((), (n,)):
            raise InputError(f"sigma has shape {sigma.shape}; it must be one number or {n} of them")
        key = as_key(key)
        if sigma.ndim or isinstance(key, jax.core.Tracer):
            return self.draw(key, sigma, jnp.uint32(first), n)
        return self._place(*_numbers(key, jnp.uint32(first), _filled(n)), sigma)[:n]

    @partial(jax.jit, static_argnames="n")
    def draw(self, key: jax.Array, sigma: jax.Array, first: jax.Array, n: int) -> jax.Array:
        """`sample` without its checks: all but `n` may be traced."""
        return self._place(*_numbers(key, first, n), sigma)

    @jax.jit
    def _place(self, uniform: jax.Array, normal: jax.Array, sigma: jax.Array) -> jax.Array:
        """The draws [n, 2] that random numbers become, uniform ones [n] and standard normal points [n, 2]."""
        i = self._components(uniform)
        variance = self._eigenvalues[i] + jnp.broadcast_to(sigma**2, uniform.shape)[:, None]
        return self.means[i] + jnp.einsum("nij,nj->ni", self._eigenvectors[i], jnp.sqrt(variance) * normal)

    def _components(self, uniform: jax.Array) -> jax.Array:
        """The component of each draw, [n]."""
        # Inverse of the cumulative weights: jax.random.categorical would draw n * k random numbers.
        cumulative = jnp.cumsum(self.weights)
        i = jnp.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return jnp.clip(i, 0, self.weights.size - 1)

    @property
    def branch_mass(self) -> np.ndarray:
        """True mass of each branch, [branches]."""
        mass = np.zeros(self.branch_count)
        np.add.at(mass, np.asarray(self.branches), np.asarray(self.weights, float))
        return mass

    def branch_posterior(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Posterior probability of each branch at points x [..., 2]: [..., number of branches]."""
        return self._evaluate("_branch_posterior_at", x, sigma)

    def _branch_posterior_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        posterior = jax.nn.softmax(self.component_log_densities_at(x, sigma))
        return jax.ops.segment_sum(posterior, self.branches, self.branch_count)

    def masses_of(self, parts: tuple[Exact, ...]) -> jax.Array:
        """What share of this mixture each part is, [parts]; they follow one another in it, and may be traced."""
        sizes = np.cumsum([part.weights.size for part in parts if isinstance(part, GaussianMixture)])[:-1]
        return jnp.stack([part.sum() for part in jnp.split(self.weights, sizes)])

    def share_of(self, whole: Exact) -> float:
        """The mass that its components have in a mixture of these and others.

        Raises:
            InputError: the other one is no mixture, or lacks a component of this one.
        """
        if not isinstance(whole, GaussianMixture):
            raise InputError(f"whole is {whole!r}; it must be a GaussianMixture, as {self!r} is")
        ours = np.isin(_positions(whole), _positions(self))
        if ours.sum() < self.weights.size:
            raise InputError(f"whole is {whole!r} without some of the components of {self!r}; it must have them all")
        return 1.0 if ours.all() else float(np.asarray(whole.weights, float)[ours].sum())

    def projections(self, directions: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
        """Its distribution function along lines: places on each, rising, and F there, both [directions, points]."""
        mean = directions @ np.asarray(self.means, float).T
        covariances = np.asarray(self.covariances, float)
        std = np.sqrt(np.einsum("di,kij,dj->dk", directions, covariances, directions))
        grid = np.linspace((mean - 6 * std).min(1), (mean + 6 * std).max(1), points, axis=1)
        cdf = [_cdf(t, self.weights, m, s) for t, m, s in zip(grid, mean, std, strict=True)]
        return grid, np.maximum.accumulate(np.asarray(cdf, float), axis=1)

    def mean_kernel(self, width: float) -> float:
        """E exp(-|Y - Y'|^2 / (2 h^2)) = sum_ij w_i w_j 2 pi h^2 N(mu_i - mu_j; 0, C_i + C_j + h^2 I)."""
        w, mean, cov = (np.asarray(a, float) for a in (self.weights, self.means, self.covariances))
        xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]

        def row(i: int) -> float:
            dx, dy = (mean[i] - mean).T
            a, b, c = xx[i] + xx + width**2, xy[i] + xy, yy[i] + yy + width**2
            determinant = a * c - b**2
            quadratic = (c * dx**2 - 2 * b * dx * dy + a * dy**2) / determinant
            return float(w @ (np.exp(-quadratic / 2) / np.sqrt(determinant)))

        return float(width**2 * sum(w[i] * row(i) for i in range(len(w))))

    def lowest_log_densities(self, key: Seed, n: int, count: int) -> np.ndarray:
        """The lowest log densities among those of `sample(key, n)`, rising, [count].

        A draw is at least as dense as its own component there. So all components are evaluated only where the own one
        is thin: for the lowest 0.1% of the tree at one draw in 160.
        """
        uniform, normal = _numbers(as_key(key), jnp.uint32(0), _filled(n))
        own = np.asarray(self._own_log_densities(uniform, normal))[:n]

        def evaluate(chosen: np.ndarray) -> np.ndarray:
            some = np.resize(chosen, _filled(len(chosen)))  # compiled for few sizes
            x = self._place(uniform[some], normal[some], jnp.zeros(()))
            return np.asarray(self.log_density(x), float)[: len(chosen)]

        thin = np.argpartition(own, _THIN * count)[: _THIN * count] if _THIN * count < n else np.arange(n)
        found = evaluate(thin)
        highest = np.partition(found, count - 1)[count - 1]  # no less than the last that is wanted
        further = np.setdiff1d(np.flatnonzero(own <= highest + _ROUNDING), thin)
        if len(further):
            found = np.append(found, evaluate(further))
        return np.sort(found)[:count]

    @jax.jit
    def _own_log_densities(self, uniform: jax.Array, normal: jax.Array) -> jax.Array:
        """log w_i N(x; mu_i, C_i) at the draws that random numbers become, i their component: [n]."""
        i = self._components(uniform)
        peak = jnp.log(self.weights) - 0.5 * jnp.log(self._eigenvalues.prod(1)) - math.log(2 * math.pi)
        return peak[i] - 0.5 * (normal**2).sum(1)

    def landmarks(self) -> jax.Array:
        """The means, [k, 2]."""
        return self.means

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the box that holds each component to 2.5 standard deviations, [2] each."""
        means = np.asarray(self.means)
        spread = 2.5 * np.sqrt(np.diagonal(np.asarray(self.covariances), axis1=1, axis2=2))
        return (means - spread).min(0), (means + spread).max(0)


def _positions(mixture: GaussianMixture) -> np.ndarray:
    """The means of the components as one comparable value each, [k]."""
    x = np.asarray(mixture.means, float)
    return x[:, 0] + 1j * x[:, 1]


@jax.jit
def _cdf(t: jax.Array, weights: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    return map_points(lambda s: weights @ jax.scipy.special.ndtr((s - mean) / std), 256, t)


def _filled(n: int) -> int:
    """The next power of two from 1024 on: compiled for few sizes, whatever n."""
    return max(1024, 1 << (n - 1).bit_length())


@partial(jax.jit, static_argnames="n")
def _numbers(key: jax.Array, first: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Uniform numbers [n] and standard normal points [n, 2]: by themselves they are compiled once for all mixtures."""
    key_component, key_noise = jax.random.split(key)
    return random.uniforms(key_component, first, n), random.normal_points(key_noise, first, n)


Components = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Weights [k], means [k, 2], covariances [k, 2, 2] and branches [k] of a part, not yet normalised."""


def join_components(parts: Sequence[Components]) -> Components:
    """One or more parts in one, the branches of each numbered on from the one before."""
    first = np.cumsum([0] + [part[3].max() + 1 for part in parts])
    branches = np.concatenate([part[3] + start for part, start in zip(parts, first, strict=False)])
    weights, means, covariances = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return weights, means, covariances, branches


def select_classes(parts: dict[str, Components], classes: str, depths: Sequence[int] | None = None) -> GaussianMixture:
    """The mixture of the chosen classes, by their letters; `depths` are those of the branches of each class.

    Raises:
        InputError: another choice of classes than `class_choices` lists.
    """
    choice("classes", classes, class_choices("".join(parts)))
    every_depth = None if depths is None else np.tile(depths, len(classes))
    return GaussianMixture(*join_components([parts[c] for c in classes]), every_depth)


def class_choices(classes: str) -> list[str]:
    """Every choice of one or more classes: "AB" gives A, B, AB."""
    subsets = range(1, 2 ** len(classes))
    chosen = ["".join(c for i, c in enumerate(classes) if subset >> i & 1) for subset in subsets]
    return sorted(chosen, key=lambda c: (len(c), c))

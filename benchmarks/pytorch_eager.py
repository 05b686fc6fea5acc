"""The same training step and sampler in plain eager PyTorch, for comparison: written from the formulas, not ported.

Run by `make bench` where torch is installed and JAX computes on the CPU, as this does; it is no dependency of toydiff.
"""

from itertools import pairwise
from statistics import median

import numpy as np
import torch

from toydiff.bench import Work, times
from toydiff.distributions.tree import fractal_tree
from toydiff.sampling.schedules import noise_schedule

DEPTH, BATCH, SAMPLES = 4, 4096, 16_384


def scaled(weight):
    """The magnitude-preserving weight: rows v / (eps + |v| / sqrt(fan_in)) / sqrt(fan_in)."""
    fan_in = weight.shape[1]
    norm = weight.norm(dim=1, keepdim=True)
    return weight / (1e-4 + norm / fan_in**0.5) / fan_in**0.5


class Energy(torch.nn.Module):
    """G(x; sigma), the network's unnormalised log density."""

    def __init__(self, width=64):
        super().__init__()
        fans = [4] + [width] * DEPTH
        self.layers = torch.nn.ParameterList([torch.randn(width, fan) for fan in fans])
        self.gain = torch.nn.Parameter(torch.tensor(-0.1))

    def forward(self, x, sigma):
        """[n, 2], [n] -> [n]."""
        x = x / (sigma**2 + 0.25).sqrt()[:, None]
        h = torch.stack([x[:, 0], x[:, 1], sigma.log() / 4, torch.ones_like(sigma)], 1) @ scaled(self.layers[0]).T
        for layer in list(self.layers)[1:]:
            h = torch.nn.functional.silu(h) / 0.596 @ scaled(layer).T
        return -0.5 * (x**2).sum(1) + self.gain / sigma * (h**2).mean(1)

    def score(self, x, sigma, *, train=False):
        """Gradient of G in x, [n, 2]."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            return torch.autograd.grad(self(x, sigma).sum(), x, create_graph=train)[0]


class Mixture:
    """The exact distribution: draws and scores at every noise level."""

    def __init__(self):
        tree = fractal_tree("A")
        arrays = (tree.weights, tree.means, tree.covariances)
        self.weights, self.means, covariances = (torch.from_numpy(np.array(a)) for a in arrays)
        self.eigenvalues, self.axes = torch.linalg.eigh(covariances)

    def sample(self, sigma):
        """A draw from p(x; sigma) for each sigma [n]: [n, 2]."""
        i = torch.multinomial(self.weights, len(sigma), replacement=True)
        along = (self.eigenvalues[i] + sigma[:, None] ** 2).sqrt() * torch.randn(len(sigma), 2)
        return self.means[i] + torch.einsum("nij,nj->ni", self.axes[i], along)

    def score(self, x, sigma):
        """Gradient of the log density, [n, 2]."""
        u = torch.einsum("nki,kij->nkj", x[:, None] - self.means, self.axes)
        variance = self.eigenvalues + sigma[:, None, None] ** 2
        log_density = self.weights.log() - 0.5 * ((u**2 / variance).sum(2) + variance.log().sum(2))
        pull = torch.einsum("kij,nkj->nki", self.axes, u / variance)
        return -(torch.softmax(log_density, 1)[:, :, None] * pull).sum(1)


def training_step():
    """One step of exact score matching with Adam."""
    network, mixture = Energy(), Mixture()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.9, 0.99))

    def step():
        sigma = torch.exp(-2.3 + 1.5 * torch.randn(BATCH))
        x = mixture.sample(sigma)
        target = mixture.score(x, sigma)
        loss = (sigma**2 * ((network.score(x, sigma, train=True) - target) ** 2).mean(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def sampling():
    """Heun's method on the paper's schedule with autoguidance, w = 3, by a guide of width 32: 63 evaluations."""
    main, guide, sigmas = Energy(), Energy(32), torch.tensor(noise_schedule(), dtype=torch.float32)

    def score(x, sigma):
        each = sigma.expand(len(x))
        return 3 * main.score(x, each) - 2 * guide.score(x, each)

    def run():
        x = 5 * torch.randn(SAMPLES, 2)
        for sigma, following in pairwise(sigmas):
            slope = -sigma * score(x, sigma)
            end = x + (following - sigma) * slope
            x = end if following == 0 else x + (following - sigma) * (slope - following * score(end, following)) / 2
        return x

    return run


def measure():
    """Median seconds of a step and of a sampling, by the names of the figures of `toydiff bench`."""
    torch.manual_seed(0)
    return {
        name: median(times(Work(work()), 3)) for name, work in (("train", training_step), ("sample_guided", sampling))
    }


if __name__ == "__main__":
    print(measure())

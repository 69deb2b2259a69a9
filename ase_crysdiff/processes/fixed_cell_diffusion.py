"""Variance-exploding diffusion of positions in a cell that is given."""

import torch

from ase_crysdiff.geometry.periodic_normal import periodic_normal_slope
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.base import Process
from ase_crysdiff.randomness import Draws
from ase_crysdiff.schedules.noise import Geometric
from ase_crysdiff.shapes import Float, Tensor


class FixedCellDiffusion(Process):
    """x_t = x_0 + σ ε in Å, wrapped into the cell; the network predicts σ d, d = minus the score, Cartesian.

    The same in all directions of space, whatever the cell, unlike noise on fractional coordinates. Values are fractional. The
    target is the slope of the periodic normal, not the nearest image over σ², which is wrong as soon as several images count.

    Source: CHGGen (Materials Horizons 2025): geometric σ from 10 Å, predictor and corrector of Song et al. 2021. Minus the
    score, as in `WrappedDiffusion`.

    Args:
        cells: The cell of every row, rows in Å.
        schedule: σ as a function of time, Å.
        snr: Signal-to-noise ratio of the corrector's Langevin steps.
    """

    width = 3

    def __init__(self, cells: Float[Tensor, "rows 3 3"], schedule: Geometric | None = None, snr: float = 0.4) -> None:
        self.cells = cells
        self.inverse = torch.linalg.inv(cells)
        self.schedule = Geometric(0.001, 10.0) if schedule is None else schedule
        self.snr = snr

    def prior(self, draws: Draws) -> Float[Tensor, "rows 3"]:
        return wrap(draws.uniform(3))

    def corrupt(self, clean: Tensor, t: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        sigma = self._sigma(t)
        shift = self._to_frac(sigma * draws.normal(3))
        return wrap(clean + shift), sigma * periodic_normal_slope(shift, self.cells, sigma.squeeze(-1))

    def clean(self, value: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """Tweedie's estimate x - σ² d, the posterior mean as long as σ is well below the cell."""
        return wrap(value - self._to_frac(self._sigma(t) * prediction))

    def from_clean(self, value: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return self._to_cart(shortest_image(value - clean)) / self._sigma(t)

    def reverse(self, value: Tensor, prediction: Tensor, t: Tensor, s: Tensor, draws: Draws) -> Tensor:
        sigma, sigma_s = self._sigma(t), self._sigma(s)
        step = sigma**2 - sigma_s**2
        noise = step.sqrt() * sigma_s / sigma * draws.normal(3)
        return wrap(value + self._to_frac(noise - step / sigma * prediction))

    def correct(self, value: Tensor, prediction: Tensor, t: Tensor, size: float, draws: Draws) -> Tensor:
        """One Langevin step of length 2 (snr √3 / |score|)² for each atom, times `size`, and never above σ².

        Source: Song et al. 2021, algorithm 5, for each atom by itself. Where the score vanishes the length would not be finite.
        """
        sigma = self._sigma(t)
        squared = (prediction**2).sum(-1, keepdim=True) / sigma**2
        step = torch.minimum(size * 2 * 3 * self.snr**2 / squared, sigma**2)
        return wrap(value + self._to_frac((2 * step).sqrt() * draws.normal(3) - step / sigma * prediction))

    def renoise(self, value: Tensor, s: Tensor, t: Tensor, draws: Draws) -> Tensor:
        return wrap(value + self._to_frac((self._sigma(t) ** 2 - self._sigma(s) ** 2).sqrt() * draws.normal(3)))

    def _sigma(self, t: Tensor) -> Float[Tensor, "rows 1"]:
        return self.schedule.sigma(t).unsqueeze(-1)

    def _to_frac(self, cartesian: Tensor) -> Tensor:
        return (cartesian.unsqueeze(1) @ self.inverse).squeeze(1)

    def _to_cart(self, frac: Tensor) -> Tensor:
        return (frac.unsqueeze(1) @ self.cells).squeeze(1)

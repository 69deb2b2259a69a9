"""FIRE with one clock per system."""

import torch

from ase_crysdiff.relaxation.base import MAX_STEP, Optimizer, dot, regrouped
from ase_crysdiff.shapes import Float, Int, Tensor

_START_STEP, _LONGEST_STEP = 0.1, 1.0
_GROW, _SHRINK = 1.1, 0.5
_START_MIXING, _MIXING_DECAY = 0.1, 0.99
_PATIENCE = 5


class FIRE(Optimizer):
    """Damped dynamics that stops when it runs uphill; the length of a whole step is limited. Takes
    `ase.optimize.FIRE`'s steps.

    Args:
        max_step: Å.

    Source: Bitzek et al. 2006, Phys. Rev. Lett. 97, 170201, the algorithm on its second page, with
    semi-implicit Euler steps.
    """

    def __init__(self, max_step: float = MAX_STEP) -> None:
        self.max_step = max_step
        self._velocity: Tensor | None = None
        self._step = self._mixing = self._downhill = self._moving = torch.zeros(0, 1, 1)

    def rebatch(self, kept: Int[Tensor, " kept"], added: int, num_rows: int) -> None:
        if self._velocity is None:
            return
        self._velocity = regrouped(self._velocity, kept, added, num_rows)
        self._step = regrouped(self._step, kept, added, fill=_START_STEP)
        self._mixing = regrouped(self._mixing, kept, added, fill=_START_MIXING)
        self._downhill = regrouped(self._downhill, kept, added)
        self._moving = regrouped(self._moving, kept, added)

    def step(
        self, rows: Float[Tensor, "systems rows 3"], forces: Float[Tensor, "systems rows 3"]
    ) -> Float[Tensor, "systems rows 3"]:
        if self._velocity is None:
            self._velocity = torch.zeros_like(rows)
            self._downhill = torch.zeros_like(rows[:, :1, :1])
            self._moving = torch.zeros_like(self._downhill, dtype=torch.bool)
            self._step = torch.full_like(self._downhill, _START_STEP)
            self._mixing = torch.full_like(self._downhill, _START_MIXING)
        velocity = self._velocity
        downhill = dot(forces, velocity) > 0
        speed = torch.sqrt(dot(velocity, velocity) / dot(forces, forces).clamp_min(1e-300))
        mixed = (1 - self._mixing) * velocity + self._mixing * speed * forces
        patient = downhill & (self._downhill > _PATIENCE)
        uphill = ~downhill & self._moving  # a system that has not moved yet is neither
        velocity = torch.where(downhill, mixed, 0.0)
        step = torch.where(patient, (self._step * _GROW).clamp_max(_LONGEST_STEP), self._step)
        self._step = torch.where(uphill, self._step * _SHRINK, step)
        self._mixing = torch.where(
            uphill, _START_MIXING, torch.where(patient, self._mixing * _MIXING_DECAY, self._mixing)
        )
        self._downhill = torch.where(downhill, self._downhill + 1, 0.0)
        self._moving = torch.ones_like(self._moving)
        self._velocity = velocity + self._step * forces
        way = self._step * self._velocity
        length = torch.sqrt(dot(way, way))
        return way * (self.max_step / length.clamp_min(self.max_step))

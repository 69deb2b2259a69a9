"""Known atoms of a molecule, while the others are generated."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Context, Denoise
from ase_crysdiff.conditions.inpainting import KnownRows
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Float, Tensor


@dataclass(frozen=True)
class KnownPlaces(KnownRows):
    """Known rows of places in open space, which also tell where the origin is: the whole estimate
    is moved by the mean displacement of the known atoms before these are put back, as
    `KnownPositions` does on the torus.
    """

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        name = self.component

        def aligned(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            estimate = joint.clean(name, state, prediction, t, layout)
            moved = estimate - layout.broadcast(self._shift(estimate, layout), "atom")
            return {**prediction, name: joint.from_clean(name, state, moved, t, layout)}

        return super().wrap(aligned, joint, layout)

    def _shift(
        self, estimate: Float[Tensor, "atoms 3"], layout: Layout
    ) -> Float[Tensor, "crystals 3"]:
        """Mean displacement of the known atoms of each molecule; 0 where none is known."""
        weight = self.known.to(estimate.dtype).unsqueeze(-1)
        away = (estimate - self.clean) * weight
        parts = [
            block.view(away).sum(1) / block.view(weight).sum(1).clamp_min(1)
            for block in layout.blocks
        ]
        return torch.cat(parts)

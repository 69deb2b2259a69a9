"""Keeps atoms apart."""

from dataclasses import dataclass, replace

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import Block, Layout
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction
from ase_crysdiff.shapes import Float, Int, Tensor


@dataclass(frozen=True)
class ClosestApproach(Condition):
    """Pushes atoms of the clean estimate apart until they are no closer than a share of the sum of
    their covalent radii.

    Each sweep moves both atoms of every pair that is too close by half of what is missing, as
    position-based dynamics does (Müller et al. 2007); the network then sees the consequences in the
    following steps. Images are the nearest ones by rounding, which in a Niggli cell finds every
    contact shorter than half its height. An atom cannot be moved away from its own images.

    Args:
        fraction: Share of the sum of covalent radii (Cordero et al. 2008).
        window: Largest time at which it acts; earlier the estimate of the positions means nothing.
        sweeps: Passes over all pairs per step.
        species: Given atomic numbers, shape (atoms,); None takes the likeliest class of the
            prediction.

    Raises:
        InputError: If a number makes no sense.
    """

    fraction: float
    window: float = 0.6
    sweeps: int = 3
    species: Int[Tensor, " atoms"] | None = None

    def __post_init__(self) -> None:
        arguments.above_zero("fraction", self.fraction)
        arguments.not_negative("window", self.window)
        arguments.positive("sweeps", self.sweeps)

    def given_species(self, species: Int[Tensor, " atoms"]) -> "ClosestApproach":
        return replace(self, species=species)

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        cell = joint.components["lattice"].representation
        radii = covalent_radii(layout.dtype).to(layout.device) * self.fraction
        radii[VACANCY] = 0

        def apart(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            if t > self.window:
                return prediction
            lattice = cell.decode(joint.clean("lattice", state, prediction, t, layout))
            species = self.species
            if species is None:
                species = joint.clean("species", state, prediction, t, layout).argmax(-1)
            clean = joint.clean("frac_coords", state, prediction, t, layout)
            for _ in range(self.sweeps):
                clean = torch.cat(
                    [
                        self._sweep(block, block.view(clean), lattice, radii[species])
                        for block in layout.blocks
                    ]
                )
            moved = joint.from_clean("frac_coords", state, clean, t, layout)
            return {**prediction, "frac_coords": moved}

        return apart

    @staticmethod
    def _sweep(
        block: Block,
        frac: Float[Tensor, "count size 3"],
        lattice: Float[Tensor, "crystals 3 3"],
        radii: Float[Tensor, " atoms"],
    ) -> Float[Tensor, "rows 3"]:
        """One pass over the pairs of a block."""
        cells, reach = lattice[block.crystals], block.view(radii)
        ways = _transform(shortest_image(frac.unsqueeze(1) - frac.unsqueeze(2)), cells)
        distances = ways.square().sum(-1).sqrt()
        wanted = (reach.unsqueeze(1) + reach.unsqueeze(2)) * (
            (reach.unsqueeze(1) > 0) & (reach.unsqueeze(2) > 0)
        )
        missing = (wanted - distances).clamp_min(0)
        missing.diagonal(dim1=1, dim2=2).zero_()
        push = -0.5 * (missing / distances.clamp_min(1e-3)).unsqueeze(-1) * ways
        return wrap(
            frac + _transform(push.sum(2).unsqueeze(1), _inverse(cells)).squeeze(1)
        ).flatten(0, 1)


def _transform(
    rows: Float[Tensor, "count a b 3"], matrix: Float[Tensor, "count 3 3"]
) -> Float[Tensor, "count a b 3"]:
    """Rows times matrix, as a sum: batched 3x3 products take another path for a batch of one."""
    return (rows.unsqueeze(-1) * matrix[:, None, None]).sum(-2)


def _inverse(matrix: Float[Tensor, "count 3 3"]) -> Float[Tensor, "count 3 3"]:
    """Inverse by cross products."""
    a, b, c = matrix.unbind(1)
    reciprocal = torch.stack(
        [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -1
    )
    return reciprocal / (a * torch.linalg.cross(b, c)).sum(-1)[:, None, None]

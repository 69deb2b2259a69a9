"""Lengths and angles of a lattice, the angles on the whole real line."""

from collections.abc import Sequence

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry import lattice as geometry
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor

#: Degrees; angles of Niggli cells lie between them.
SMALLEST, LARGEST = 59.9, 120.1


class LatticeParameters(LatticeRepresentation):
    """a, b, c in Å as they are, and log(x / (1 - x)) of where each angle lies between 59.9° and
    120.1°. Networks read them standardised.

    Source: Miller et al. 2024 (FlowMM), section 4.1 and code.

    Args:
        mean: Of the six numbers in noise of all times, as the network was trained with.
        scale: Their standard deviations.

    Raises:
        InputError: If there are not six means and six positive scales.
    """

    width = 6
    num_invariants = 6
    data_variance = 4.0  # Å² for the lengths

    def __init__(self, mean: Sequence[float], scale: Sequence[float]) -> None:
        if len(mean) != 6 or len(scale) != 6 or min(scale) <= 0:
            raise InputError("LatticeParameters needs six means and six positive scales.")
        self.mean = tuple(float(x) for x in mean)
        self.scale = tuple(float(x) for x in scale)

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "crystals 6"]:
        lengths, angles = geometry.to_parameters(batch.lattice)
        if len(angles) and (angles.min() <= SMALLEST or angles.max() >= LARGEST):
            raise InputError(
                f"This model knows cells with angles between {SMALLEST}° and {LARGEST}° only, got "
                f"{angles.min():.1f}° to {angles.max():.1f}°. Give reduced (Niggli) cells."
            )
        place = torch.logit((angles - SMALLEST) / (LARGEST - SMALLEST))
        return torch.cat([lengths, place], -1)

    def decode(self, value: Float[Tensor, "crystals 6"]) -> Float[Tensor, "crystals 3 3"]:
        lengths, place = value.split(3, -1)
        angles = SMALLEST + (LARGEST - SMALLEST) * torch.sigmoid(place)
        return geometry.from_parameters(lengths, angles)

    def invariants(self, value: Float[Tensor, "crystals 6"]) -> Float[Tensor, "crystals 6"]:
        return (value - value.new_tensor(self.mean)) / value.new_tensor(self.scale)

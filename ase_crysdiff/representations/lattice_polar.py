"""Shape and volume of a lattice as six standardised numbers, free of its orientation."""

from collections.abc import Sequence

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry import lattice as geometry
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.shapes import Float, Tensor


class LatticePolar(LatticeRepresentation):
    """z = (k - mean) / scale, with k of `geometry.lattice.log_polar`.

    Every z is a lattice of positive volume, and with the mean and scale of the training data the
    unit normal that diffusion starts from is already close to the distribution of real cells. A
    small network then learns lattices with little effort, which the raw matrix entries (tens of Å
    against unit noise) do not allow.

    Source: Luo et al. 2025 (CrystalFlow) for k; the standardisation is ours.

    Args:
        mean: Mean of k over the training data.
        scale: Standard deviation of k over the training data.
    """

    width = 6
    num_invariants = 6

    def __init__(self, mean: Sequence[float], scale: Sequence[float]) -> None:
        if len(mean) != 6 or len(scale) != 6 or min(scale) <= 0:
            raise InputError(
                "LatticePolar needs six means and six positive scales, from `LatticePolar.fit`."
            )
        self.mean = tuple(float(x) for x in mean)
        self.scale = tuple(float(x) for x in scale)

    @staticmethod
    def fit(lattice: Float[Tensor, "crystals 3 3"]) -> dict[str, list[float]]:
        """Mean and scale of a training set, as constructor arguments.

        The scale has a floor, so that data with only one cell shape stay usable.
        """
        k = geometry.log_polar(lattice.double())
        scale = k.std(0).clamp_min(0.01) if len(k) > 1 else torch.full((6,), 0.1)
        return {
            "mean": [round(x, 6) for x in k.mean(0).tolist()],
            "scale": [round(x, 6) for x in scale.tolist()],
        }

    def encode(self, batch: CrystalBatch) -> Float[Tensor, "crystals 6"]:
        k = geometry.log_polar(batch.lattice)
        return (k - k.new_tensor(self.mean)) / k.new_tensor(self.scale)

    def decode(self, value: Float[Tensor, "crystals 6"]) -> Float[Tensor, "crystals 3 3"]:
        return geometry.from_log_polar(
            value * value.new_tensor(self.scale) + value.new_tensor(self.mean)
        )

    def invariants(self, value: Float[Tensor, "crystals 6"]) -> Float[Tensor, "crystals 6"]:
        return value

"""A sampler in thirty lines: what a package needs to appear in `StructureSampler`."""

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.request import SampleRequest

VOLUME_PER_ATOM = 20.0


class RandomCells:
    """Places the atoms of a composition at random in a random cell of 20 Å³ per atom."""

    def sample(self, request: SampleRequest, streams: Streams) -> CrystalBatch:
        """One crystal per stream; every random number comes from that stream, so batches change
        nothing.
        """
        if request.composition is None:
            raise IncompatibleError("'random-cells' needs composition=, such as 'SrTiO3'.")
        units = (request.formula_units or (1,))[0]
        species = torch.tensor(
            [z for z, count in request.composition for _ in range(count * units)]
        )
        count, cpu = len(streams), torch.device("cpu")
        shape = (
            streams.draws("cell", 0, [1] * count, cpu, torch.float32).normal(9).view(count, 3, 3)
        )
        lattice = torch.eye(3) + 0.1 * shape
        volume = VOLUME_PER_ATOM * len(species)
        lattice = lattice * (volume / torch.linalg.det(lattice).abs()).pow(1 / 3)[:, None, None]
        coordinates = streams.draws(
            "coordinates", 0, [len(species)] * count, cpu, torch.float32
        ).uniform(3)
        return CrystalBatch(
            lattice, coordinates, species.repeat(count), torch.full((count,), len(species))
        )


def make(weights: str | None, device: str) -> RandomCells:
    """The factory that the entry point names."""
    return RandomCells()

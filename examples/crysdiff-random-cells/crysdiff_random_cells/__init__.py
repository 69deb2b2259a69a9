"""A sampler in forty lines: what a package needs to appear in `StructureSampler`."""

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.csp import CSP, atoms_of

VOLUME_PER_ATOM = 20.0


class RandomCells(Sampler):
    """Places the atoms of a composition at random in a random cell of 20 Å³ per atom."""

    label = "random-cells"
    capabilities = Capabilities(
        tasks=frozenset({CSP}),
        constraints=frozenset({"composition", "formula_units"}),
        finds_species=False,
    )

    def sample(self, request: SampleRequest, streams: Streams) -> Sampled:
        """One crystal per stream, from whose random numbers alone it is made."""
        crystals = [self._crystal(request.task, streams.take([i])) for i in range(len(streams))]
        return Sampled(CrystalBatch.cat(crystals))

    def _crystal(self, task: CSP, stream: Streams) -> CrystalBatch:
        cells = task.cells or (task.composition,)
        units = 1 if task.formula_units is None else task.formula_units[0]
        species = atoms_of(cells[stream.indices[0] % len(cells)]).repeat(units)

        def draws(purpose: str, rows: int) -> CounterStream:
            return stream.rng(purpose, 0, [rows], torch.device("cpu"), torch.float32)

        lattice = torch.eye(3) + 0.1 * draws("cell", 1).normal(9).view(1, 3, 3)
        volume = VOLUME_PER_ATOM * len(species)
        lattice = lattice * (volume / torch.linalg.det(lattice).abs()) ** (1 / 3)
        places = draws("coordinates", len(species)).uniform(3)
        return CrystalBatch(lattice, places, species, torch.tensor([len(species)]))


def make(weights: str | None, device: str) -> RandomCells:
    """The factory that the entry point names."""
    return RandomCells()

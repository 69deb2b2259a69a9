"""Tables of crystals and a sampler that knows the answers, for benchmarks."""

import csv
import gzip
from collections import Counter

import torch
from pymatgen.io.cif import CifWriter

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.csp import CSP


def contents_of(structure):
    """Atomic numbers and counts of a cell."""
    return tuple(sorted(Counter(site.specie.Z for site in structure).items()))


def write_table(path, structures, **columns):
    """A compressed table of CIF texts, named mp-0, mp-1, ..., and of columns of values."""
    with gzip.open(path, "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(["material_id", "cif", *columns])
        for i, (structure, *values) in enumerate(zip(structures, *columns.values(), strict=True)):
            table.writerow([f"mp-{i}", str(CifWriter(structure)), *values])
    return path


def lasting(content):
    """What does not depend on the machine, the time and how the work was shared out."""
    return {
        k: v for k, v in content.items() if k not in ("seconds", "machine", "workers", "batch_size")
    }


class Oracle(Sampler):
    """Knows the answers: `crystals` by composition, each moved a little for later samples; fails
    where it holds None.
    """

    label = "oracle"
    capabilities = Capabilities(
        tasks=frozenset({CSP}), constraints=frozenset({"composition"}), finds_species=False
    )

    def __init__(self, crystals):
        self.crystals = crystals

    def sample(self, request, streams):
        found = []
        for index in streams.indices:
            cells = request.task.cells
            crystal = self.crystals[cells[index % len(cells)]]
            shift = 0.02 * (index // len(cells))
            if crystal is None:
                crystal = CrystalBatch(
                    torch.full((1, 3, 3), torch.nan),
                    torch.zeros(1, 3),
                    torch.ones(1).long(),
                    torch.ones(1).long(),
                )
            frac = crystal.frac_coords.clone()
            frac[0, 0] += shift
            found.append(CrystalBatch(crystal.lattice, frac, crystal.species, crystal.num_atoms))
        return Sampled(CrystalBatch.cat(found))


class Ranker(Sampler):
    """Ranks: `candidates` by contents of a cell, the first first; beyond the last it has nothing.

    Keeps what it was asked for in `requests`.
    """

    label = "ranker"
    capabilities = Capabilities(
        tasks=frozenset({CSP}),
        constraints=frozenset({"composition", "space_group", "prototype"}),
        finds_species=False,
    )

    def __init__(self, candidates, first_rank=0):
        self.candidates = {c: [from_structures([s]) for s in row] for c, row in candidates.items()}
        self.first_rank, self.requests = first_rank, []

    def sample(self, request, streams):
        self.requests.append((request, streams.indices))
        found, ranks = [], []
        for index in streams.indices:
            cells = request.task.cells
            row = self.candidates[cells[index % len(cells)]]
            rank = index // len(cells)
            none = CrystalBatch(
                torch.eye(3)[None], torch.zeros(0, 3), torch.zeros(0).long(), torch.zeros(1).long()
            )
            found.append(row[rank] if rank < len(row) else none)
            ranks.append(rank + self.first_rank if rank < len(row) else None)
        return Sampled(CrystalBatch.cat(found), {"rank": ranks})

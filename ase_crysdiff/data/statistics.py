"""Numbers of a training set that become part of a model's config."""

import torch

from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.representations.lattice_polar import LatticePolar


def lattice_statistics(data: PackedCrystals) -> dict[str, list[float]]:
    """Mean and scale of the polar lattice numbers."""
    return LatticePolar.fit(data.batch.lattice)


def species_prior(data: PackedCrystals, rows: float | None = None) -> list[float]:
    """Frequency of each species, with one count added to every class.

    Args:
        data: Crystals.
        rows: Of each, on average; those that are no atoms are vacancies. None counts atoms only.
    """
    counts = torch.bincount(data.batch.species, minlength=NUM_SPECIES).double()
    if rows is not None:
        counts[VACANCY] = len(data) * rows - counts.sum()
    counts += 1
    return [round(x, 8) for x in (counts / counts.sum()).tolist()]


def size_histogram(data: PackedCrystals) -> dict[str, int]:
    """How many crystals have how many atoms. The keys are text, as JSON wants them."""
    sizes, counts = torch.unique(data.batch.num_atoms, return_counts=True)
    return {str(n): c for n, c in zip(sizes.tolist(), counts.tolist(), strict=True)}


def elements(data: PackedCrystals) -> list[int]:
    """Atomic numbers that occur."""
    return [int(z) for z in torch.unique(data.batch.species)]

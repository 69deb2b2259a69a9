"""A set of known crystals that structures are compared with."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np
import torch
from pymatgen.core import Element, Structure

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.convert import from_structures, to_structures
from ase_crysdiff.crystal.packed import PackedCrystals
from ase_crysdiff.geometry.lattice import volume
from ase_crysdiff.metrics.matching import count_key, reduced

#: 1 u/Å³ in g/cm³.
DALTON_PER_CUBIC_ANGSTROM = 1.66053907


class Reference:
    """Known crystals by composition. Cells are reduced when a structure of their composition is first looked up.

    Args:
        crystals: Packed crystals, or ordered structures.
    """

    def __init__(self, crystals: PackedCrystals | Sequence[Structure]) -> None:
        if not isinstance(crystals, PackedCrystals):
            crystals = PackedCrystals(from_structures(crystals))
        self.batch = crystals.batch
        self.name = crystals.metadata.get("sources", "structures")
        self.digest = crystals.digest
        self._reduced: dict[Hashable, list[Structure]] = {}

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def _positions(self) -> dict[Hashable, list[int]]:
        positions: dict[Hashable, list[int]] = defaultdict(list)
        ends = np.cumsum(self.batch.num_atoms.numpy())
        for i, species in enumerate(np.split(self.batch.species.numpy(), ends[:-1])):
            numbers, counts = np.unique(species, return_counts=True)
            positions[count_key(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))].append(i)
        return positions

    def candidates(self, key: Hashable) -> list[Structure]:
        """Reduced cells of all known crystals with a composition."""
        if key not in self._reduced:
            positions = self._positions.get(key, [])
            self._reduced[key] = [reduced(s) for s in to_structures(self.batch.select(positions))] if positions else []
        return self._reduced[key]

    @cached_property
    def densities(self) -> list[float]:
        """g/cm³ of every crystal."""
        table = torch.tensor([0.0, *[float(Element.from_Z(z).atomic_mass) for z in range(1, NUM_SPECIES)]], dtype=torch.float64)
        masses = table[self.batch.species]
        owner = torch.arange(len(self.batch)).repeat_interleave(self.batch.num_atoms)
        per_crystal = torch.zeros(len(self.batch), dtype=torch.float64).index_add_(0, owner, masses)
        density: list[float] = (per_crystal / volume(self.batch.lattice.double()) * DALTON_PER_CUBIC_ANGSTROM).tolist()
        return density

    @cached_property
    def num_elements(self) -> list[float]:
        """Distinct elements of every crystal."""
        return [float(len(set(part.tolist()))) for part in self.batch.species.split(self.batch.num_atoms.tolist())]

    @property
    def num_atoms(self) -> list[float]:
        """Atoms of every crystal."""
        return [float(n) for n in self.batch.num_atoms]

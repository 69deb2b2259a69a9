"""A set of known crystals that structures are compared with."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from pymatgen.core import Element, Structure

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.convert import from_structures, to_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.geometry.lattice import volume
from ase_crysdiff.metrics.coverage import Features
from ase_crysdiff.metrics.matching import count_key, formula_key, match, reduced
from ase_crysdiff.metrics.space_groups import Symmetry, symmetries

#: 1 u/Å³ in g/cm³.
DALTON_PER_CUBIC_ANGSTROM = 1.66053907
#: Symmetry is looked for in at most so many crystals of a reference, evenly spread over it.
MOST_SYMMETRIES = 2000


@runtime_checkable
class Known(Protocol):
    """What novelty asks of a set of known crystals, which need not be able to rebuild them."""

    @property
    def name(self) -> str:
        """Shown in reports."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""

    def __len__(self) -> int:
        """Number of crystals."""

    def contains(self, structure: Structure) -> bool:
        """Whether a structure that passes the gate is one of them."""


def report_entry(known: Known) -> dict[str, Any]:
    """What a report says of a set of known crystals."""
    return {"reference": known.name, "crystals": len(known), "sha256": known.digest[:12]}


class Reference:
    """Known crystals by composition. Cells are reduced when a structure of their composition is
    first looked up.

    Args:
        crystals: Packed crystals, or ordered structures.
        features: Of the same crystals, from `coverage.features`: without them there is no coverage,
            for they are dear.
    """

    def __init__(
        self, crystals: PackedCrystals | Sequence[Structure], features: Features | None = None
    ) -> None:
        if not isinstance(crystals, PackedCrystals):
            crystals = PackedCrystals(from_structures(crystals))
        self.batch = crystals.batch
        self.name = crystals.metadata.get("sources", "structures")
        self.digest = crystals.digest
        self.features = features
        self._reduced: dict[Hashable, list[Structure]] = {}

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def _positions(self) -> dict[Hashable, list[int]]:
        positions: dict[Hashable, list[int]] = defaultdict(list)
        ends = np.cumsum(self.batch.num_atoms.numpy())
        for i, species in enumerate(np.split(self.batch.species.numpy(), ends[:-1])):
            numbers, counts = np.unique(species, return_counts=True)
            positions[count_key(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))].append(
                i
            )
        return positions

    def candidates(self, key: Hashable) -> list[Structure]:
        """Reduced cells of all known crystals with a composition."""
        if key not in self._reduced:
            positions = self._positions.get(key, [])
            self._reduced[key] = (
                [reduced(s) for s in to_structures(self.batch.select(positions))]
                if positions
                else []
            )
        return self._reduced[key]

    def contains(self, structure: Structure) -> bool:
        """Whether a structure that passes the gate matches one of the crystals."""
        known = self.candidates(formula_key(structure))
        return bool(known) and any(match(reduced(structure), k) for k in known)

    @cached_property
    def symmetries(self) -> list[Symmetry]:
        """Space groups and primitive sizes of the crystals, or of 2,000 of them that are evenly
        spread.
        """
        chosen = np.unique(
            np.linspace(0, len(self) - 1, min(len(self), MOST_SYMMETRIES)).round().astype(int)
        )
        found = symmetries(to_structures(self.batch.select(chosen.tolist())), curve=())
        return [s for s in found if isinstance(s, Symmetry)]

    @cached_property
    def densities(self) -> list[float]:
        """g/cm³ of every crystal."""
        table = torch.tensor(
            [0.0, *[float(Element.from_Z(z).atomic_mass) for z in range(1, NUM_SPECIES)]],
            dtype=torch.float64,
        )
        masses = table[self.batch.species]
        owner = torch.arange(len(self.batch)).repeat_interleave(self.batch.num_atoms)
        per_crystal = torch.zeros(len(self.batch), dtype=torch.float64).index_add_(0, owner, masses)
        density: list[float] = (
            per_crystal / volume(self.batch.lattice.double()) * DALTON_PER_CUBIC_ANGSTROM
        ).tolist()
        return density

    @cached_property
    def num_elements(self) -> list[float]:
        """Distinct elements of every crystal."""
        return [
            float(len(set(part.tolist())))
            for part in self.batch.species.split(self.batch.num_atoms.tolist())
        ]

    @property
    def num_atoms(self) -> list[float]:
        """Atoms of every crystal."""
        return [float(n) for n in self.batch.num_atoms]

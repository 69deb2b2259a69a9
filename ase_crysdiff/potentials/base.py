"""What a potential reads and what it returns."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch, rows_of
from ase_crysdiff.errors import ShapeError
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.shapes import Bool, Float, Int, Tensor

#: Weight of a sampler's order against energies, eV/atom, for potentials without one of their own:
#: about the error of their energy differences between prototypes.
RANK_PRIOR = 0.05


@dataclass(frozen=True)
class Configurations:
    """Atoms in space, each system in its own box that may be periodic along some of its axes.

    Unlike a `CrystalBatch` it holds Cartesian positions, so that molecules and slabs need no
    invented cell, and it may hold systems of any order of size.

    Args:
        positions: Å, shape (atoms, 3).
        cells: Lattice vectors as rows, Å; rows along open axes are ignored, shape (systems, 3, 3).
        periodic: Which axes repeat, shape (systems, 3).
        species: Atomic numbers, shape (atoms,).
        num_atoms: Atoms of each system, shape (systems,).
        labels: What else is known of each system, for engines that read it: arrays with one entry
            per atom by ASE's names (`initial_magmoms`, `initial_charges`, `tags`, `masses`) and
            `info`, a mapping; empty, or one mapping for each system. Networks do not look at it.

    Raises:
        ShapeError: If the tensors do not fit together.
    """

    positions: Float[Tensor, "atoms 3"]
    cells: Float[Tensor, "systems 3 3"]
    periodic: Bool[Tensor, "systems 3"]
    species: Int[Tensor, " atoms"]
    num_atoms: Int[Tensor, " systems"]
    labels: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        total = int(self.num_atoms.sum())
        atoms = (len(self.positions), len(self.species))
        systems = (len(self.cells), len(self.periodic))
        if atoms != (total, total) or systems != (len(self.num_atoms),) * 2:
            raise ShapeError(
                f"num_atoms adds up to {total} for {len(self.num_atoms)} systems, but there are "
                f"{atoms[0]} positions, {atoms[1]} "
                f"species, {systems[0]} cells and {systems[1]} rows of periodic. Every atom must "
                "belong to one system."
            )
        if len(self.labels) not in (0, len(self.num_atoms)):
            raise ShapeError(
                f"There are labels for {len(self.labels)} of {len(self.num_atoms)} systems; give "
                "none, or a mapping for each."
            )

    def __len__(self) -> int:
        return len(self.num_atoms)

    @property
    def index(self) -> Int[Tensor, " atoms"]:
        """The system that each atom belongs to."""
        return segment_index(self.num_atoms)

    @staticmethod
    def from_crystals(batch: CrystalBatch) -> "Configurations":
        """Fully periodic configurations of crystals."""
        index = segment_index(batch.num_atoms)
        positions = (batch.frac_coords.unsqueeze(1) @ batch.lattice[index]).squeeze(1)
        periodic = torch.ones(len(batch), 3, dtype=torch.bool, device=batch.lattice.device)
        return Configurations(positions, batch.lattice, periodic, batch.species, batch.num_atoms)

    def to(
        self, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> "Configurations":
        """The configurations on a device, their floating point tensors in a dtype."""
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        moved |= {name: moved[name].to(dtype) for name in ("positions", "cells")}
        return replace(self, **moved)

    def select(self, systems: Sequence[int] | Int[Tensor, " chosen"]) -> "Configurations":
        """The systems at these positions, in this order."""
        chosen, atoms = rows_of(self.num_atoms, systems)
        return Configurations(
            self.positions[atoms],
            self.cells[chosen],
            self.periodic[chosen],
            self.species[atoms],
            self.num_atoms[chosen],
            tuple(self.labels[i] for i in chosen.tolist()) if self.labels else (),
        )

    @staticmethod
    def cat(parts: "Sequence[Configurations]") -> "Configurations":
        """The systems of all parts, one part after the other."""
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSORS}
        labels: tuple[Mapping[str, Any], ...] = ()
        if any(part.labels for part in parts):
            labels = tuple(label for p in parts for label in (p.labels or ({},) * len(p)))
        return Configurations(**tensors, labels=labels)


_TENSORS = tuple(f.name for f in fields(Configurations) if f.name != "labels")


@dataclass(frozen=True)
class Evaluation:
    """What a potential says of a batch of configurations; detached tensors, in the order of the
    input.

    Args:
        energies: Energy of each atom, eV; they add up to the energy of their system. Shape
            (atoms,).
        energy: Total energy of each system, eV, shape (systems,).
        forces: eV/Å, shape (atoms, 3).
        stress: (1/V) ∂E/∂strain, eV/Å³, tension positive; NaN for systems that are not periodic
            along all axes. Shape (systems, 3, 3).
        failures: Reason by position, for systems that the potential cannot answer (atoms that
            overlap, an engine that did not converge); their numbers are NaN, and the other systems
            are as good as without them.
    """

    energies: Float[Tensor, " atoms"]
    energy: Float[Tensor, " systems"]
    forces: Float[Tensor, "atoms 3"]
    stress: Float[Tensor, "systems 3 3"]
    failures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Uncertainty:
    """How far the energies of a batch of configurations are to be believed; in the order of the
    input.

    A system and its supercells have the same numbers. What is not known is NaN, never 0.

    Args:
        atoms: Standard deviation of the error that crystals made of such atoms alone would have,
            eV/atom: the largest is the doubtful one. Shape (atoms,).
        systems: Standard deviation of the error of each energy, eV/atom, shape (systems,).
        limit: Above it the potential is outside of what it knows, eV/atom; NaN if it does not know.
    """

    atoms: Float[Tensor, " atoms"]
    systems: Float[Tensor, " systems"]
    limit: float = math.nan

    @property
    def is_outside(self) -> Bool[Tensor, " systems"]:
        """Whether each system is outside of what the potential knows; no where nothing is known of
        it.
        """
        return self.systems > self.limit


class Potential(ABC):
    """An energy surface: extensive, on the Materials Project's scale as CHGNet has it.

    Attributes:
        name: Shown in reports.
        elements: Atomic numbers that it knows.
        dtype: Number format it computes in; configurations may come in another one and on another
            device.
        device: Where it computes.
        formation_references: Energies of the elements that turn total into formation energies,
            eV/atom by atomic number; empty if none come with it.
        rank_prior: Weight of what a sampler says of its candidates when they are ranked by this
            potential, eV/atom; see `relaxation.ranking.rank`. The larger the potential's errors
            between prototypes, the larger it should be.
        uncertainty_limit: Expected error above which a system is outside of what the potential
            knows, eV/atom; NaN for potentials that do not know how far they are to be believed.
        is_corrected: Whether energies are those of the Materials Project's PBE and PBE+U with the
            corrections of 2020 included, so that they compare with its entries; no unless a
            potential says so.
    """

    name: str
    elements: frozenset[int]
    dtype: torch.dtype
    device: torch.device
    formation_references: Mapping[int, float] = MappingProxyType({})
    rank_prior: float = RANK_PRIOR
    uncertainty_limit: float = math.nan
    is_corrected: bool = False

    @abstractmethod
    def evaluate(self, configurations: Configurations) -> Evaluation:
        """Energies, forces and stresses.

        Raises:
            InputError: If a configuration holds an element that the potential does not know, or
                positions or cells that are not finite.
        """

    def evaluate_energies(self, configurations: Configurations) -> Evaluation:
        """Energies; forces and stresses may be NaN. For callers to whom derivatives are a waste.

        Raises:
            InputError: If a configuration holds an element that the potential does not know, or
                positions or cells that are not finite.
        """
        return self.evaluate(configurations)

    def uncertainty(self, configurations: Configurations) -> Uncertainty:
        """How far the energies are to be believed: NaN unless a potential says more. A separate
        question, since few callers ask it, and of few configurations.

        Raises:
            InputError: If a configuration holds an element that the potential does not know, or
                positions or cells that are not finite.
        """
        like = configurations.cells[:, 0, 0].to(self.device, torch.float64)
        atoms = torch.full((len(configurations.species),), torch.nan).to(like)
        return Uncertainty(atoms, torch.full_like(like, torch.nan))

"""A batch of crystals of different sizes, and where its atoms are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch

from ase_crysdiff.errors import ShapeError
from ase_crysdiff.shapes import Float, Int, Tensor


@dataclass(frozen=True)
class Block:
    """A run of crystals of equal size: their rows form dense (crystals, size, ...) tensors without
    padding.
    """

    crystals: slice
    atoms: slice
    count: int
    size: int

    def view(self, rows: Tensor) -> Tensor:
        """The block's part of an atom tensor as (count, size, ...)."""
        return rows[self.atoms].unflatten(0, (self.count, self.size))

    def portions(self, pairs: int) -> "list[Block]":
        """The block in pieces of about equally many crystals with at most this many ordered pairs,
        but one crystal at least.
        """
        number = -(-self.count // max(1, pairs // self.size**2))
        edges = [self.count * i // number for i in range(number + 1)]
        crystal, atom = self.crystals.start, self.atoms.start
        return [
            Block(
                slice(crystal + a, crystal + b),
                slice(atom + a * self.size, atom + b * self.size),
                b - a,
                self.size,
            )
            for a, b in pairwise(edges)
        ]


#: What rows of numbers belong to: crystals, their atoms, the free numbers of their sites, or the
#: rigid bodies that they are built from.
Level = Literal["crystal", "atom", "freedom", "body"]


@dataclass(frozen=True)
class Layout:
    """How many rows each crystal has, and hence which row belongs to which crystal.

    Rows come on four levels: one per crystal, one per atom, one per free number of a crystal whose
    atoms are held on symmetric sites, and one per rigid body of a crystal that is built from such.
    A crystal at a fixed place has no free number.

    Args:
        sizes: Atoms per crystal, each at least 1, ascending, so that equal sizes lie together.
        device: Where tensors of this layout live.
        dtype: Floating point type of tensors of this layout.
        freedoms: Free numbers per crystal, each at least 0; None where nothing is held.
        bodies: Rigid bodies per crystal, each at least 1; None where atoms move one by one.

    Raises:
        ShapeError: If sizes are not ascending or below 1, or there are not as many freedoms or
            bodies.
    """

    sizes: tuple[int, ...]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    freedoms: tuple[int, ...] | None = None
    bodies: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.sizes) or list(self.sizes) != sorted(self.sizes):
            raise ShapeError(
                f"sizes must be at least 1 and ascending, got {self.sizes}. "
                "Build batches with CrystalBatch.sorted()."
            )
        if self.freedoms is not None and (
            len(self.freedoms) != len(self.sizes) or any(n < 0 for n in self.freedoms)
        ):
            raise ShapeError(
                f"freedoms must be one number of at least 0 for each of {len(self.sizes)} "
                f"crystals, got {self.freedoms}."
            )
        if self.bodies is not None and (
            len(self.bodies) != len(self.sizes) or any(n < 1 for n in self.bodies)
        ):
            raise ShapeError(
                f"bodies must be one number of at least 1 for each of {len(self.sizes)} crystals, "
                f"got {self.bodies}."
            )

    @property
    def num_crystals(self) -> int:
        """Crystals of the batch."""
        return len(self.sizes)

    @property
    def total_atoms(self) -> int:
        """Atoms of all crystals."""
        return sum(self.sizes)

    @cached_property
    def num_atoms(self) -> Int[Tensor, " crystals"]:
        """Atoms of each crystal."""
        return torch.tensor(self.sizes, device=self.device, dtype=torch.long)

    @cached_property
    def batch_index(self) -> Int[Tensor, " atoms"]:
        """The crystal of each atom."""
        return self.index("atom")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Runs of equally large crystals."""
        found: list[Block] = []
        crystal = atom = 0
        while crystal < len(self.sizes):
            size, count = self.sizes[crystal], self.sizes.count(self.sizes[crystal])
            end = atom + count * size
            found.append(Block(slice(crystal, crystal + count), slice(atom, end), count, size))
            crystal, atom = crystal + count, end
        return tuple(found)

    def rows(self, level: Level) -> int:
        """Number of rows at a level."""
        return self.num_crystals if level == "crystal" else sum(self.rows_per_crystal(level))

    def rows_per_crystal(self, level: Level) -> tuple[int, ...]:
        """Rows that each crystal has at a level.

        Raises:
            ShapeError: If the level is that of free numbers or of bodies, and the layout holds
                none.
        """
        if level == "crystal":
            return (1,) * self.num_crystals
        if level == "atom":
            return self.sizes
        if level == "body":
            if self.bodies is None:
                raise ShapeError("This layout has no bodies: its atoms move one by one.")
            return self.bodies
        if self.freedoms is None:
            raise ShapeError("This layout has no free numbers: nothing is held on symmetric sites.")
        return self.freedoms

    def index(self, level: Level) -> Int[Tensor, " rows"]:
        """The crystal of each row of a level."""
        counts = torch.tensor(self.rows_per_crystal(level), device=self.device, dtype=torch.long)
        crystals = torch.arange(len(self.sizes), device=self.device)
        return crystals.repeat_interleave(counts, output_size=self.rows(level))

    def broadcast(self, per_crystal: Tensor, level: Level) -> Tensor:
        """A value per crystal repeated for each of its rows at a level."""
        if level == "crystal":
            return per_crystal
        if level != "atom":
            return per_crystal[self.index(level)]
        # Static shapes for compiled training: no gather with a data-dependent index.
        if len(self.blocks) == 1:
            return per_crystal.repeat_interleave(self.sizes[0], dim=0)
        return per_crystal[self.batch_index]

    def centred(
        self, rows: Float[Tensor, "atoms width"], weights: Float[Tensor, " atoms"] | None = None
    ) -> Float[Tensor, "atoms width"]:
        """Atom rows without their mean over the atoms of each crystal.

        Args:
            rows: Of the atoms.
            weights: Of the atoms in that mean, at least 0; None if all count alike. A crystal whose
                weights are all 0 stays as it is.
        """
        parts = [block.view(rows) for block in self.blocks]
        if weights is None:
            means = [part.mean(1, keepdim=True) for part in parts]
        else:
            shares = [block.view(weights).unsqueeze(-1) for block in self.blocks]
            means = [
                (part * share).sum(1, keepdim=True)
                / share.sum(1, keepdim=True).clamp_min(torch.finfo(share.dtype).tiny)
                for part, share in zip(parts, shares, strict=True)
            ]
        moved = zip(parts, means, strict=True)
        return torch.cat([(part - mean).flatten(0, 1) for part, mean in moved])


def rows_of(
    num_atoms: Int[Tensor, " crystals"], wanted: Sequence[int] | Int[Tensor, " chosen"]
) -> tuple[Int[Tensor, " chosen"], Int[Tensor, " atoms"]]:
    """Positions of crystals as a tensor, and the rows of their atoms where all atoms are
    concatenated.

    Args:
        num_atoms: Atoms of each crystal.
        wanted: Positions of crystals, in any order.
    """
    chosen = torch.as_tensor(wanted, dtype=torch.long, device=num_atoms.device)
    counts = num_atoms[chosen]
    starts = (num_atoms.cumsum(0) - num_atoms)[chosen]
    within = torch.arange(int(counts.sum()), device=counts.device) - (
        counts.cumsum(0) - counts
    ).repeat_interleave(counts)
    return chosen, starts.repeat_interleave(counts) + within


@dataclass(frozen=True)
class CrystalBatch:
    """Crystals with their atoms concatenated.

    Args:
        lattice: Lattice vectors as rows, Å, shape (crystals, 3, 3).
        frac_coords: Fractional coordinates, shape (atoms, 3).
        species: Atomic numbers, 0 for a vacancy, shape (atoms,).
        num_atoms: Atoms of each crystal, shape (crystals,). May be 0 only for a crystal that was
            sampled empty.

    Raises:
        ShapeError: If the tensors do not fit together.
    """

    lattice: Float[Tensor, "crystals 3 3"]
    frac_coords: Float[Tensor, "atoms 3"]
    species: Int[Tensor, " atoms"]
    num_atoms: Int[Tensor, " crystals"]

    def __post_init__(self) -> None:
        total = int(self.num_atoms.sum())
        if (
            total != len(self.frac_coords)
            or total != len(self.species)
            or len(self.lattice) != len(self.num_atoms)
        ):
            raise ShapeError(
                f"num_atoms adds up to {total} for {len(self.num_atoms)} crystals, but there are "
                f"{len(self.frac_coords)} "
                f"coordinates, {len(self.species)} species and {len(self.lattice)} lattices. "
                "Every atom row must belong to one crystal; build batches with CrystalBatch.cat or "
                "crystal.convert."
            )

    def __len__(self) -> int:
        return len(self.num_atoms)

    @property
    def layout(self) -> Layout:
        """Where the atoms are. The batch must be sorted by size."""
        return Layout(tuple(self.num_atoms.tolist()), self.lattice.device, self.lattice.dtype)

    def to(
        self, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> "CrystalBatch":
        """The batch on a device, its floating point tensors in a dtype."""
        lattice, frac = (x.to(device=device, dtype=dtype) for x in (self.lattice, self.frac_coords))
        return CrystalBatch(lattice, frac, self.species.to(device), self.num_atoms.to(device))

    def select(self, crystals: Sequence[int] | Int[Tensor, " chosen"]) -> "CrystalBatch":
        """The crystals at these positions, in this order."""
        chosen, atoms = rows_of(self.num_atoms, crystals)
        return CrystalBatch(
            self.lattice[chosen],
            self.frac_coords[atoms],
            self.species[atoms],
            self.num_atoms[chosen],
        )

    def sorted(self) -> tuple["CrystalBatch", Int[Tensor, " crystals"]]:
        """The batch in order of size, and the positions that the crystals had before."""
        order = torch.argsort(self.num_atoms, stable=True)
        return self.select(order), order

    def split(self) -> list["CrystalBatch"]:
        """One batch per crystal."""
        return [self.select([i]) for i in range(len(self))]

    @staticmethod
    def cells(lattice: Float[Tensor, "crystals 3 3"]) -> "CrystalBatch":
        """Cells without atoms, for what reads nothing but the lattice."""
        nobody = torch.zeros(0, dtype=torch.long, device=lattice.device)
        return CrystalBatch(
            lattice, lattice.new_zeros(0, 3), nobody, nobody.new_zeros(len(lattice))
        )

    @staticmethod
    def cat(batches: Sequence["CrystalBatch"]) -> "CrystalBatch":
        """All crystals of several batches, in order."""
        names = [f.name for f in fields(CrystalBatch)]
        return CrystalBatch(
            **{name: torch.cat([getattr(b, name) for b in batches]) for name in names}
        )

"""Crystals as prototypes for others, sorted so that those for a composition are found at once."""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.prototypes.arrangements import num_assignments
from ase_crysdiff.prototypes.quantised import free_numbers_of, free_parameters, primitive_cell
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, Floats, Ints, space_group

#: Atomic numbers with their counts, ascending.
Formula = tuple[tuple[int, int], ...]

#: Energies above the hull are kept in these parts of 1 eV/atom; the last number is "not known".
PER_EV, UNKNOWN_ENERGY = 5_000, 2**16 - 1

#: Tensors of a library: name and type. Crystals are sorted by count pattern, within it by
#: arrangement, within it by energy; what is per site, per slot or per free number follows them.
TENSORS: Mapping[str, type[np.unsignedinteger]] = {
    "pattern_slots": np.uint8,  # of each count pattern: elements
    "pattern_arrangements": np.uint16,
    "pattern_counts": np.uint8,  # of each slot of each pattern: atoms
    "arrangement_crystals": np.uint32,
    "equivalent": np.uint8,  # of each arrangement: for each assignment the first equal to it
    "group": np.uint8,  # of each crystal
    "energy": np.uint16,
    "num_sites": np.uint8,
    "num_free": np.uint16,
    "species": np.uint8,  # of each slot of each crystal: atomic number
    "site": np.uint8,  # of each site: slot times 32, plus the place of its letter
    "free_numbers": np.uint16,
    "cell": np.uint16,  # free parameters of the conventional cell
    "names": np.uint8,  # zlib-compressed lines
}
#: What a slot is multiplied with in `site`; there are 27 letters.
SLOT = 32
#: Distances of all elements, the only tensor of floating point numbers.
DISTANCE = "distance"


@dataclass(frozen=True)
class Pattern:
    """The crystals of a library with the same counts.

    Args:
        counts: Atoms of each element per primitive cell, ascending: of each slot.
        first: Row of its first crystal in the library.
        index: Arrangement of each crystal, shape (crystals,).
        species: Atomic number in each slot, shape (crystals, slots).
        equivalent: First assignment that gives the same crystal, shape (arrangements, assignments).
    """

    counts: tuple[int, ...]
    first: int
    index: Ints
    species: Ints
    equivalent: Ints

    @property
    def rows(self) -> slice:
        """Its crystals in the library."""
        return slice(self.first, self.first + len(self.index))


class Library:
    """Crystals of known structure.

    Args:
        arrays: The tensors of `TENSORS` and `DISTANCE`.

    Raises:
        CheckpointError: If one is missing.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        missing = sorted({*TENSORS, DISTANCE} - set(arrays))
        if missing:
            raise CheckpointError(f"A library of prototypes lacks the tensors {missing}.")
        self._arrays = {name: arrays[name] for name in TENSORS}
        #: Of all elements by atomic number, shape (elements + 1, elements + 1).
        self.distance: Floats = arrays[DISTANCE].astype(float)

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> "Library":
        """From the tensors of a file of weights."""
        return Library({name: tensor.numpy() for name, tensor in tensors.items()})

    def tensors(self) -> dict[str, Tensor]:
        """For a file of weights."""
        found = {n: torch.from_numpy(self._arrays[n].astype(kind)) for n, kind in TENSORS.items()}
        return {**found, DISTANCE: torch.from_numpy(self.distance.astype(np.float32))}

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def group(self) -> Ints:
        """Number of each crystal's space group."""
        return self._arrays["group"].astype(np.int64)

    @cached_property
    def energy(self) -> Floats:
        """Energy of each crystal above the hull, eV/atom; NaN where it is not known."""
        kept = self._arrays["energy"]
        return np.where(kept == UNKNOWN_ENERGY, np.nan, kept / PER_EV)

    @cached_property
    def names(self) -> list[str]:
        """What the crystals are called where they come from."""
        text = zlib.decompress(self._arrays["names"].astype(np.uint8).tobytes()).decode()
        return text.split("\n")

    @cached_property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that occur."""
        return frozenset(np.unique(self._arrays["species"]).tolist())

    @cached_property
    def counts(self) -> list[tuple[int, ...]]:
        """Count patterns, in their order."""
        ends = self._arrays["pattern_slots"].astype(np.int64).cumsum()
        counts = self._arrays["pattern_counts"].tolist()
        starts = [0, *ends.tolist()]
        return [tuple(counts[a:b]) for a, b in pairwise(starts)]

    @property
    def num_arrangements(self) -> int:
        """How many arrangements the crystals have."""
        return len(self._arrays["arrangement_crystals"])

    def pattern(self, counts: tuple[int, ...]) -> Pattern | None:
        """The crystals with these counts, ascending; None if there are none."""
        number = self._numbers.get(counts)
        return None if number is None else self._pattern(number)

    def pattern_of(self, row: int) -> Pattern:
        """The pattern of a crystal."""
        return self._pattern(int(np.searchsorted(self._starts["crystal"], row, "right")) - 1)

    def crystal(self, row: int) -> SymmetricCrystal:
        """A crystal, in its primitive standard cell."""
        group = int(self.group[row])
        species = self.species_of(row)
        number, cell = (int(self._offsets[name][row]) for name in ("free", "cell"))
        numbers = free_numbers_of(
            self._arrays["free_numbers"][number : int(self._offsets["free"][row + 1])].astype(int)
        )
        table, sites = space_group(group), []
        for slot, letter in self._sites(row):
            free = table.positions[letter].free
            sites.append(((int(species[slot]), LETTERS[letter]), numbers[:free]))
            numbers = numbers[free:]
        kept = self._arrays["cell"][cell : int(self._offsets["cell"][row + 1])].tolist()
        return SymmetricCrystal.of_sites(group, primitive_cell(group, kept), sites)

    def scaffold(self, row: int) -> Scaffold:
        """The space group and the sites of a crystal."""
        species = self.species_of(row)
        sites = ((int(species[slot]), LETTERS[letter]) for slot, letter in self._sites(row))
        return Scaffold(int(self.group[row]), tuple(sites))

    def species_of(self, row: int) -> Ints:
        """Atomic numbers in the slots of a crystal, shape (slots,)."""
        start, stop = self._offsets["slot"][row : row + 2].tolist()
        return self._arrays["species"][start:stop].astype(np.int64)

    def species_in(self, rows: Ints) -> Ints:
        """Atomic numbers in the slots of crystals with equally many, shape (rows, slots)."""
        starts = self._offsets["slot"][rows]
        slots = np.arange(int(self.num_slots[rows[0]]) if len(rows) else 0)
        return self._arrays["species"][starts[:, None] + slots].astype(np.int64)

    def prototype(self, row: int) -> Prototype:
        """The canonical prototype of a crystal."""
        parts = [""] * int(self.num_slots[row])
        for slot, letter in self._sites(row):
            parts[slot] += LETTERS[letter]
        return _canonical(int(self.group[row]), tuple(parts))

    @cached_property
    def formulas(self) -> frozenset[Formula]:
        """Reduced formulas of all crystals: atomic numbers with their counts, ascending."""
        found: set[Formula] = set()
        for number, counts in enumerate(self.counts):
            found |= {
                reduced_formula(zip(species, counts, strict=True))
                for species in self._pattern(number).species.tolist()
            }
        return frozenset(found)

    @cached_property
    def num_slots(self) -> Ints:
        """Elements of each crystal."""
        slots = self._arrays["pattern_slots"].astype(np.int64)
        return np.repeat(slots, np.diff(self._starts["crystal"]))

    @cached_property
    def num_sites(self) -> Ints:
        """Occupied sites of each crystal."""
        return self._arrays["num_sites"].astype(np.int64)

    @cached_property
    def num_atoms(self) -> Ints:
        """Atoms of each crystal's primitive cell."""
        atoms = np.array([sum(counts) for counts in self.counts], dtype=np.int64)
        return np.repeat(atoms, np.diff(self._starts["crystal"]))

    def _sites(self, row: int) -> list[tuple[int, int]]:
        """Slot and place of the letter of each site of a crystal."""
        start, stop = self._offsets["site"][row : row + 2].tolist()
        return [divmod(site, SLOT) for site in self._arrays["site"][start:stop].tolist()]

    @cached_property
    def _numbers(self) -> dict[tuple[int, ...], int]:
        return {counts: number for number, counts in enumerate(self.counts)}

    def _pattern(self, number: int) -> Pattern:
        counts, starts = self.counts[number], self._starts
        first, stop = starts["crystal"][number : number + 2].tolist()
        begin, end = starts["arrangement"][number : number + 2].tolist()
        start, last = self._offsets["slot"][[first, stop]].tolist()
        sizes = self._arrays["arrangement_crystals"][begin:end].astype(np.int64)
        species = self._arrays["species"][start:last].astype(np.int64)
        entry, width = int(starts["equivalent"][number]), num_assignments(counts)
        equivalent = self._arrays["equivalent"][entry : entry + (end - begin) * width]
        return Pattern(
            counts,
            first,
            np.repeat(np.arange(end - begin), sizes),
            species.reshape(-1, len(counts)),
            equivalent.reshape(-1, width).astype(np.int64),
        )

    @cached_property
    def _starts(self) -> dict[str, Ints]:
        """Where the arrangements, the crystals and the entries of `equivalent` of each pattern
        begin.
        """
        arrangements = _starts(self._arrays["pattern_arrangements"])
        crystals = _starts(self._arrays["arrangement_crystals"])
        widths = np.array([num_assignments(counts) for counts in self.counts], dtype=np.int64)
        return {
            "arrangement": arrangements,
            "crystal": crystals[arrangements],
            "equivalent": _starts(np.diff(arrangements) * widths),
        }

    @cached_property
    def _offsets(self) -> dict[str, Ints]:
        """Where the slots, sites, free numbers and cell parameters of each crystal begin."""
        parameters = np.array([0] + [len(free_parameters(n)) for n in range(1, 231)])
        return {
            "slot": _starts(self.num_slots),
            "site": _starts(self._arrays["num_sites"]),
            "free": _starts(self._arrays["num_free"]),
            "cell": _starts(parameters[self.group]),
        }


def reduced_formula(contents: Iterable[tuple[int, int]]) -> Formula:
    """Atomic numbers with their counts, ascending, divided by what divides all of them."""
    pairs = sorted(contents)
    divisor = math.gcd(*(count for _, count in pairs))
    return tuple((z, count // divisor) for z, count in pairs)


@cache
def _canonical(group: int, parts: tuple[str, ...]) -> Prototype:
    return Prototype(group, parts).canonical()


def _starts(sizes: NDArray[Any]) -> Ints:
    return np.concatenate([[0], sizes.astype(np.int64).cumsum()])

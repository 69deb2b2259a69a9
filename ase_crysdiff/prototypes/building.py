"""From crystals with known symmetry to a library of prototypes."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.progress import tqdm
from ase_crysdiff.prototypes.arrangements import Arrangements, arrange, assignments, num_assignments
from ase_crysdiff.prototypes.distance import element_distance
from ase_crysdiff.prototypes.fingerprint import fingerprint
from ase_crysdiff.prototypes.library import DISTANCE, PER_EV, SLOT, TENSORS, UNKNOWN_ENERGY, Library
from ase_crysdiff.prototypes.quantised import quantised_cell, quantised_numbers
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.tables import LETTERS, Floats, Ints

#: Elements can be given to the slots of a pattern in at most so many ways: five elements of equal
#: counts are looked at in every order, six are left out.
_MOST_ASSIGNMENTS = 120


@dataclass(frozen=True)
class _Entry:
    """A crystal with its elements in the order of their counts, then of their numbers.

    Args:
        crystal: The crystal.
        name: What it is called.
        energy: Above the hull, eV/atom; NaN if it is not known.
        species: Atomic numbers.
        cell: Quantised free parameters of its conventional cell.
    """

    crystal: SymmetricCrystal
    name: str
    energy: float
    species: tuple[int, ...]
    cell: list[int]


def build(
    crystals: PackedScaffolds,
    names: Sequence[str],
    energies: Sequence[float],
    *,
    largest_energy: float,
    progress: bool | None = None,
) -> Library:
    """A library of crystals.

    Left out are crystals higher above the hull than `largest_energy`, with an edge beyond 65 Å, or
    with more elements of equal counts than can be given to their places in 120 ways.

    Args:
        crystals: With their symmetry.
        names: What they are called where they come from.
        energies: Of each above the hull, eV/atom; NaN where it is not known.
        largest_energy: See above, eV/atom.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Raises:
        InputError: If no crystal is left.
    """
    found: defaultdict[tuple[int, ...], list[_Entry]] = defaultdict(list)
    for row, (name, energy) in enumerate(zip(names, energies, strict=True)):
        if energy > largest_energy:
            continue
        crystal = crystals.crystal(row)
        counts = crystal.scaffold.counts
        species = tuple(sorted(counts, key=lambda z: (counts[z], z)))
        pattern = tuple(counts[z] for z in species)
        cell = quantised_cell(crystal.scaffold.group, crystal.conventional)
        if cell is not None and num_assignments(pattern) <= _MOST_ASSIGNMENTS:
            found[pattern].append(_Entry(crystal, name, float(energy), species, cell))
    if not found:
        raise InputError("No crystal is left for a library of prototypes. Give others.")
    disable = None if progress is None else not progress
    bar = tqdm(total=sum(map(len, found.values())), unit=" crystals", disable=disable)
    groups = []
    with bar:
        for pattern in sorted(found, key=lambda counts: (sum(counts), counts)):
            groups.append((pattern, *_sorted(pattern, found[pattern])))
            bar.update(len(found[pattern]))
    return _library(groups)


def _sorted(
    counts: tuple[int, ...], entries: list[_Entry]
) -> tuple[list[tuple[_Entry, tuple[int, ...]]], Arrangements]:
    """Crystals by arrangement and energy, each with its elements in the slots' order."""
    entries = sorted(entries, key=lambda e: (np.isnan(e.energy), e.energy, e.name))
    prints = np.array([_fingerprint(entry) for entry in entries])
    arranged = arrange(prints, counts, range(len(entries)))
    ways = assignments(counts)
    order = np.argsort(arranged.index, kind="stable")
    rows = []
    for i in order.tolist():
        way = ways[arranged.order[i]].tolist()
        rows.append((entries[i], tuple(entries[i].species[place] for place in way)))
    kept = Arrangements(arranged.index[order], arranged.order[order], arranged.equivalent)
    return rows, kept


def _fingerprint(entry: _Entry) -> Floats:
    places = {z: slot for slot, z in enumerate(entry.species)}
    slots = np.array([places[z] for z in entry.crystal.species.tolist()])
    return fingerprint(entry.crystal.lattice, entry.crystal.frac_coords, slots, len(entry.species))


def _library(
    groups: Sequence[tuple[tuple[int, ...], list[tuple[_Entry, tuple[int, ...]]], Arrangements]],
) -> Library:
    rows = [row for _, entries, _ in groups for row in entries]
    crystals = [entry.crystal for entry, _ in rows]
    sites = [(species, site) for (e, species) in rows for site in e.crystal.scaffold.sites]
    energy = np.array([entry.energy for entry, _ in rows])
    kept = np.clip(np.rint(np.nan_to_num(energy) * PER_EV), 0, UNKNOWN_ENERGY - 1)
    distance = element_distance(
        (arranged.index, np.array([species for _, species in entries]))
        for _, entries, arranged in groups
    )
    text = "\n".join(entry.name for entry, _ in rows)
    numbers: dict[str, Iterable[int] | Ints] = {
        "pattern_slots": [len(counts) for counts, _, _ in groups],
        "pattern_arrangements": [len(a.equivalent) for _, _, a in groups],
        "pattern_counts": [count for counts, _, _ in groups for count in counts],
        "arrangement_crystals": [
            count
            for _, _, a in groups
            for count in np.bincount(a.index, minlength=len(a.equivalent)).tolist()
        ],
        "equivalent": np.concatenate([a.equivalent.ravel() for _, _, a in groups]),
        "group": [crystal.scaffold.group for crystal in crystals],
        "energy": np.where(np.isnan(energy), UNKNOWN_ENERGY, kept),
        "num_sites": [len(crystal.scaffold.sites) for crystal in crystals],
        "num_free": [crystal.scaffold.free for crystal in crystals],
        "species": [z for _, species in rows for z in species],
        "site": [SLOT * species.index(z) + LETTERS.index(x) for species, (z, x) in sites],
        "free_numbers": np.concatenate([quantised_numbers(c.free_numbers) for c in crystals]),
        "cell": [value for entry, _ in rows for value in entry.cell],
        "names": np.frombuffer(zlib.compress(text.encode(), 9), np.uint8),
    }
    arrays = {name: np.asarray(numbers[name]).astype(kind) for name, kind in TENSORS.items()}
    return Library({**arrays, DISTANCE: distance})

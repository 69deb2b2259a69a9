"""From archives of labels to one packed file, with first-principles formation energies beside or
inside them.

Several levels of theory may share a file; each keeps its own energies, and a network with a readout
for each learns from all. A level of uncorrected PBE energies is brought to the Materials Project's
scale, see `energy_corrections`.

With one level only, known formation energies may be folded in. A cheaper method is off by nearly
the same amount for a crystal and for its slightly moved copies. So the difference between the known
formation energy of a crystal and that of its label is added to all copies of the crystal with its
composition: the surface is shifted as a whole and gets no steps. Where no energy is known, and for
copies with another composition, the correction is linear in the composition, and that is what the
fitted references of the elements are: zero after subtraction.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.expansion import expanded, length_scales
from ase_crysdiff.data.label_sources import (
    Arrays,
    LabelSource,
    joined,
    read_arrays,
    read_energies,
    read_free_atoms,
    rows_of,
)
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references
from ase_crysdiff.potentials.energy_corrections import correction, correction_of, reads_bonds

#: A crystal whose energy the first fit of the references misses by as much does not count in the
#: second, eV/atom.
_MISTAKEN_REFERENCE = 0.3
#: A difference beyond this is a mistaken match, not an error of the labels, eV/atom.
_LARGEST = 0.5

References = Mapping[int, float]


def pack_labels(
    sources: Sequence[Path | LabelSource],
    energies: Path | Sequence[Path] | None = None,
    references: References | None = None,
    *,
    label_sources: Collection[str] = (),
    uncorrected: Collection[str] = (),
    leave_out: Collection[str] = (),
    free_atoms: Path | None = None,
    expanded_copies: int = 0,
) -> tuple[Labels, dict[str, float | int]]:
    """Reads archives of labels and corrects their energies.

    Args:
        sources: `.npz` archives with the arrays of the data pack's description, or packed crystals
            whose energies are known. A crystal and its copies may be spread over them.
        energies: CSV tables with columns material_id and formation_energy_per_atom (eV/atom); None
            corrects nothing. With several levels they only give the references of each, and the
            energies of packed crystals.
        references: Energies of the elements by atomic number, eV, from another set; None fits them
            to this one.
        label_sources: Only energies of these, by the tables' column label_source; empty for all.
        uncorrected: Levels, or names of files, whose energies lack the corrections of the Materials
            Project.
        leave_out: Materials none of whose configurations are packed.
        free_atoms: CSV table with columns symbol and eV_per_atom, heats of formation of free atoms;
            goes into the metadata.
        expanded_copies: How many expanded copies each unperturbed crystal of the first level gets,
            with energies on the way to its free atoms; needs energies and free atoms.

    Returns:
        The labels, whose metadata hold the references, and numbers for a report.

    Raises:
        InputError: If an archive lacks arrays, they do not fit together, a level is not known, or
            there is nothing to make expanded copies with.
    """
    files = [s if isinstance(s, LabelSource) else LabelSource(s) for s in sources]
    tables = [energies] if isinstance(energies, Path) else list(energies or ())
    known = read_energies(tables, label_sources)
    levels = list(dict.fromkeys(source.level for source in files))
    unknown = sorted(set(uncorrected) - set(levels) - {source.path.name for source in files})
    if unknown:
        raise InputError(
            f"There is no level or file {', '.join(unknown)}; there are the levels {levels}."
        )
    if expanded_copies and (free_atoms is None or not known):
        raise InputError(
            "Expanded copies lead from crystals to free atoms: give formation energies "
            "(--energies) and heats of formation of free atoms (--free-atoms), too."
        )
    parts: list[Arrays] = []
    report: dict[str, float | int] = {}
    elements: dict[str, dict[int, float]] = {}
    for level in levels:
        own = [source for source in files if source.level == level]
        arrays, words = _of_level(own, known, uncorrected, leave_out)
        if known:
            elements[level], found = _compare(arrays, known, references, len(levels) == 1)
            words |= found
        report |= {f"{level} {word}".strip(): value for word, value in words.items()}
        parts.append(arrays)
    metadata = {"source": ", ".join(source.path.name for source in files)}
    if known:
        metadata["references"] = json.dumps(elements if len(levels) > 1 else elements[levels[0]])
        metadata["energies"] = ", ".join(table.name for table in tables)
    if free_atoms is not None:
        heats = read_free_atoms(free_atoms)
        metadata["free_atoms"] = json.dumps(heats)
        if expanded_copies:
            made = _expanded(
                parts, [elements.get(name, {}) for name in levels], heats, expanded_copies
            )
            parts[0] = joined([parts[0], made])
            report |= {f"{levels[0]} expanded": len(made["kind"])}
    sizes = [len(part["kind"]) for part in parts]
    numbers = np.repeat(np.arange(len(levels)), sizes) if levels != [""] else None
    return _labels(joined(parts), numbers, levels, metadata), report


def _of_level(
    sources: Sequence[LabelSource],
    known: Mapping[str, float],
    uncorrected: Collection[str],
    leave_out: Collection[str],
) -> tuple[Arrays, dict[str, float | int]]:
    """The arrays of one level, with corrections where they are wanting, and numbers for a report.

    Args:
        sources: Of the level.
        known: Formation energies by material, eV/atom.
        uncorrected: Levels and names of files whose energies lack the corrections.
        leave_out: Materials to leave out.
    """
    read = [read_arrays(source, known) for source in sources]
    whole = joined(read)
    kept = ~np.isin(whole["material_id"], sorted(leave_out))
    plain = [bool({source.level, source.path.name} & set(uncorrected)) for source in sources]
    wanting = np.repeat(plain, [len(part["kind"]) for part in read])[kept]
    arrays = rows_of(whole, kept)
    arrays["energy_per_atom"] = arrays["energy_per_atom"].astype(np.float64)
    if wanting.any():
        arrays["energy_per_atom"][wanting] += corrections(rows_of(arrays, wanting))
    words: dict[str, float | int] = {"configurations": len(arrays["kind"])}
    if not kept.all():
        words["left out"] = int((~kept).sum())
    return arrays, words


def _expanded(
    parts: Sequence[Arrays], elements: Sequence[References], heats: References, copies: int
) -> Arrays:
    """Expanded copies of the crystals of the first level; how soft they are, any level may tell.

    Args:
        parts: Arrays of the levels.
        elements: References of the elements at each level, eV.
        heats: Of formation of the free atoms, eV.
        copies: Of each crystal.
    """
    free = [{z: e + heats[z] for z, e in known.items() if z in heats} for known in elements]
    scales: dict[str, float] = {}
    for arrays, atoms in reversed(list(zip(parts, free, strict=True))):
        scales |= length_scales(arrays, atoms)
    return expanded(parts[0], scales, free[0], copies, np.random.default_rng(0))


def corrections(arrays: Arrays) -> np.ndarray:
    """What the Materials Project's scheme adds to each configuration, eV/atom: one number for all
    copies of a crystal with one composition, read off the one of lowest energy.

    Args:
        arrays: Of a level.
    """
    counts = arrays["num_atoms"].astype(np.int64)
    starts = counts.cumsum() - counts
    ids, energies = arrays["material_id"].tolist(), arrays["energy_per_atom"]
    species = np.split(arrays["atomic_numbers"].astype(int), starts[1:])
    lowest: dict[tuple[str, str], int] = {}
    keys = [(name, _formula(numbers)) for name, numbers in zip(ids, species, strict=True)]
    for row, key in enumerate(keys):
        if key not in lowest or energies[row] < energies[lowest[key]]:
            lowest[key] = row
    found: dict[tuple[str, str], float] = {}
    for key, row in lowest.items():
        numbers = species[row].tolist()
        if not reads_bonds(numbers):
            found[key] = correction_of(key[1])
            continue
        coords = arrays["frac_coords"][starts[row] : starts[row] + counts[row]]
        elements = [Element.from_Z(z) for z in numbers]
        found[key] = correction(Structure(Lattice(arrays["lattice"][row]), elements, coords))
    return np.array([found[key] for key in keys])


def _formula(numbers: np.ndarray) -> str:
    """Elements with their counts over the largest common divisor, such as `Na1 Cl1`."""
    elements, counts = np.unique(numbers, return_counts=True)
    counts = counts // np.gcd.reduce(counts)
    return " ".join(
        f"{Element.from_Z(int(z)).symbol}{n}" for z, n in zip(elements, counts, strict=True)
    )


def _compare(
    arrays: Arrays, known: Mapping[str, float], references: References | None, fold_in: bool
) -> tuple[dict[int, float], dict[str, float | int]]:
    """References of a level with which its energies give the known formation energies best, and
    numbers for a report.

    Args:
        arrays: Of the level; energies are changed if known ones are folded in.
        known: Formation energies by material, eV/atom.
        references: Energies of the elements that are given, eV.
        fold_in: Whether to shift crystals and their copies to the known energies.
    """
    counts = arrays["num_atoms"].astype(np.int64)
    composition = np.zeros((len(counts), NUM_SPECIES))
    owner = np.repeat(np.arange(len(counts)), counts)
    np.add.at(composition, (owner, arrays["atomic_numbers"].astype(int)), 1)
    fractions, per_atom = composition / counts[:, None], arrays["energy_per_atom"]
    ids = arrays["material_id"].tolist()
    target = np.array([known.get(i, np.nan) for i in ids])
    original = arrays["kind"] == Perturbation.UNPERTURBED
    if references is None:
        rows = original & np.isfinite(target)
        fitted = least_squares_references(
            fractions[rows], (per_atom - target)[rows], RIDGE, _MISTAKEN_REFERENCE
        )
    else:
        fitted = np.array([references.get(z, np.nan) for z in range(NUM_SPECIES)])
    difference = np.where(original, target + fractions @ np.nan_to_num(fitted) - per_atom, np.nan)
    difference[np.abs(difference) > _LARGEST] = np.nan
    by_id = {i: d for i, d in zip(ids, difference, strict=True) if np.isfinite(d)}
    report: dict[str, float | int] = {"materials with energies": len(by_id)}
    report |= {"mean |difference| eV/atom": float(np.mean([abs(d) for d in by_id.values()]))}
    if fold_in:
        shift = np.array([by_id.get(i, 0.0) for i in ids]) * _same_composition(arrays["kind"])
        arrays["energy_per_atom"] = per_atom + shift
        report |= {"corrected": int((shift != 0).sum())}
    return {z: round(float(e), 6) for z, e in enumerate(fitted) if np.isfinite(e)}, report


def _labels(
    arrays: Arrays, level: np.ndarray | None, levels: Sequence[str], metadata: Mapping[str, str]
) -> Labels:
    counts = torch.from_numpy(arrays["num_atoms"].astype(np.int64))
    owner = torch.arange(len(counts)).repeat_interleave(counts)
    lattice = torch.from_numpy(arrays["lattice"].astype(np.float64))
    frac = torch.from_numpy(arrays["frac_coords"].astype(np.float64))
    configurations = Configurations(
        (frac.unsqueeze(1) @ lattice[owner]).squeeze(1).float(),
        lattice.float(),
        torch.ones(len(counts), 3, dtype=torch.bool),
        torch.from_numpy(arrays["atomic_numbers"].astype(np.int64)),
        counts,
    )
    return Labels(
        configurations,
        torch.from_numpy(arrays["energy_per_atom"].astype(np.float64)) * counts,
        torch.from_numpy(arrays["forces"].astype(np.float32)),
        torch.from_numpy(arrays["stress"].astype(np.float32)),
        torch.from_numpy(arrays["kind"].astype(np.int64)),
        metadata,
        None if level is None else torch.from_numpy(level.astype(np.int64)),
        tuple(levels),
    )


def references_of(path: Path) -> dict[int, float]:
    """The references of the elements that a packed file holds, by atomic number, eV.

    Raises:
        InputError: If it holds none.
    """
    text = Labels.load(path).metadata.get("references")
    if text is None:
        raise InputError(f"{path} holds no references; it was packed without --energies.")
    return {int(z): float(e) for z, e in json.loads(text).items()}


def _same_composition(kinds: np.ndarray) -> np.ndarray:
    """Whether each configuration has the composition of the crystal that its identifier names.

    Args:
        kinds: Numbers of perturbations, shape (configurations,); unknown ones are taken to keep it.
    """
    others = [p.value for p in Perturbation if not p.keeps_composition]
    return ~np.isin(kinds, others)

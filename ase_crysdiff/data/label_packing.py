"""From arrays of labels to one packed file, with first-principles formation energies folded in.

A cheaper method is off by nearly the same amount for a crystal and for its slightly moved copies.
So the difference between the known formation energy of a crystal and that of its label is added to
all copies of the crystal with its composition: the surface is shifted as a whole and gets no steps.
Where no energy is known, and for copies with another composition, the correction is linear in the
composition, and that is what the fitted references of the elements are: zero after subtraction.
"""

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.element_references import RIDGE, least_squares_references

_FIELDS = (
    "material_id",
    "kind",
    "num_atoms",
    "lattice",
    "energy_per_atom",
    "stress",
    "frac_coords",
    "atomic_numbers",
    "forces",
)
#: A crystal whose energy the first fit of the references misses by as much does not count in the
#: second, eV/atom.
_MISTAKEN_REFERENCE = 0.3
#: A difference beyond this is a mistaken match, not an error of the labels, eV/atom.
_LARGEST = 0.5


def pack_labels(
    sources: Sequence[Path],
    energies: Path | None = None,
    references: Mapping[int, float] | None = None,
) -> tuple[Labels, dict[str, float | int]]:
    """Reads archives of labels and corrects their energies.

    Args:
        sources: `.npz` archives with the arrays of the data pack's description. A crystal and its
            copies may be spread over them.
        energies: CSV table with columns material_id and formation_energy_per_atom (eV/atom); None
            corrects nothing.
        references: Energies of the elements by atomic number, eV, from another set; None fits them
            to this one.

    Returns:
        The labels, whose metadata hold the references, and numbers for a report.

    Raises:
        InputError: If the archive lacks arrays or they do not fit together.
    """
    parts = [_read(source) for source in sources]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in _FIELDS}
    counts = arrays["num_atoms"].astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    composition = np.zeros((len(counts), NUM_SPECIES))
    np.add.at(composition, (owner, arrays["atomic_numbers"].astype(int)), 1)
    fractions = composition / counts[:, None]
    per_atom = arrays["energy_per_atom"].astype(np.float64)
    report: dict[str, float | int] = {"configurations": len(counts)}
    metadata = {"source": ", ".join(source.name for source in sources)}
    if energies is not None:
        known = read_energies(energies)
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
        difference = np.where(
            original, target + fractions @ np.nan_to_num(fitted) - per_atom, np.nan
        )
        difference[np.abs(difference) > _LARGEST] = np.nan
        by_id = {i: d for i, d in zip(ids, difference, strict=True) if np.isfinite(d)}
        shift = np.array([by_id.get(i, 0.0) for i in ids]) * _same_composition(arrays["kind"])
        per_atom = per_atom + shift
        report |= {"corrected": int((shift != 0).sum()), "materials with energies": len(by_id)}
        report |= {"mean |difference| eV/atom": float(np.mean([abs(d) for d in by_id.values()]))}
        metadata["references"] = json.dumps(
            {z: round(float(e), 6) for z, e in enumerate(fitted) if np.isfinite(e)}
        )
        metadata["energies"] = energies.name
    lattice = torch.from_numpy(arrays["lattice"].astype(np.float64))
    frac = torch.from_numpy(arrays["frac_coords"].astype(np.float64))
    positions = (frac.unsqueeze(1) @ lattice[torch.from_numpy(owner)]).squeeze(1)
    configurations = Configurations(
        positions.float(),
        lattice.float(),
        torch.ones(len(counts), 3, dtype=torch.bool),
        torch.from_numpy(arrays["atomic_numbers"].astype(np.int64)),
        torch.from_numpy(counts),
    )
    labels = Labels(
        configurations,
        torch.from_numpy(per_atom * counts).double(),
        torch.from_numpy(arrays["forces"].astype(np.float32)),
        torch.from_numpy(arrays["stress"].astype(np.float32)),
        torch.from_numpy(arrays["kind"].astype(np.int64)),
        metadata,
    )
    return labels, report


def references_of(path: Path) -> dict[int, float]:
    """The references of the elements that a packed file holds, by atomic number, eV.

    Raises:
        InputError: If it holds none.
    """
    text = Labels.load(path).metadata.get("references")
    if text is None:
        raise InputError(f"{path} holds no references; it was packed without --energies.")
    return {int(z): float(e) for z, e in json.loads(text).items()}


def read_energies(path: Path) -> dict[str, float]:
    """Formation energy per atom by material, eV, of the rows that have one.

    Raises:
        InputError: If the table lacks the columns.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        reader = csv.DictReader(file)
        if not {"material_id", "formation_energy_per_atom"} <= set(reader.fieldnames or ()):
            raise InputError(
                f"{path} has columns {reader.fieldnames}, expected material_id and "
                "formation_energy_per_atom."
            )
        rows = [(row["material_id"], row["formation_energy_per_atom"]) for row in reader]
    return {i: float(e) for i, e in rows if e not in ("", "nan")}


def _same_composition(kinds: np.ndarray) -> np.ndarray:
    """Whether each configuration has the composition of the crystal that its identifier names.

    Args:
        kinds: Numbers of perturbations, shape (configurations,); unknown ones are taken to keep it.
    """
    others = [p.value for p in Perturbation if not p.keeps_composition]
    return ~np.isin(kinds, others)


def _read(source: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(source, allow_pickle=False) as archive:
            missing = [name for name in _FIELDS if name not in archive]
            arrays = {} if missing else {name: archive[name] for name in _FIELDS}
    except (OSError, ValueError) as error:
        raise InputError(f"{source} cannot be read as an archive of labels ({error}).") from error
    if missing:
        raise InputError(f"{source} lacks {missing}; an archive of labels has {list(_FIELDS)}.")
    arrays["material_id"] = arrays["material_id"].astype(
        np.str_
    )  # some archives hold bytes, which do not mix with text
    atoms = int(arrays["num_atoms"].sum())
    if any(len(arrays[name]) != atoms for name in ("frac_coords", "atomic_numbers", "forces")):
        raise InputError(
            f"{source}: num_atoms adds up to {atoms}, but there are {len(arrays['forces'])} forces."
        )
    return arrays

"""What labels are read from: archives of labelled configurations, and packed crystals of which the
energy alone is known.
"""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ase_crysdiff.crystal.elements import atomic_number
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.perturbations import Perturbation
from ase_crysdiff.data.reading.tables import open_table
from ase_crysdiff.errors import InputError

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
_OF_ATOMS = ("frac_coords", "atomic_numbers", "forces")
#: Column of formation energies in tables, eV/atom.
ENERGY = "formation_energy_per_atom"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class LabelSource:
    """A file of labels.

    Args:
        path: `.npz` archive of labels, or `.safetensors` of packed crystals.
        level: Name of the level of theory; empty where there is one only.
    """

    path: Path
    level: str = ""

    @staticmethod
    def parse(text: str) -> "LabelSource":
        """A source from `FILE` or `LEVEL=FILE`."""
        level, _, path = text.rpartition("=")
        return LabelSource(Path(path), level)


def read_arrays(source: LabelSource, energies: Mapping[str, float]) -> Arrays:
    """The arrays of a source, those of the data pack's description of labels.

    Args:
        source: Archive, or packed crystals; the latter give unperturbed configurations with their
            formation energy, whose forces and stress are NaN.
        energies: Formation energies of packed crystals by name, eV/atom; those that the file brings
            if this is empty.

    Raises:
        InputError: If the file lacks arrays, or they do not fit together.
    """
    if source.path.suffix == ".npz":
        return _archive(source.path)
    return _crystals(source.path, energies)


def _archive(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in _FIELDS if name not in archive]
            arrays = {} if missing else {name: archive[name] for name in _FIELDS}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an archive of labels ({error}).") from error
    if missing:
        raise InputError(f"{path} lacks {missing}; an archive of labels has {list(_FIELDS)}.")
    # Some archives hold bytes, which do not mix with text.
    arrays["material_id"] = arrays["material_id"].astype(np.str_)
    atoms = int(arrays["num_atoms"].sum())
    if any(len(arrays[name]) != atoms for name in _OF_ATOMS):
        raise InputError(
            f"{path}: num_atoms adds up to {atoms}, but there are {len(arrays['forces'])} forces."
        )
    return arrays


def _crystals(path: Path, energies: Mapping[str, float]) -> Arrays:
    packed = PackedCrystals.load(path)
    if not packed.names:
        raise InputError(
            f"{path} does not say what its crystals are called, so that their energies cannot be "
            "found. Pack it anew: crysdiff pack TABLE.csv -o crystals.safetensors"
        )
    batch, unknown = packed.batch, float("nan")
    own = packed.values.get(ENERGY, torch.full((len(packed),), unknown)).double().numpy()
    energy = np.array([energies.get(n, unknown) for n in packed.names]) if energies else own
    counts, sets = batch.num_atoms.numpy(), len(packed)
    arrays = {
        "material_id": np.array(packed.names, dtype=np.str_),
        "kind": np.full(sets, Perturbation.UNPERTURBED.value),
        "num_atoms": counts,
        "lattice": batch.lattice.numpy(),
        "energy_per_atom": energy,
        "stress": np.full((sets, 3, 3), unknown),
        "frac_coords": batch.frac_coords.numpy(),
        "atomic_numbers": batch.species.numpy(),
        "forces": np.full((int(counts.sum()), 3), unknown),
    }
    return rows_of(arrays, np.isfinite(energy))


def rows_of(arrays: Arrays, which: np.ndarray) -> Arrays:
    """The configurations for which the mask is true.

    Args:
        arrays: Of a source.
        which: Shape (configurations,).
    """
    atoms = np.repeat(which, arrays["num_atoms"].astype(np.int64))
    return {n: a[atoms] if n in _OF_ATOMS else a[which] for n, a in arrays.items()}


def joined(parts: Sequence[Arrays]) -> Arrays:
    """The configurations of several sources, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in _FIELDS}


def read_energies(paths: Iterable[Path], kinds: Collection[str] = ()) -> dict[str, float]:
    """Formation energy per atom by material, eV, of the rows that have one.

    Args:
        paths: CSV tables with columns material_id and formation_energy_per_atom; later ones come
            first where several know a material.
        kinds: Only rows whose column label_source is one of these; empty for all.

    Raises:
        InputError: If a table lacks the columns.
    """
    needed = {"material_id", ENERGY} | ({"label_source"} if kinds else set())
    found: dict[str, float] = {}
    for path in paths:
        with open_table(path) as file:
            reader = csv.DictReader(file)
            if not needed <= set(reader.fieldnames or ()):
                raise InputError(
                    f"{path} has columns {reader.fieldnames}, expected {' and '.join(needed)}."
                )
            for row in reader:
                if row[ENERGY] not in ("", "nan") and (not kinds or row["label_source"] in kinds):
                    found[row["material_id"]] = float(row[ENERGY])
    return found


def read_free_atoms(path: Path) -> dict[int, float]:
    """Heat of formation of the free atom of each element, eV, by atomic number.

    Raises:
        InputError: If the table lacks the columns symbol and eV_per_atom.
    """
    with open_table(path) as file:
        reader = csv.DictReader(file)
        if not {"symbol", "eV_per_atom"} <= set(reader.fieldnames or ()):
            raise InputError(
                f"{path} has columns {reader.fieldnames}, expected symbol and eV_per_atom."
            )
        return {atomic_number(row["symbol"]): float(row["eV_per_atom"]) for row in reader}


def read_names(paths: Iterable[Path]) -> set[str]:
    """The materials that files name: archives of labels, tables with a column material_id, and
    texts with a name per line.

    Raises:
        InputError: If a file is missing, or a table lacks the column.
    """
    found: set[str] = set()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        if path.suffix == ".npz":
            found |= set(_archive(path)["material_id"].tolist())
        elif path.name.endswith((".csv", ".csv.gz")):
            with open_table(path) as file:
                reader = csv.DictReader(file)
                if "material_id" not in (reader.fieldnames or ()):
                    raise InputError(
                        f"{path} has columns {reader.fieldnames}, expected material_id."
                    )
                found |= {row["material_id"] for row in reader}
        else:
            found |= set(path.read_text().split())
    return found

"""Tables of tasks, row by row, before a crystal is read: many rows can be passed over in seconds.

Each function takes the folder of data packs last, so that all but that can be bound.
"""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.data.reading.source import Source
from ase_crysdiff.data.reading.tables import open_table
from ase_crysdiff.tasks.base import Entry

_PARTITIONS = tuple(f"split_{k}" for k in range(5))
#: eV/Å³ in GPa.
_GPA = 160.2176634


def reduced(formula: str) -> str:
    """The reduced formula, by which rows are grouped."""
    return Composition(formula).reduced_formula


def published(file: str, folder: Path) -> Iterator[Entry]:
    """A table with the partitions `split_0` to `split_4`."""
    for number, row in enumerate(_rows(folder / file)):
        yield Entry(
            row["material_id"] or str(number),
            reduced(row["formula"]),
            float(row["value"]),
            partial(structure_from_cif, row["cif"]),
            tuple(row[name] for name in _PARTITIONS),
        )


def column(file: str, name: str, folder: Path, *, least: float | None = None) -> Iterator[Entry]:
    """A column of a table; rows without a number, or not above `least`, are passed over."""
    for row in _rows(folder / file):
        if row[name] and (least is None or float(row[name]) > least):
            yield Entry(
                row["material_id"],
                reduced(row["formula"]),
                float(row[name]),
                partial(structure_from_cif, row["cif"]),
            )


def materials_project(name: str, folder: Path) -> Iterator[Entry]:
    """A DFT label of the rows of the training pool; those that a network gave, and those in an
    official test set, are passed over.
    """
    labels = {row["material_id"]: row for row in _rows(folder / "mp/pool_labels.csv.gz")}
    for file in ("mp/train.csv.gz", "mp/extra.csv.gz"):
        for row in _rows(folder / file):
            known = {**row, **labels.get(row["material_id"], {})}
            by_network = known.get("label_source", "").startswith("chgnet")
            if known[name] and not by_network and "test" not in _splits(known):
                yield Entry(
                    row["material_id"],
                    reduced(row["formula"]),
                    float(known[name]),
                    partial(structure_from_cif, row["cif"]),
                )


def matcalc(file: str, name: str, folder: Path, *, per_atom: bool = False) -> Iterator[Entry]:
    """A number of a set of MatCalc-Bench that is positive; by choice divided by the atoms of the
    cell.
    """
    with gzip.open(folder / file, "rt", encoding="utf-8") as text:
        entries = json.load(text)
    for entry in entries:
        value = float(entry[name]) / (len(entry["structure"]["sites"]) if per_atom else 1)
        if value > 0:
            yield Entry(
                entry["mp_id"],
                reduced(entry["formula"]),
                value,
                partial(Structure.from_dict, entry["structure"]),
            )


def computed_tc(folder: Path) -> Iterator[Entry]:
    """Critical temperatures of JARVIS-DFT with their official split."""
    for row in _rows(folder / "superconductors/jarvis_dft_tc.csv.gz"):
        if row["tc_kelvin"]:
            structure = partial(structure_from_cif, row["cif"])
            yield Entry(
                row["material_id"],
                _cif_formula(row["cif"]),
                float(row["tc_kelvin"]),
                structure,
                (row["split"],),
            )


def measured_tc(file: str, folder: Path) -> Iterator[Entry]:
    """Critical temperatures of 3DSC. A measured formula may stand for several crystals and a
    crystal for several measured formulas: whatever hangs together is one group.
    """
    rows = list(_rows(folder / file))
    pairs = [(_measured_formula(row["formula_sc"]), _cif_formula(row["cif"])) for row in rows]
    groups = _connected(pairs)
    for row, pair in zip(rows, pairs, strict=True):
        yield Entry(
            f"{row['formula_sc']} {row['material_id']}",
            groups[pair[0]],
            float(row["tc_kelvin"]),
            partial(structure_from_cif, row["cif"]),
        )


def teacher(name: str, folder: Path) -> Iterator[Entry]:
    """What a potential says of perturbed crystals: `pressure` (GPa) or `largest_force` (eV/Å)."""
    with np.load(folder / "labels/sevennet_train.npz") as file:
        held = {key: file[key] for key in file.files}
    ends = np.cumsum(held["num_atoms"])
    for i, (name_, end) in enumerate(zip(held["material_id"], ends, strict=True)):
        atoms = slice(int(end - held["num_atoms"][i]), int(end))
        species = held["atomic_numbers"][atoms]
        yield Entry(
            f"{_text(name_)} {i}",
            Composition.from_dict(
                {
                    int(z): int(n)
                    for z, n in zip(*np.unique(species, return_counts=True), strict=True)
                }
            ).reduced_formula,
            _TEACHER[name](held, i, atoms),
            partial(Structure, Lattice(held["lattice"][i]), species, held["frac_coords"][atoms]),
        )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _pressure(held: Mapping[str, Any], i: int, atoms: slice) -> float:
    return float(-np.trace(held["stress"][i]) / 3 * _GPA)


def _largest_force(held: Mapping[str, Any], i: int, atoms: slice) -> float:
    return float(np.linalg.norm(held["forces"][atoms], axis=1).max())


_TEACHER: Mapping[str, Callable[[Mapping[str, Any], int, slice], float]] = {
    "pressure": _pressure,
    "largest_force": _largest_force,
}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with open_table(Source(path)) as file:
        yield from csv.DictReader(file)


def _splits(row: Mapping[str, str]) -> tuple[str, ...]:
    return row.get("mp20_split", ""), row.get("mpts52_split", "")


def _cif_formula(text: str) -> str:
    """The reduced formula that pymatgen writes into its CIF texts."""
    line = next(line for line in text.splitlines() if line.startswith("_chemical_formula_sum"))
    return reduced(line.partition(" ")[2].strip().strip("'").replace(" ", ""))


def _measured_formula(formula: str) -> str:
    """A formula with fractional amounts, in an order and scale of its own."""
    fractions = Composition(formula).fractional_composition
    return " ".join(f"{e.symbol}{x:.4f}" for e, x in sorted(fractions.items()))


def _connected(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each first name, the smallest first name that hangs together with it over second
    names.
    """
    beside: dict[str, set[str]] = defaultdict(set)
    for first, second in pairs:
        beside[f"a {first}"].add(f"b {second}")
        beside[f"b {second}"].add(f"a {first}")
    found: dict[str, str] = {}
    for start in sorted(beside):
        if start in found:
            continue
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = start
                waiting += beside[node]
    return {node[2:]: start[2:] for node, start in found.items() if node.startswith("a ")}

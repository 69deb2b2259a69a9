"""Writes the tables of `ase_crysdiff.symmetry.tables` from published lists.

python tools/build_space_groups.py wyckoff_list.csv

The argument is the list of Wyckoff positions that PyXtal ships in its folder `database` (MIT,
Fredericks et al. 2021). Operations and symbols come from spglib (BSD-3, Togo et al. 2024), the
relabellings of letters from pymatgen (MIT; `pymatgen.analysis.prototypes`, made by Goodall et al.
2022). The three must agree, or nothing is written.
"""

import ast
import csv
import gzip
import json
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pymatgen.analysis.prototypes
import spglib

OUTPUT = Path(__file__).parents[1] / "ase_crysdiff" / "resources" / "space_groups.npz"
RELABELLINGS = (
    Path(pymatgen.analysis.prototypes.__file__).parent / "wyckoff-position-relabelings.json.gz"
)
#: Translations are whole numbers of these parts of a cell.
PARTS = 24
LETTERS = "abcdefghijklmnopqrstuvwxyzA"


def read_point(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and translation of a triplet such as "x, 2x, z+1/2"; translations in parts."""
    matrix, offset = np.zeros((3, 3), int), np.zeros(3, int)
    for row, entry in enumerate(text.replace(" ", "").split(",")):
        for sign, number, axis in re.findall(r"([+-]?)([\d/]*)([xyz]?)", entry):
            factor = -1 if sign == "-" else 1
            if axis:
                matrix[row, "xyz".index(axis)] += factor * int(number or 1)
            elif number:
                offset[row] += factor * int(Fraction(number) * PARTS)
    return matrix, offset % PARTS


def standard_halls() -> list[int]:
    """Hall number of each group's standard setting: unique axis b, hexagonal axes, origin 2."""
    halls: dict[int, int] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        if kind.number not in halls or kind.choice == "2":
            halls[kind.number] = hall
    return [halls[number] for number in range(1, 231)]


def operations(hall: int) -> tuple[np.ndarray, np.ndarray]:
    """One operation for each element of the point group."""
    found = spglib.get_symmetry_from_database(hall)
    rotations = np.array(found["rotations"], int)
    translations = np.rint(np.array(found["translations"]) * PARTS).astype(int) % PARTS
    _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    first.sort()
    return rotations[first], translations[first]


def as_set(rotations: np.ndarray, translations: np.ndarray) -> set[bytes]:
    """Operations without their order."""
    return {
        np.hstack([r.ravel(), t % PARTS]).astype(int).tobytes()
        for r, t in zip(rotations, translations, strict=True)
    }


def main() -> None:
    """Reads, compares, writes."""
    csv.field_size_limit(10**7)
    lines = Path(sys.argv[1]).read_text().splitlines()[2:]
    listed = {int(number): ast.literal_eval(text) for number, text in csv.reader(lines)}
    halls = standard_halls()
    names, centrings, position_groups, matrices, offsets = [], [], [], [], []
    groups, rotations, translations, relabelled, relabel_groups = [], [], [], [], []
    maps = json.loads(gzip.decompress(RELABELLINGS.read_bytes()))
    for number in range(1, 231):
        kind = spglib.get_spacegroup_type(halls[number - 1])
        names.append(kind.international_short)
        centrings.append(kind.international_short[0])
        positions = listed[number][::-1]  # a first
        general = [read_point(point) for point in positions[-1]]
        everything = spglib.get_symmetry_from_database(halls[number - 1])
        whole = np.rint(np.array(everything["translations"]) * PARTS).astype(int)
        if as_set(np.array(everything["rotations"]), whole) != as_set(
            np.array([m for m, _ in general]), np.array([o for _, o in general])
        ):
            raise SystemExit(f"group {number}: PyXtal and spglib differ")
        r, t = operations(halls[number - 1])
        groups += [number] * len(r)
        rotations.append(r)
        translations.append(t)
        for points in positions:
            matrix, offset = read_point(points[0])
            position_groups.append(number)
            matrices.append(matrix)
            offsets.append(offset)
        for entry in maps[str(number)]:
            row = np.arange(len(LETTERS))
            for old, new in entry.items():
                row[LETTERS.index(chr(int(old)))] = LETTERS.index(new)
            relabelled.append(row)
            relabel_groups.append(number)
    np.savez_compressed(
        OUTPUT,
        symbols=np.array(names),
        centrings=np.array(centrings),
        halls=np.array(halls, np.int16),
        operation_groups=np.array(groups, np.uint8),
        rotations=np.concatenate(rotations).astype(np.int8),
        translations=np.concatenate(translations).astype(np.int8),
        position_groups=np.array(position_groups, np.uint8),
        matrices=np.array(matrices, np.int8),
        offsets=np.array(offsets, np.int8),
        relabelling_groups=np.array(relabel_groups, np.uint8),
        relabellings=np.array(relabelled, np.uint8),
    )
    print(
        f"{len(names)} groups, {len(groups)} operations, {len(matrices)} positions, "
        f"{len(relabelled)} relabellings, {OUTPUT.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()

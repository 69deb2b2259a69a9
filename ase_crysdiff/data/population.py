"""Crystals as the starting population of a genetic algorithm of ASE.

The algorithm is the package ase-ga, `ase.ga` before ASE 3.29; its database is one of `ase.db` with
keys of its own, which are written here, so that neither is needed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.db import connect
from pymatgen.core import Composition, Structure

from ase_crysdiff.crystal.convert import as_structure
from ase_crysdiff.data.writing import frame
from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable, write_by

#: What a relaxation has told of a structure.
_ENERGY, _ACCEPTED, _CONVERGED = "crysdiff_energy", "crysdiff_accepted", "crysdiff_converged"


def write_population(crystals: Iterable[Any], path: str | Path) -> Path:
    """Writes a database that `ase_ga.data.DataConnection` opens.

    Crystals that were relaxed until they converged are relaxed candidates of generation 0 with the
    score -E; all others are candidates that the algorithm relaxes first. What a relaxation does not
    accept is left out. Atoms are sorted by atomic number, as the algorithm compares candidates atom
    by atom. What this package knows of a crystal is in its `data`.

    Args:
        crystals: A `SampleSet`, a `RelaxSet`, or structures or ASE atoms, all with the same atoms
            in the cell: the algorithm searches for the arrangement of given atoms.
        path: Of the database, whose name ends in `.db`; one that exists is replaced.

    Raises:
        InputError: If the cells hold different atoms, there are no crystals, or the place cannot be
            written.
    """
    target = Path(path)
    if target.suffix != ".db":
        raise InputError(f"{target.name}: a population is an ASE database, so its name ends in .db")
    given = [as_structure(c) for c in getattr(crystals, "structures", crystals)]
    chosen = [_sorted(s) for s in given if s.properties.get(_ACCEPTED, True)]
    numbers = _stoichiometry(chosen, len(given))
    ensure_writable(target.parent)
    write_by(target, lambda part: _write(chosen, numbers, part))
    return target


def _sorted(structure: Structure) -> Structure:
    ordered: Structure = structure.get_sorted_structure(key=lambda site: site.specie.Z)
    return ordered


def _stoichiometry(structures: list[Structure], count: int) -> list[int]:
    """Atomic numbers of the atoms of every cell.

    Raises:
        InputError: If they differ, or there are no crystals.
    """
    cells = Counter(tuple(int(site.specie.Z) for site in s) for s in structures)
    if not cells:
        raise InputError(
            f"None of {count} crystals can start a population: there are none, or their "
            "relaxations were not accepted."
        )
    if len(cells) > 1:
        named = ", ".join(f"{n} of {_formula(cell)}" for cell, n in cells.most_common(4))
        raise InputError(
            f"The cells of a population hold the same atoms, but here are {named}. Draw them with "
            "one composition and one formula_units, or write a population for each."
        )
    return list(next(iter(cells)))


def _formula(cell: Iterable[int]) -> str:
    return str(Composition(Counter(cell)).formula).replace(" ", "")


def _write(structures: list[Structure], numbers: list[int], path: Path) -> None:
    """The row that describes the search, then one for each candidate."""
    with connect(path, type="db", append=False) as database:
        described = {"stoichiometry": numbers, "population_size": len(structures)}
        database.write(Atoms(pbc=True), simulation_cell=True, data=described)
        for gaid, structure in enumerate(structures, start=2):
            atoms = frame(structure)
            keys = {**_keys(structure.properties), "gaid": gaid}
            row = database.write(atoms, key_value_pairs=keys, data=dict(atoms.info))
            assert row == gaid, "candidates are known by the number of their row"


def _keys(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What the algorithm knows a candidate by."""
    first = {"generation": 0, "extinct": 0}
    if properties.get(_CONVERGED) and _ENERGY in properties:
        score = -float(properties[_ENERGY])
        return {**first, "relaxed": 1, "origin": "StartingCandidateRelaxed", "raw_score": score}
    return {**first, "relaxed": 0, "origin": "StartingCandidateUnrelaxed"}

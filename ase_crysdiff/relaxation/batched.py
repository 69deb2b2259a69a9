"""Structures relaxed together in batches, with and without their symmetry."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import as_structure, check_structure, structure_to_atoms
from ase_crysdiff.crystal.held_atoms import allowed_moves
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.convert import labels_of
from ase_crysdiff.relaxation.engine import relaxations
from ase_crysdiff.relaxation.results import RelaxResult, result_of
from ase_crysdiff.relaxation.snapping import Snapping
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.symmetry.refinement import EXACT


def iter_relax(
    structures: Iterable[Any],
    potential: Potential,
    fmax: float,
    steps: int,
    relax_cell: bool,
    optimizer: str,
    max_atoms: int,
    symmetry: KeptSymmetry | None = None,
    snapping: Snapping | None = None,
    numbers: Sequence[int] | None = None,
) -> Iterator[tuple[int, RelaxResult]]:
    """Relaxes structures in batches and gives (position, result) as soon as one is done, so in
    any order; what is looked at for symmetry comes last.

    The keywords are those of `relax`, and `numbers`: of each structure in a set of which these are
    a part, for its random moves; None takes positions.
    """
    how: dict[str, Any] = {
        "fmax": fmax,
        "steps": steps,
        "relax_cell": relax_cell,
        "optimizer": optimizer,
        "max_atoms": max_atoms,
    }
    usable: dict[int, Structure] = {}
    moving: dict[int, NDArray[np.float64] | None] = {}
    for position, entry in enumerate(structures):
        try:
            structure = as_structure(entry)
            check_structure(structure)
            moves = allowed_moves(entry)
            if moves is not None and (symmetry or snapping):
                asked = "symmetric=True" if symmetry else "snap=True"
                raise InputError(
                    f"Some of its atoms are held, and {asked} moves atoms to where the symmetry "
                    "wants them. Take the constraints off, or relax without symmetry."
                )
        except InputError as error:
            shown = entry if isinstance(entry, Structure) else None
            yield (
                position,
                RelaxResult(shown, False, 0, math.nan, math.nan, math.nan, False, str(error)),
            )
        else:
            usable[position], moving[position] = structure, moves
    if symmetry is not None:
        yield from _symmetric(usable, potential, symmetry, how, numbers)
        return
    found = _free(usable, moving, potential, how)
    if snapping is None:
        yield from found
        return
    held = KeptSymmetry(EXACT)
    yield from snapping.apply(
        found, lambda some: _symmetric(dict(enumerate(some)), potential, held, how)
    )


def _free(
    given: Mapping[int, Structure],
    moving: Mapping[int, NDArray[np.float64] | None],
    potential: Potential,
    how: Mapping[str, Any],
) -> Iterator[tuple[int, RelaxResult]]:
    """Without symmetry; the allowed moves of atoms that are held, None where none are."""
    positions = list(given)
    starts = configurations(list(given.values()))
    for k, outcome in relaxations(starts, potential, **how, moves=list(moving.values())):
        result = result_of(given[positions[k]], outcome, how["fmax"], potential.name)
        yield positions[k], result


def _symmetric(
    given: Mapping[int, Structure],
    potential: Potential,
    symmetry: KeptSymmetry,
    how: Mapping[str, Any],
    numbers: Sequence[int] | None = None,
) -> Iterator[tuple[int, RelaxResult]]:
    """With the symmetry, then, for what is released, without; see `relax`."""
    positions, fmax, relax_cell = list(given), how["fmax"], how["relax_cell"]
    how = {**how, "fmax": symmetry.limit(fmax)}
    known = symmetry.find(list(given.values()), relax_cell)
    starts = configurations([s.structure for s in known])
    at_rest: dict[int, RelaxResult] = {}
    operations = [s.operations for s in known]
    for k, outcome in relaxations(starts, potential, **how, operations=operations):
        position = positions[k]
        result = symmetry.at_rest(given[position], known[k], outcome, fmax, potential.name)
        if symmetry.release is None or len(operations[k]) == 1 or outcome.failure is not None:
            yield position, result
        else:
            at_rest[position] = result
    released = list(at_rest)
    named = {p: p if numbers is None else numbers[p] for p in released}
    starts = configurations([symmetry.rattled(at_rest[p], named[p], relax_cell) for p in released])
    for k, outcome in relaxations(starts, potential, **how):
        position = released[k]
        before = at_rest[position]
        yield position, symmetry.released(given[position], before, outcome, fmax, potential.name)


def configurations(structures: Sequence[Structure]) -> Configurations:
    """Ordered structures as a potential reads them, in double precision, with what is known of
    their sites.
    """
    count = len(structures)
    return Configurations(
        torch.tensor(np.concatenate([*(s.cart_coords for s in structures), np.zeros((0, 3))])),
        torch.tensor(np.array([s.lattice.matrix for s in structures]).reshape(-1, 3, 3)),
        torch.ones(count, 3, dtype=torch.bool),
        torch.tensor([site.specie.Z for s in structures for site in s], dtype=torch.long),
        torch.tensor([len(s) for s in structures], dtype=torch.long),
        labels_of([structure_to_atoms(s) for s in structures]),
    )

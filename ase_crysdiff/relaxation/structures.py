"""`relax`: structures down to the next minimum, many at once."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import (
    as_structure,
    check_structure,
    entries_of,
    structure_to_atoms,
)
from ase_crysdiff.crystal.held_atoms import allowed_moves
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.convert import labels_of
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options, relaxations
from ase_crysdiff.relaxation.relax_set import RelaxSet
from ase_crysdiff.relaxation.results import RelaxResult, result_of
from ase_crysdiff.relaxation.settings import FMAX, STEPS, SYMPREC
from ase_crysdiff.relaxation.snapping import Snapping
from ase_crysdiff.relaxation.symmetric import KeptSymmetry, kept_symmetry
from ase_crysdiff.symmetry.refinement import EXACT


@own_state()
def relax(
    structures: Structure | Atoms | Iterable[Any],
    potential: PotentialLike = "dao-p",
    *,
    fmax: float = FMAX,
    steps: int = STEPS,
    relax_cell: bool = True,
    symmetric: bool = False,
    symprec: float = SYMPREC,
    release: float | None = None,
    snap: bool = False,
    rerank: "PotentialLike | None" = None,
    seed: int = 0,
    optimizer: str = "lbfgs",
    progress: bool | None = None,
    max_atoms: int = MAX_ATOMS,
) -> RelaxSet:
    """Relaxes structures in batches, each one by itself; one result per structure, in the given
    order or, with `rerank`, in that of a second potential.

    Atoms that are held stay: those under ASE's `FixAtoms`, `FixScaled`, `FixCartesian`,
    `FixedLine` and `FixedPlane`, and those whose site property `selective_dynamics` says so. Where
    the cell moves, they go with it. Magnetic moments, charges, tags, masses and `info` reach an ASE
    calculator as they were given.

    Args:
        structures: Ordered structures or ASE atoms, periodic along all axes. They are not changed.
            One that cannot be used is reported in its result, and the others are relaxed.
        potential: Name of a potential ("dao-p", "chgnet"), which runs on a GPU where there is one;
            a potential, or any ASE calculator.
        fmax: Converged when no atom and no row of the cell feels a larger force, eV/Å.
        steps: At most so many per structure.
        relax_cell: Whether the cell moves, too.
        symmetric: Whether crystals keep their symmetry. Each is first moved to where its space
            group wants it; one in which no symmetry is found relaxes without, and says so.
        symprec: With `symmetric`: tolerance at which the symmetry is found, Å.
        release: With `symmetric`: coordinates are moved at random by so many Å (0.03 is usual) from
            where the symmetric relaxation ended, and the crystal relaxes again without symmetry,
            with as many steps. It tells minima from saddles, which a symmetric relaxation never
            leaves; both relaxations go on to at most 0.01 eV/Å, as weak forces pull out of a
            saddle. None releases nothing.
        snap: Whether to look, after relaxing, for symmetry that a crystal nearly has, within
            tolerances of 0.1 to 0.5 Å: it relaxes again with that symmetry, and keeps it where its
            energy is then at most 1 meV/atom higher. `snapped` of a result is the tolerance.
        rerank: A second potential, by name, or any ASE calculator, that orders the relaxed crystals
            by its energies, as `RelaxSet.rank` does; None leaves them in the given order.
        seed: Of the random moves.
        optimizer: "lbfgs", "fire", or "lbfgs-ase", which takes the same steps as
            `ase.optimize.LBFGS` on a `FrechetCellFilter`.
        progress: Whether to show a progress bar; None shows one on a terminal.
        max_atoms: Atoms that are computed together; lower it if memory runs out.

    Raises:
        InputError: If an option makes no sense.
        UnknownNameError: If there is no potential of that name.
    """
    check_options(fmax, steps, optimizer, max_atoms)
    symmetry = kept_symmetry(symmetric, symprec, release, seed)
    snapping = Snapping.asked(snap, symmetric)
    given = entries_of(structures)
    resolved = as_potential(potential)
    judge = None if rerank is None else as_potential(rerank)  # refused before the work
    how: tuple[Any, ...] = (fmax, steps, relax_cell, optimizer, max_atoms, symmetry, snapping)
    found = iter_relax(given, resolved, *how)
    bar = tqdm(
        found,
        total=len(given),
        desc="relax",
        unit=" crystals",
        disable=None if progress is None else not progress,
    )
    results = dict(bar)
    ordered = (results[i] for i in range(len(given)))
    relaxed = RelaxSet(ordered, resolved.name, resolved.is_corrected)
    return relaxed if judge is None else relaxed.rank(judge)


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
) -> Iterator[tuple[int, RelaxResult]]:
    """Relaxes structures in batches and gives (position, result) as soon as one is done, so in
    any order; what is looked at for symmetry comes last.
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
        yield from _symmetric(usable, potential, symmetry, how)
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
    starts = configurations([symmetry.rattled(at_rest[p], p, relax_cell) for p in released])
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

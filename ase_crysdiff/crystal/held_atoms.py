"""Atoms that may not move, or only in some directions: constraints of ASE and the selective
dynamics of VASP and pymatgen.

Whichever it is, it says of each atom along which directions it stays. An atom may then make the
moves at right angles to them.
"""

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixCom, FixedLine, FixedPlane, FixScaled
from numpy.typing import NDArray
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError

#: Site property of pymatgen, and of POSCAR files: whether each of three coordinates may change.
FLAGS = "selective_dynamics"
_TOLERANCE = 1e-6


def allowed_moves(crystal: Structure | Atoms) -> NDArray[np.float64] | None:
    """The projection of each atom's moves (row vectors, applied from the right) on those that it
    may make, shape (atoms, 3, 3); None if every atom is free.

    Args:
        crystal: ASE atoms with constraints, or a structure with the site property
            `selective_dynamics`.

    Raises:
        InputError: If a constraint is of another kind than those that hold single atoms, or flags
            mean one thing along lattice vectors (VASP) and another along x, y, z (ASE).
    """
    if isinstance(crystal, Atoms):
        return _projections(_fixed_by_constraints(crystal))
    flags = crystal.site_properties.get(FLAGS)
    if flags is None:
        return None
    fixed = [_fixed(f, site) for site, f in enumerate(flags)]
    along_axes = _projections([np.eye(3)[:, mask].T for mask in fixed])
    along_cell = _projections([_normals(crystal.lattice.matrix)[mask] for mask in fixed])
    if along_axes is None or along_cell is None:
        return None
    if np.abs(along_axes - along_cell).max() > _TOLERANCE:
        site = int(np.abs(along_axes - along_cell).max((1, 2)).argmax())
        raise InputError(
            f"The {FLAGS} of site {site}, {list(flags[site])}, hold some of its coordinates only. "
            "Along lattice vectors, as VASP has it, that is another motion than along x, y, z. "
            "Give ASE atoms with FixScaled (lattice vectors) or FixCartesian (x, y, z)."
        )
    return along_cell


def constraints_of(flags: NDArray[np.bool_]) -> list[FixAtoms | FixCartesian]:
    """Constraints of ASE that hold what selective dynamics hold: whole atoms, or x, y, z of some.

    Args:
        flags: Whether each coordinate of each atom may change, shape (atoms, 3).
    """
    found: list[FixAtoms | FixCartesian] = []
    for mask in np.unique(~flags, axis=0):
        if mask.any():
            atoms = np.flatnonzero((~flags == mask).all(-1))
            found.append(FixAtoms(atoms) if mask.all() else FixCartesian(atoms, mask=mask))
    return found


def _fixed(flags: object, site: int) -> list[bool]:
    """Which coordinates of a site stay; none where nothing is said."""
    if flags is None:
        return [False] * 3
    told = np.asarray(flags)
    if told.shape != (3,) or told.dtype.kind not in "bi":
        raise InputError(
            f"The {FLAGS} of site {site} must be three truth values, got {flags!r}. Give them, or "
            "remove the site property."
        )
    return [not free for free in told.tolist()]


def flags_of(atoms: Atoms) -> list[list[bool]] | None:
    """The `selective_dynamics` of atoms with constraints; None if none of them has any.

    Of what flags cannot say, a line or a plane that is askew, nothing is kept.
    """
    flags = np.ones((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            flags[constraint.index] = False
        elif isinstance(constraint, FixScaled | FixCartesian):
            flags[constraint.index] &= ~np.asarray(constraint.mask, dtype=bool)
    return None if flags.all() else flags.tolist()


def _fixed_by_constraints(atoms: Atoms) -> list[NDArray[np.float64]]:
    """Directions along which each atom stays, shape (directions, 3) each."""
    fixed: list[NDArray[np.float64]] = [np.zeros((0, 3))] * len(atoms)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixCom):  # forces between atoms do not move their centre
            continue
        rows = _directions(constraint, np.array(atoms.cell.array))
        for i in np.atleast_1d(constraint.index):
            fixed[i] = np.concatenate([fixed[i], rows])
    return fixed


def _directions(constraint: object, cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions along which atoms of a constraint stay."""
    if isinstance(constraint, FixAtoms):
        return np.eye(3)
    if isinstance(constraint, FixCartesian):
        return np.eye(3)[np.asarray(constraint.mask, dtype=bool)]
    if isinstance(constraint, FixScaled):
        return _normals(cell)[np.asarray(constraint.mask, dtype=bool)]
    if isinstance(constraint, FixedPlane):
        return np.asarray(constraint.dir, dtype=np.float64).reshape(1, 3)
    if isinstance(constraint, FixedLine):
        along = np.asarray(constraint.dir, dtype=np.float64).reshape(1, 3)
        return np.asarray(np.linalg.svd(along)[2][1:], dtype=np.float64)
    name = type(constraint).__name__
    instead = (
        "Give symmetric=True instead."
        if name == "FixSymmetry"
        else "Known are FixAtoms, FixScaled, FixCartesian, FixedLine and FixedPlane. Remove it, or "
        "relax with an optimiser of ASE and the potential's calculator."
    )
    raise InputError(f"The atoms have a constraint {name}, which relax does not know. {instead}")


def _normals(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions, as rows, along which an atom keeps its first, second, third scaled coordinate."""
    return np.asarray(np.linalg.inv(cell).T, dtype=np.float64)


def _projections(fixed: list[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """I minus the projection on the span of each atom's directions; None if there are none."""
    if not any(len(rows) for rows in fixed):
        return None
    found = np.tile(np.eye(3), (len(fixed), 1, 1))
    for i, rows in enumerate(fixed):
        if len(rows):
            _, sizes, basis = np.linalg.svd(rows / np.linalg.norm(rows, axis=1, keepdims=True))
            kept = basis[: len(sizes)][sizes > _TOLERANCE]
            found[i] -= kept.T @ kept
    return found

"""What no potential may be asked, said before a neighbour list hangs or a network answers
nonsense.
"""

from collections.abc import Collection, Iterable

import numpy as np
from ase.data import chemical_symbols
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from ase_crysdiff.constants import GATE_DISTANCE, SMALLEST_VOLUME_PER_ATOM
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations

#: Farther from the origin, double precision no longer resolves 1e-9 Å.
FARTHEST = 1e6


def problems(
    configurations: Configurations, elements: Collection[int], name: str
) -> dict[int, str]:
    """Why systems cannot be evaluated: reason by position, nothing for those that can.

    Args:
        configurations: What a potential was given.
        elements: Atomic numbers that it knows.
        name: The potential, for the message.
    """
    if not len(configurations):
        return {}
    ends = np.cumsum(configurations.num_atoms.cpu().numpy())[:-1]
    parts = zip(
        np.split(configurations.species.cpu().numpy(), ends),
        np.split(configurations.positions.double().cpu().numpy(), ends),
        configurations.cells.double().cpu().numpy(),
        configurations.periodic.cpu().numpy(),
        strict=True,
    )
    reasons = (
        (i, _problem(numbers, positions, cell[periodic], elements, name))
        for i, (numbers, positions, cell, periodic) in enumerate(parts)
    )
    return {i: reason for i, reason in reasons if reason}


def check(configurations: Configurations, elements: Collection[int], name: str) -> None:
    """Refuses configurations that cannot be evaluated.

    Raises:
        InputError: If there are any; the message gives the first one's position and how many there
            are.
    """
    found = problems(configurations, elements, name)
    if found:
        first, reason = next(iter(found.items()))
        others = (
            f" ({len(found)} of {len(configurations)} systems cannot be evaluated.)"
            if len(found) > 1
            else ""
        )
        where = f"System {first}: " if len(configurations) > 1 else ""
        raise InputError(where + reason + others)


def unknown_elements(numbers: Iterable[int], elements: Collection[int], name: str) -> str | None:
    """A sentence on the atomic numbers that a potential does not know, and on those that it does;
    None if it knows all.

    Args:
        numbers: Atomic numbers that are asked for.
        elements: Atomic numbers that it knows.
        name: The potential.
    """
    unknown = sorted(set(numbers).difference(elements))
    if not unknown:
        return None
    symbols = ", ".join(
        chemical_symbols[z] if 0 < z < len(chemical_symbols) else f"X (Z = {z})" for z in unknown
    )
    return f"{name} does not know {symbols}; it knows {element_ranges(elements)}."


def element_ranges(elements: Collection[int]) -> str:
    """Atomic numbers as ranges of symbols, such as "H-Bi, Ac-Pu"."""
    numbers = sorted(elements)
    starts = [z for z in numbers if z - 1 not in elements]
    stops = [z for z in numbers if z + 1 not in elements]
    pairs = ((chemical_symbols[a], chemical_symbols[b]) for a, b in zip(starts, stops, strict=True))
    return ", ".join(a if a == b else f"{a}-{b}" for a, b in pairs)


def reciprocal(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reciprocal vectors without 2π as columns, shape (3, 1 to 3); a position times them is in
    fractional coordinates.
    """
    if len(rows) == 3 and abs(np.linalg.det(rows)) > 1e-6 * np.sqrt((rows * rows).sum(1)).prod():
        return np.asarray(np.linalg.inv(rows), dtype=np.float64)  # ten times faster
    return np.asarray(np.linalg.pinv(rows), dtype=np.float64)


def _problem(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    rows: NDArray[np.float64],
    elements: Collection[int],
    name: str,
) -> str | None:
    if not len(numbers):
        return "There are no atoms; a potential needs at least one."
    if strange := unknown_elements(numbers.tolist(), elements, name):
        return strange
    if not np.isfinite(positions).all():
        first = int(np.nonzero(~np.isfinite(positions).all(1))[0][0])
        return (
            f"The position of atom {first} is not finite: {positions[first].tolist()}. An earlier "
            "step has probably diverged."
        )
    if np.abs(positions).max() > FARTHEST:
        first = int(np.abs(positions).max(1).argmax())
        return (
            f"Atom {first} lies {np.abs(positions[first]).max():.3g} Å from the origin; at most "
            f"{FARTHEST:.0e} Å can be resolved."
        )
    return _cell_problem(rows, len(numbers)) if len(rows) else None


def _cell_problem(rows: NDArray[np.float64], num_atoms: int) -> str | None:
    """What is wrong with the vectors of the periodic axes, shape (1 to 3, 3)."""
    if not np.isfinite(rows).all():
        return f"The cell is not finite: {rows.tolist()}. An earlier step has probably diverged."
    lengths = np.linalg.norm(rows, axis=1)
    extent = float(np.sqrt(max(0.0, np.linalg.det(rows @ rows.T))))
    if not lengths.all() or extent < 1e-9 * lengths.prod():
        return (
            f"The vectors of the periodic axes are zero or parallel: {np.round(rows, 6).tolist()}. "
            "Give a cell that spans "
            "them, or set pbc to False along axes that do not repeat."
        )
    # Every lattice vector is at least as long as the smallest spacing of lattice planes: a
    # reduction is rarely needed.
    spacings = 1 / np.linalg.norm(reciprocal(rows), axis=0)
    if spacings.min() < GATE_DISTANCE:
        padded = np.zeros((3, 3))
        padded[: len(rows)] = rows
        reduced, _ = minkowski_reduce(padded, pbc=[i < len(rows) for i in range(3)])
        shortest = float(np.linalg.norm(reduced[: len(rows)], axis=1).min())
        if shortest < GATE_DISTANCE:
            return (
                f"The cell repeats every {shortest:.3g} Å; atoms would overlap their own images "
                f"(at least {GATE_DISTANCE} Å)."
            )
    if len(rows) == 3 and extent < SMALLEST_VOLUME_PER_ATOM * num_atoms:
        return (
            f"The cell has {extent / num_atoms:.3g} Å³ per atom, less than "
            f"{SMALLEST_VOLUME_PER_ATOM} Å³. "
            "Are its vectors in Å, and are all atoms meant to be there?"
        )
    return None

"""Energies of the elements that turn a potential's total energies into formation energies."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.errors import InputError

#: Weight of the mean energy in fits whose compositions may not determine every element.
RIDGE = 1e-4
#: An element that fewer crystals hold gets no reference: it would fit their errors.
FEWEST_CRYSTALS = 5


def least_squares_references(
    fractions: NDArray[np.float64],
    energies: NDArray[np.float64],
    ridge: float = 0.0,
    outliers: float | None = None,
) -> NDArray[np.float64]:
    """Energies of the elements that reproduce energies per atom best as a linear function of the
    composition.

    Args:
        fractions: Share of each element in each crystal, shape (crystals, elements).
        energies: eV/atom, shape (crystals,).
        ridge: Pulls every element towards the mean energy, so that elements that always occur
            together get a finite energy, too; 0 needs compositions that determine all.
        outliers: A second fit leaves out crystals that the first misses by as much, eV/atom; None
            does not.

    Returns:
        eV/atom, NaN for elements that do not occur, shape (elements,).
    """
    present = fractions.sum(0) > 0
    solution = np.full(fractions.shape[1], np.nan)
    use = np.ones(len(energies), dtype=bool)
    for _ in range(1 if outliers is None else 2):
        matrix, target = fractions[use][:, present], energies[use]
        if ridge:
            mean = target.mean() if len(target) else 0.0
            solution[present] = np.linalg.solve(
                matrix.T @ matrix + ridge * np.eye(matrix.shape[1]),
                matrix.T @ target + ridge * mean,
            )
        else:
            solution[present] = np.linalg.lstsq(matrix, target, rcond=None)[0]
        if outliers is not None:
            use = np.abs(fractions @ np.nan_to_num(solution) - energies) < outliers
    return solution


def fit_element_references(
    compositions: Sequence[Mapping[str, float | int]],
    energies: Sequence[float | int] | NDArray[np.float64],
    formation_energies: Sequence[float | int] | NDArray[np.float64],
    fewest: int = FEWEST_CRYSTALS,
) -> dict[str, float]:
    """References with which a potential reproduces known formation energies best, in the sense of
    least squares.

    The element's own crystal need not be among the data: an error of the potential that is linear
    in the composition goes into the references and out of the formation energies.

    Args:
        compositions: Amount of each element, by symbol, of every crystal.
        energies: What the potential gives for it, eV/atom.
        formation_energies: What is known of it, eV/atom.
        fewest: Elements in fewer crystals are left out, together with those crystals.

    Returns:
        eV/atom by symbol.

    Raises:
        InputError: If the data do not fit together, are not finite, or do not determine the
            references.
    """
    if not len(compositions) == len(energies) == len(formation_energies) or not len(compositions):
        raise InputError(
            f"There are {len(compositions)} compositions, {len(energies)} energies and "
            f"{len(formation_energies)} formation "
            "energies; each crystal needs one of each, and at least one crystal is needed."
        )
    difference = np.asarray(energies, dtype=np.float64) - np.asarray(
        formation_energies, dtype=np.float64
    )
    if not np.isfinite(difference).all():
        raise InputError(
            f"{int((~np.isfinite(difference)).sum())} energies are not finite; leave those "
            "crystals out."
        )
    symbols = sorted({symbol for composition in compositions for symbol in composition})
    column = {symbol: i for i, symbol in enumerate(symbols)}
    fractions = np.zeros((len(compositions), len(symbols)))
    for row, composition in zip(fractions, compositions, strict=True):
        for symbol, amount in composition.items():
            row[column[symbol]] = amount / sum(composition.values())
    use = np.ones(len(symbols), dtype=bool)
    rows = np.ones(len(compositions), dtype=bool)
    while True:  # leaving out crystals may make another element rare
        rare = use & ((fractions[rows] > 0).sum(0) < fewest)
        if not rare.any():
            break
        use &= ~rare
        rows &= ~(fractions[:, rare] > 0).any(1)
    kept_fractions = fractions[rows][:, use]
    rank = int(np.linalg.matrix_rank(kept_fractions)) if use.any() else 0
    if rank < use.sum() or not use.any():
        raise InputError(
            f"The {int(rows.sum())} crystals with {int(use.sum())} elements that occur at least "
            f"{fewest} times determine only "
            f"{rank} references; some elements always occur together. Add crystals."
        )
    solution = least_squares_references(kept_fractions, difference[rows])
    kept = [symbol for symbol, used in zip(symbols, use, strict=True) if used]
    return {symbol: round(float(value), 6) for symbol, value in zip(kept, solution, strict=True)}


def formation_energy(
    energy: float | int,
    composition: Mapping[str, float | int],
    references: Mapping[str, float | int],
) -> float:
    """Energy against the elements, eV/atom.

    Args:
        energy: Of the crystal, eV/atom.
        composition: Amount of each element by symbol.
        references: Energy of each element, eV/atom, on the scale of `energy`.

    Raises:
        InputError: If an element has no reference; the message names it.
    """
    missing = sorted(set(composition) - set(references))
    if missing:
        raise InputError(
            f"There is no reference energy for {', '.join(missing)}. Give element_references that "
            "hold it."
        )
    amount = sum(composition.values())
    return energy - sum(references[symbol] * n for symbol, n in composition.items()) / amount

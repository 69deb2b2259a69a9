"""From a crystal with partially occupied sites to a host and guests."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core import Element, Structure

from ase_crysdiff.errors import InputError

#: Occupancies above this count as full.
FULL = 0.999


def from_disordered(
    structure: Structure, supercell: int | Sequence[int] | ArrayLike | None = None
) -> tuple[Structure, dict[str, int]]:
    """The fully occupied sites of a crystal, and how many atoms belong on the others.

    Sites that are partially occupied, or shared by several elements, are taken out; their contents
    become guests, whose numbers are the occupancies added up over the cell and rounded to the
    nearest whole number. A larger cell rounds less: `host.properties["crysdiff_occupancies"]` holds
    for each element what the occupancies add up to and what was taken.

    Args:
        structure: Periodic along three axes, with at least one disordered and one ordered site.
        supercell: A number, three numbers or a matrix of whole numbers that multiplies the cell,
            as `Structure.make_supercell` takes it; None keeps the cell.

    Returns:
        The host, and the guests as `StructureSampler.inpaint` takes them.

    Raises:
        InputError: If it is no Structure, nothing or everything is disordered, or all guests round
            to zero.
    """
    if not isinstance(structure, Structure):
        raise InputError(
            f"from_disordered takes a pymatgen Structure, got {type(structure).__name__}."
        )
    if structure.is_ordered:
        raise InputError(
            f"{structure.composition.formula} has no partially occupied site. Pass it to inpaint "
            "as it is."
        )
    cell = (
        structure
        if supercell is None
        else structure.make_supercell(_scaling(supercell), in_place=False)
    )
    full = [len(site.species) == 1 and site.species.num_atoms > FULL for site in cell]
    if not any(full):
        raise InputError(
            f"Every site of {structure.composition.formula} is partially occupied or shared, so "
            "there is no host. "
            "Predict the structure of its composition instead."
        )
    wanted: dict[str, float] = defaultdict(float)
    for site, is_full in zip(cell, full, strict=True):
        if not is_full:
            for species, occupancy in site.species.items():
                wanted[_symbol(species)] += float(occupancy)
    taken = {symbol: int(np.floor(amount + 0.5 + 1e-9)) for symbol, amount in wanted.items()}
    guests = {symbol: number for symbol, number in taken.items() if number}
    if not guests:
        amounts = ", ".join(f"{amount:.2f} {symbol}" for symbol, amount in wanted.items())
        raise InputError(
            f"This cell holds {amounts}, which rounds to no atoms. Choose a larger supercell."
        )
    ordered = [
        (site, _symbol(site.specie)) for site, is_full in zip(cell, full, strict=True) if is_full
    ]
    occupancies = {s: {"occupancy": round(wanted[s], 6), "taken": taken[s]} for s in wanted}
    host = Structure(
        cell.lattice,
        [symbol for _, symbol in ordered],
        [site.frac_coords for site, _ in ordered],
        properties={"crysdiff_occupancies": occupancies},
    )
    return host, guests


def _scaling(supercell: int | Sequence[int] | ArrayLike) -> list[int] | list[list[int]]:
    array = np.asarray(supercell)
    if array.ndim == 0:
        array = np.repeat(array, 3)
    whole = np.issubdtype(array.dtype, np.integer)
    if not whole or array.shape not in ((3,), (3, 3)):
        raise InputError(
            "supercell must be a whole number, three of them or a 3 × 3 matrix of them, got "
            f"{supercell!r}."
        )
    size = round(float(abs(np.linalg.det(np.diag(array) if array.ndim == 1 else array))))
    if size < 1 or (array.ndim == 1 and (array < 1).any()):
        raise InputError(
            f"supercell must make the cell at least as large as it is, got {supercell!r}."
        )
    return array.tolist()


def _symbol(species: object) -> str:
    """The element of a species, without oxidation state; deuterium and tritium are hydrogen."""
    number = getattr(species, "Z", None)
    if number is None:
        raise InputError(f"{species} is no element.")
    return str(Element.from_Z(int(number)).symbol)

"""A guard against weights that load and are wrong: energies of a few crystals, stored with the
weights and asked for at load.

Binary and ternary crystals are among them for a reason: an exchange of the two atoms of a pair, for
one, cannot be seen in elements.
"""

from collections.abc import Mapping

import torch

from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.potentials.base import Configurations, Potential

_FCC = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
_CUBE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
_PEROVSKITE = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
#: Lattice constant in Å, lattice in units of it, fractional coordinates, atomic numbers.
_CRYSTALS = {
    "Si": (5.43, _FCC, [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]], [14, 14]),
    "NaCl": (5.64, _FCC, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]], [11, 17]),
    "MgO": (4.21, _FCC, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]], [12, 8]),
    "SrTiO3": (3.905, _CUBE, _PEROVSKITE, [38, 22, 8, 8, 8]),
    # Off the symmetric sites, so that terms that cancel there are seen.
    "SrTiO3 displaced": (
        3.905,
        [[1.0, 0.03, 0.0], [0.0, 1.02, -0.01], [0.02, 0.0, 0.99]],
        [
            [0.01, 0.0, -0.02],
            [0.53, 0.48, 0.5],
            [0.5, 0.47, 0.02],
            [0.48, 0.0, 0.5],
            [0.03, 0.5, 0.51],
        ],
        [38, 22, 8, 8, 8],
    ),
}


def reference_names() -> list[str]:
    """The crystals that a table may hold."""
    return list(_CRYSTALS)


def reference_configurations(names: list[str]) -> Configurations:
    """The crystals in float64.

    Raises:
        InputError: If a name is unknown.
    """
    unknown = [name for name in names if name not in _CRYSTALS]
    if unknown:
        raise InputError(
            f"There are no reference crystals {unknown}; there are {reference_names()}."
        )
    cells, positions, species, counts = [], [], [], []
    for name in names:
        constant, lattice, coords, numbers = _CRYSTALS[name]
        cells.append(constant * torch.tensor(lattice, dtype=torch.float64))
        positions.append(torch.tensor(coords, dtype=torch.float64) @ cells[-1])
        species += numbers
        counts.append(len(numbers))
    return Configurations(
        torch.cat(positions),
        torch.stack(cells),
        torch.ones(len(names), 3, dtype=torch.bool),
        torch.tensor(species),
        torch.tensor(counts),
    )


def reference_energies(potential: Potential) -> dict[str, float]:
    """The table to store with a potential's weights: eV/atom of each reference crystal whose
    elements it knows.
    """
    names = [name for name, crystal in _CRYSTALS.items() if set(crystal[3]) <= potential.elements]
    if not names:
        return {}
    systems = reference_configurations(names)
    energy = potential.evaluate(systems).energy.double().cpu() / systems.num_atoms
    return {name: round(value, 6) for name, value in zip(names, energy.tolist(), strict=True)}


def check_reference_energies(
    potential: Potential, expected: Mapping[str, float | int], tolerance: float = 1e-3
) -> None:
    """Refuses a potential that does not reproduce what is known of it.

    Args:
        potential: As it was loaded.
        expected: eV/atom by the name of a reference crystal.
        tolerance: eV/atom. Single precision and another machine stay far below 0.001.

    Raises:
        CheckpointError: If an energy differs or is not finite; the message lists both columns.
        InputError: If there is nothing to compare with, or a name is unknown.
    """
    if not expected:
        raise InputError(
            f"There are no reference energies for {potential.name}; give some of "
            f"{reference_names()}."
        )
    names = list(expected)
    systems = reference_configurations(names)
    energy = potential.evaluate(systems).energy.double().cpu() / systems.num_atoms
    wrong = [
        f"{name}: {value:.5f} instead of {expected[name]:.5f}"
        for name, value in zip(names, energy.tolist(), strict=True)
        if not abs(value - expected[name]) <= tolerance  # also for NaN
    ]
    if wrong:
        raise CheckpointError(
            f"{potential.name} does not reproduce its reference energies (eV/atom, to "
            f"{tolerance}): {'; '.join(wrong)}. The "
            "weights are damaged, or the code reads them differently from the code that wrote "
            "them; do not use them."
        )

"""What a potential says of how far its energies are to be believed, asked and put into words."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.foreign_state import threads_for
from ase_crysdiff.potentials.base import Configurations, Potential, Uncertainty
from ase_crysdiff.potentials.checks import problems

#: The doubtful atom is named where the others are this much surer.
_MARKED = 1.5


def uncertainties(potential: Potential, systems: Configurations) -> Uncertainty:
    """The potential's uncertainty in double precision on the CPU; NaN for systems that it cannot be
    asked about, and for all where it fails. It decides about no crystal, so that nothing is lost
    for want of it.

    Args:
        potential: What is asked; one that knows nothing of itself is not bothered.
        systems: Of what.
    """
    atoms = torch.full((len(systems.species),), torch.nan, dtype=torch.float64)
    found = Uncertainty(atoms, atoms.new_full((len(systems),), torch.nan))
    if math.isnan(potential.uncertainty_limit) or not len(systems):
        return found
    at_fault = problems(systems, potential.elements, potential.name)
    sound = torch.tensor([i for i in range(len(systems)) if i not in at_fault], dtype=torch.int64)
    part = systems.select(sound) if at_fault else systems
    try:
        with threads_for(len(part.species)):
            said = potential.uncertainty(part.to(potential.device, potential.dtype))
    except (CrysDiffError, ValueError, ArithmeticError, RuntimeError):
        return found
    found.atoms[torch.isin(systems.index.cpu(), sound)] = said.atoms.double().cpu()
    found.systems[sound] = said.systems.double().cpu()
    return Uncertainty(found.atoms, found.systems, said.limit)


def doubt(
    potential: str,
    value: float,
    limit: float,
    atoms: NDArray[np.float64],
    species: Sequence[int],
) -> str | None:
    """In words that a potential is outside of what it knows; None if it is not, or cannot tell.

    Args:
        potential: Its name.
        value: Expected error, eV/atom.
        limit: Above which it is outside, eV/atom.
        atoms: Expected errors of the atoms, eV/atom.
        species: Their atomic numbers.
    """
    if not value > limit:
        return None
    worst, where = int(atoms.argmax()), ""
    if atoms[worst] > _MARKED * np.median(atoms):
        where = f", most doubtful at atom {worst} ({chemical_symbols[species[worst]]})"
    return (
        f"outside of what {potential} knows: expected error {value:.2g} eV/atom, above "
        f"{limit:.2g}{where}"
    )


def expected_errors(
    potential: Potential, systems: Configurations
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """How far the potential's energies are to be believed: standard deviations of their errors,
    eV/atom, NaN where it does not say; and that it is outside of what it knows, by position.

    Args:
        potential: What is asked; one that knows nothing of itself is not bothered.
        systems: Those that it has evaluated.
    """
    said = uncertainties(potential, systems)
    counts = systems.num_atoms.tolist()
    parts = zip(
        said.systems.tolist(), said.atoms.split(counts), systems.species.split(counts), strict=True
    )
    found = {
        i: doubt(potential.name, value, said.limit, atoms.numpy(), species.tolist())
        for i, (value, atoms, species) in enumerate(parts)
    }
    return said.systems.numpy(), {i: reason for i, reason in found.items() if reason is not None}

"""Hosts whose symmetry the guests keep: from a structure to the fillings that a task offers."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pymatgen.core import Element, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.symmetry.fillings import Filling, SymmetricHost
from ase_crysdiff.symmetry.own_cell import operations_of
from pymatgen_ext.cells import CellMap, rows_of

#: Combinations of numbers of guests that are looked at.
_MOST_COUNTS = 64


def symmetric_fillings(task: Inpaint, host: Structure, cell: CellMap) -> Inpaint:
    """The task with guests on Wyckoff positions of the host's space group or of its subgroups.

    The sampler sees the host as its space group wants it; the user's host comes back untouched.

    Args:
        task: Of the host.
        host: In the user's cell.
        cell: The way from there to the cell of the task.

    Raises:
        InputError: If the host has no symmetry that could be kept, or nowhere room for the guests.
    """
    symmetry = operations_of(host)
    if symmetry.number is None:
        raise InputError(
            f"{host.composition.formula} has no symmetry that could be kept: {symmetry.reason}."
        )
    change = np.rint(np.linalg.inv(cell.matrix))
    lattice = change @ symmetry.structure.lattice.matrix
    places = symmetry.structure.frac_coords @ cell.matrix % 1.0
    known = SymmetricHost(
        symmetry.operations.in_basis(change),
        places,
        np.array(task.host.species),
        lattice,
        covalent_radii(torch.float64).numpy(),
    )
    fillings = _of_all_counts(task, known)
    if not fillings:
        guests = ", ".join(Element.from_Z(g.species).symbol for g in task.host.guests)
        raise InputError(
            f"Neither {symmetry.symbol}, the space group of the host, nor a subgroup has positions "
            f"with room for so many {guests}. Ask for other numbers, or leave keep_symmetry out."
        )
    exact = replace(task.host, lattice=rows_of(lattice), frac_coords=rows_of(places))
    return replace(task, host=exact, fillings=tuple(fillings))


def _of_all_counts(task: Inpaint, host: SymmetricHost) -> list[Filling]:
    """Fillings with every number of guests that is offered, likely numbers of atoms first."""
    ranges = [range(g.least, g.most + 1) for g in task.host.guests]
    if math.prod(len(r) for r in ranges) > _MOST_COUNTS:
        raise InputError(
            f"keep_symmetry looks at {_MOST_COUNTS} combinations of numbers of guests at most. "
            "Narrow the ranges."
        )
    found: list[Filling] = []
    for counts in itertools.product(*ranges):
        guests = {
            g.species: count for g, count in zip(task.host.guests, counts, strict=True) if count
        }
        some = host.fillings(guests)
        weight = _log_prior(task.atom_count_prior, len(task.host.species) + sum(counts))
        if some and weight > -math.inf:
            total = np.logaddexp.reduce([f.weight for f in some])
            found += [replace(f, weight=float(f.weight - total + weight)) for f in some]
    return sorted(found, key=lambda f: -f.weight)


def _log_prior(prior: Sequence[float] | None, num_atoms: int) -> float:
    """Logarithm of how likely a number of atoms is."""
    if prior is None:
        return 0.0
    share = prior[num_atoms] if num_atoms < len(prior) else 0.0
    return math.log(share) if share > 0 else -math.inf

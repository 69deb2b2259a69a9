"""How far do structures move when they are relaxed?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure
from scipy.linalg import polar

from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.distances import nearest_vectors
from ase_crysdiff.metrics.base import MetricResult, mean
from ase_crysdiff.metrics.examined import examined


@dataclass(frozen=True)
class Displacement:
    """What relaxation did to a structure.

    Args:
        rmsd: Root mean square displacement of the atoms, Å, without rigid motion and strain of the
            cell.
        largest: Largest displacement, Å.
        volume_ratio: Volume after over volume before.
        strain: Frobenius norm of the strain of the cell.
    """

    rmsd: float
    largest: float
    volume_ratio: float
    strain: float


def displacement(before: Structure, after: Structure) -> Displacement:
    """Displacement of atoms whose order is kept; no matcher is needed.

    Differences of fractional coordinates, each in its nearest image, are measured in the mean of
    both cells after the rotation between them is taken out.

    Args:
        before: A sound structure.
        after: The same atoms in the same order.

    Raises:
        InputError: If the species differ.
    """
    if [s.specie.Z for s in before] != [s.specie.Z for s in after]:
        raise InputError("Both structures must hold the same atoms in the same order.")
    first, last = before.lattice.matrix, after.lattice.matrix
    stretch = polar(np.linalg.inv(first) @ last, side="left")[1]
    cell = first @ (np.eye(3) + stretch) / 2
    moves = after.frac_coords - before.frac_coords
    # Relative to one atom, so that a common shift does not carry some of them into another image.
    moves = moves - moves[0]
    vectors = nearest_vectors(torch.from_numpy(moves), torch.from_numpy(cell)).numpy()
    sizes = np.linalg.norm(vectors - vectors.mean(0), axis=-1)
    return Displacement(
        float(np.sqrt((sizes**2).mean())),
        float(sizes.max()),
        float(after.volume / before.volume),
        float(np.linalg.norm(stretch - np.eye(3))),
    )


def rmsd_to_relaxed(
    structures: Sequence[Structure | None],
    relaxed: Sequence[Structure | None],
    rejected: Mapping[int, str],
) -> MetricResult:
    """Mean over the structures of the root mean square displacement by relaxation, Å.

    Source: matched without a matcher, since relaxation keeps the order of atoms; MatterGen and
    others match, and differ.

    Args:
        structures: As generated.
        relaxed: The structure that each of them relaxed to, atoms in the same order; None where
            there is none.
        rejected: Reason by position, for structures whose relaxation is not to be believed.
    """
    failures = dict(rejected)
    first, last = examined(structures).failures, examined(relaxed).failures
    found: list[Displacement | None] = []
    for i, (before, after) in enumerate(zip(structures, relaxed, strict=True)):
        reason = failures.get(i) or first.get(i) or last.get(i)
        if before is None or after is None or reason is not None:
            failures[i] = reason or "no structure"
            found.append(None)
        else:
            found.append(displacement(before, after))
    known = [d for d in found if d is not None]
    settings: dict[str, Any] = {"unit": "Å", "order": "kept"}
    if known:
        settings |= {
            "median_largest": float(np.median([d.largest for d in known])),
            "median_volume_ratio": float(np.median([d.volume_ratio for d in known])),
            "median_strain": float(np.median([d.strain for d in known])),
        }
    return mean(
        [None if d is None else d.rmsd for d in found], dict(sorted(failures.items())), settings
    )

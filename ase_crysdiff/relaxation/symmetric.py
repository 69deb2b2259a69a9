"""Relaxation that keeps the symmetry, and what happens when the symmetry is let go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.relaxation.outcomes import Outcome
from ase_crysdiff.relaxation.results import RelaxResult, result_of
from ase_crysdiff.relaxation.settings import RELEASE, RELEASE_FMAX, SYMPREC
from ase_crysdiff.symmetry.own_cell import Symmetry, operations_of
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS, space_group

#: A released crystal has fallen from a saddle if its energy is lower by more, eV/atom. Of 168
#: crystals of `mp/val` relaxed by dao-p, those that came back differ by at most 0.00024.
FALL = 1e-3


@dataclass(frozen=True)
class KeptSymmetry:
    """That crystals keep the symmetry they come with while they relax.

    A crystal in a symmetric saddle never leaves it, however unstable. With `release` it is moved
    out of it at random and relaxed once more without symmetry; what falls was a saddle. The cell
    stays the same, so distortions with a longer period are not seen.

    Args:
        symprec: Tolerance at which the symmetry is found, Å.
        release: Standard deviation of every coordinate before the second relaxation, Å; None makes
            none.
        seed: Of the random moves.

    Raises:
        InputError: If a number makes no sense.
    """

    symprec: float = SYMPREC
    release: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        arguments.symprec(self.symprec)
        if self.release is not None and not 0 < self.release <= 0.5:
            raise InputError(
                f"release must be a distance above 0 and at most 0.5 Å, or None, got "
                f"{self.release!r}. {RELEASE} is usual."
            )
        Streams(self.seed, ())

    def find(self, structures: Sequence[Structure], relax_cell: bool) -> list[Symmetry]:
        """The symmetry of each structure, and the structure as the symmetry wants it.

        Args:
            structures: Ordered.
            relax_cell: Whether cells may move.
        """
        return [operations_of(s, self.symprec, fixed_cell=not relax_cell) for s in structures]

    def limit(self, fmax: float) -> float:
        """At which forces to stop, eV/Å, if the caller is content with `fmax`."""
        return fmax if self.release is None else min(fmax, RELEASE_FMAX)

    def at_rest(
        self, given: Structure, known: Symmetry, outcome: Outcome, fmax: float, potential: str
    ) -> RelaxResult:
        """A result that says which symmetry was kept, or why none was.

        Args:
            given: The structure as it was given.
            known: Its symmetry.
            outcome: Of the relaxation that kept it.
            fmax: Forces that the caller is content with, eV/Å.
            potential: Name of the potential.
        """
        result = result_of(given, _judged(outcome, fmax), fmax, potential)
        return replace(result, space_group=known.symbol, unsymmetric=known.reason)

    def rattled(self, result: RelaxResult, position: int, relax_cell: bool) -> Structure:
        """A structure at rest with every coordinate moved by `release` times a standard normal
        number, and, if the cell moves, with a strain that moves the ends of its edges as far.

        Args:
            result: Of the symmetric relaxation.
            position: Number of the structure, of which the random moves depend beside the seed, if
                it is not the draw of a sampler, which has a number of its own.
            relax_cell: Whether the cell is strained.
        """
        structure, scale = result.structure, self.release
        assert structure is not None
        assert scale is not None
        draw = structure.properties.get("crysdiff_index")
        index = draw if isinstance(draw, int) and draw >= 0 else position
        stream = Streams(self.seed, (index,)).rng(
            "release", 0, [3 + len(structure)], torch.device("cpu"), torch.float64
        )
        noise = scale * stream.normal(3).numpy()
        strain = (noise[:3] + noise[:3].T) / 2 / math.cbrt(structure.volume)
        rows = structure.lattice.matrix @ (np.eye(3) + strain * relax_cell)
        moved = copy_of(structure)
        moved.lattice = Lattice(rows)
        moves = noise[3:] @ np.linalg.inv(rows)
        for site, frac, move in zip(moved, structure.frac_coords, moves, strict=True):
            site.frac_coords = frac + move
        return moved

    def released(
        self,
        given: Structure,
        before: RelaxResult,
        outcome: Outcome,
        fmax: float,
        potential: str,
    ) -> RelaxResult:
        """What is lower: the symmetric crystal, or what became of it without its symmetry.

        Args:
            given: As it was given.
            before: Of the symmetric relaxation.
            outcome: Of the one that followed.
            fmax: Forces that the caller is content with, eV/Å.
            potential: Name of the potential.
        """
        whole = replace(
            _judged(outcome, fmax),
            first_energy=before.first_energy,
            steps=before.steps + outcome.steps,
        )
        after = result_of(given, whole, fmax, potential)
        has_fallen = outcome.failure is None and after.energy < before.energy - FALL * len(given)
        return replace(
            after if has_fallen else replace(before, steps=whole.steps),
            space_group=before.space_group,
            symmetric_energy=before.energy,
            released_energy=after.energy,
            kept_symmetry=not has_fallen or self._same_group(before.structure, after.structure),
        )

    def _same_group(self, one: Structure | None, other: Structure | None) -> bool:
        """Whether both have the same space group at the tolerance; no if either has none."""
        numbers = []
        for structure in (one, other):
            if structure is None or gate(structure) is not None:
                return False
            try:
                numbers.append(space_group(structure, self.symprec)[1])
            except SYMMETRY_ERRORS:
                return False
        return numbers[0] == numbers[1]


def _judged(outcome: Outcome, fmax: float) -> Outcome:
    """The outcome, converged if its forces are below this limit."""
    return replace(outcome, converged=outcome.failure is None and outcome.fmax < fmax)


def kept_symmetry(
    symmetric: bool, symprec: float, release: float | None, seed: int
) -> KeptSymmetry | None:
    """The keywords of `relax`, checked; None if no symmetry is to be kept.

    Raises:
        InputError: If a number makes no sense, or a release has nothing to let go of.
    """
    if release is not None and not symmetric:
        raise InputError("release lets go of a symmetry that is kept: give symmetric=True, too.")
    return KeptSymmetry(symprec, release, seed) if symmetric else None

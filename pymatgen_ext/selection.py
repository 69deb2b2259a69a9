"""What is kept of a finished set: symmetrised, relaxed, ranked by energy, without duplicates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.ranking import index_of, rank, relaxed
from ase_crysdiff.relaxation.settings import RELEASE, SYMPREC
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.sampling.sample_set import SampleSet
from ase_crysdiff.symmetry.refinement import symmetrise

#: Ways to relax by the values of the keyword `relax`; False relaxes nothing.
RELAXATIONS = {True: "symmetric, then released", "symmetric": "symmetric", "free": "free"}


@dataclass(frozen=True)
class Selection:
    """How a set was refined; part of the report.

    Args:
        potential: Name of the potential that ranked the set.
        rank_prior: Weight of the order that the sampler gave, eV/atom.
        relaxed: How the set was relaxed, a value of `RELAXATIONS`.
        unrelaxed: Reason by index, for structures that were left as they were drawn.
        unranked: Reason by index, for structures that it refused; they stand last.
        duplicates: By index, the better structure that made it superfluous was kept instead.
        symprec: Tolerance of the symmetrisation, Å.
        unsymmetrised: Reason by index, for structures that were left as they were.
    """

    potential: str | None = None
    rank_prior: float | None = None
    relaxed: str | None = None
    unrelaxed: Mapping[int, str] = field(default_factory=dict)
    unranked: Mapping[int, str] = field(default_factory=dict)
    duplicates: tuple[int, ...] = ()
    symprec: float | None = None
    unsymmetrised: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refinement:
    """What is done to a finished set: symmetrised, then relaxed, then ranked by energy per atom,
    then without duplicates.

    Args:
        potential: The lowest of its energies comes first; None ranks nothing.
        distinct: Whether to keep only the first structure of each class that `uniqueness` finds.
        symprec: Tolerance in Å within which atoms and cell move to where the symmetry wants them;
            None moves nothing.
        fixed_cell: Whether the cell must stay; then only atoms move.
        relax: Whether and how structures are relaxed: a key of `RELAXATIONS`, or False.
        rank_prior: Weight of the order that the sampler gave, eV/atom; None takes the potential's.
    """

    potential: Potential | None = None
    distinct: bool = False
    symprec: float | None = None
    fixed_cell: bool = False
    relax: bool | str = False
    rank_prior: float | None = None

    @staticmethod
    def of(
        potential: "PotentialLike | None" = None,
        distinct: bool = False,
        symprec: float | None = None,
        fixed_cell: bool = False,
        relax: bool | str = False,
        rank_prior: float | None = None,
    ) -> "Refinement":
        """The keywords of `StructureSampler.sample`, checked; potentials are loaded here, before
        anything is drawn.

        Args:
            potential: Ranks the structures: a name, a potential or an ASE calculator.
            distinct: Whether to keep one of each class of equal structures.
            symprec: Tolerance in Å of the symmetrisation; None leaves structures alone.
            fixed_cell: Whether the cell was given and must stay.
            relax: Whether and how structures are relaxed.
            rank_prior: Weight of the order that the sampler gave, eV/atom.

        Raises:
            InputError: If a keyword makes no sense.
            UnknownNameError: If there is no potential of that name.
        """
        if not isinstance(distinct, bool):
            raise InputError(f"distinct must be True or False, got {distinct!r}.")
        tolerance = arguments.symprec(symprec)
        _check_ranking(potential, relax, rank_prior)
        loaded = None if potential is None else as_potential(potential)
        prior = None if rank_prior is None else float(rank_prior)
        return Refinement(loaded, distinct, tolerance, fixed_cell, relax, prior)

    def __bool__(self) -> bool:
        return self.potential is not None or self.distinct or self.symprec is not None

    def __call__(self, samples: SampleSet) -> SampleSet:
        """The refined set; `crysdiff_energy_per_atom` and `crysdiff_score` (eV/atom),
        `crysdiff_symprec` and `crysdiff_space_group` among the properties say what was found,
        `crysdiff_index` stays the number of the draw, and the report tells what became of the
        others.
        """
        if not self:
            return samples
        structures, found = list(samples), Selection(symprec=self.symprec)
        if self.symprec is not None:
            structures, reasons = _symmetrised(structures, self.symprec, self.fixed_cell)
            found = replace(found, unsymmetrised=reasons)
        if self.potential is not None:
            structures, found = self._ranked(structures, self.potential, samples.report.seed, found)
        if self.distinct and structures:
            kept = uniqueness(structures).per_structure
            # What no matcher may see cannot be called the same as anything else.
            stays = [
                bool(first) or gate(s) is not None
                for s, first in zip(structures, kept, strict=True)
            ]
            lost = sorted(
                index_of(s) for s, stay in zip(structures, stays, strict=True) if not stay
            )
            structures = [s for s, stay in zip(structures, stays, strict=True) if stay]
            found = replace(found, duplicates=tuple(lost))
        return SampleSet(
            structures, replace(samples.report, made=len(structures), selection=vars(found))
        )

    def _ranked(
        self, structures: list[Structure], potential: Potential, seed: int, found: Selection
    ) -> tuple[list[Structure], Selection]:
        """The structures relaxed, if they are to be, and ranked."""
        weight = potential.rank_prior if self.rank_prior is None else self.rank_prior
        if self.relax:
            symmetry = {
                True: KeptSymmetry(self.symprec or SYMPREC, RELEASE, seed),
                "symmetric": KeptSymmetry(self.symprec or SYMPREC),
                "free": None,
            }[self.relax]
            structures, reasons = relaxed(
                structures, potential, symmetry, not self.fixed_cell, weight
            )
            found = replace(found, relaxed=RELAXATIONS[self.relax], unrelaxed=reasons)
        structures, reasons = rank(structures, potential, weight)
        return structures, replace(
            found, potential=potential.name, rank_prior=weight, unranked=reasons
        )


def _check_ranking(potential: Any, relax: bool | str, rank_prior: float | None) -> None:
    """Refuses keywords of relaxing and ranking that make no sense.

    Raises:
        InputError: If there are any.
    """
    if not isinstance(relax, bool | str) or (relax and relax not in RELAXATIONS):
        raise InputError(f'relax must be False, True, "symmetric" or "free", got {relax!r}.')
    if rank_prior is not None and not (
        isinstance(rank_prior, int | float) and math.isfinite(rank_prior) and rank_prior >= 0
    ):
        raise InputError(f"rank_prior must be an energy of at least 0 eV/atom, got {rank_prior!r}.")
    if potential is None and (relax or rank_prior is not None):
        raise InputError(
            "Relaxing and ranking need energies: give a potential, too, such as potential='dao-p'."
        )


def _symmetrised(
    structures: Sequence[Structure], symprec: float, fixed_cell: bool
) -> tuple[list[Structure], dict[int, str]]:
    found, reasons = [], {}
    for structure in structures:
        try:
            found.append(symmetrise(structure, symprec, fixed_cell))
        except InputError as error:
            found.append(structure)
            reasons[index_of(structure)] = str(error)
    return found, reasons

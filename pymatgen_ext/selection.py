"""What is kept of a finished set: symmetrised, ranked by energy, without duplicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.potentials.base import Potential
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from ase_crysdiff.relaxation.ranking import index_of, rank
from ase_crysdiff.sampling.sample_set import SampleSet
from ase_crysdiff.symmetry.refinement import symmetrise


@dataclass(frozen=True)
class Selection:
    """How a set was refined; part of the report.

    Args:
        potential: Name of the potential that ranked the set.
        unranked: Reason by index, for structures that it refused; they stand last.
        duplicates: By index, the better structure that made it superfluous was kept instead.
        symprec: Tolerance of the symmetrisation, Å.
        unsymmetrised: Reason by index, for structures that were left as they were.
    """

    potential: str | None = None
    unranked: Mapping[int, str] = field(default_factory=dict)
    duplicates: tuple[int, ...] = ()
    symprec: float | None = None
    unsymmetrised: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refinement:
    """What is done to a finished set: symmetrised, then ranked by energy per atom, then without
    duplicates.

    Args:
        potential: The lowest of its energies comes first; None ranks nothing.
        distinct: Whether to keep only the first structure of each class that `uniqueness` finds.
        symprec: Tolerance in Å within which atoms and cell move to where the symmetry wants them;
            None moves nothing.
        fixed_cell: Whether the cell must stay; then only atoms move.
    """

    potential: Potential | None = None
    distinct: bool = False
    symprec: float | None = None
    fixed_cell: bool = False

    @staticmethod
    def of(
        potential: "PotentialLike | None" = None,
        distinct: bool = False,
        symprec: float | None = None,
        fixed_cell: bool = False,
    ) -> "Refinement":
        """The keywords of `StructureSampler.sample`, checked; potentials are loaded here, before
        anything is drawn.

        Args:
            potential: Ranks the structures: a name, a potential or an ASE calculator.
            distinct: Whether to keep one of each class of equal structures.
            symprec: Tolerance in Å of the symmetrisation; None leaves structures alone.
            fixed_cell: Whether the cell was given and must stay.

        Raises:
            InputError: If a keyword makes no sense.
            UnknownNameError: If there is no potential of that name.
        """
        if not isinstance(distinct, bool):
            raise InputError(f"distinct must be True or False, got {distinct!r}.")
        tolerance = arguments.symprec(symprec)
        return Refinement(
            None if potential is None else as_potential(potential), distinct, tolerance, fixed_cell
        )

    def __bool__(self) -> bool:
        return self.potential is not None or self.distinct or self.symprec is not None

    def __call__(self, samples: SampleSet) -> SampleSet:
        """The refined set; the properties `crysdiff_energy_per_atom` (eV/atom), `crysdiff_symprec`
        and `crysdiff_space_group` say what was found, `crysdiff_index` stays the number of the
        draw, and the report tells what became of the others.
        """
        if not self:
            return samples
        structures, found = list(samples), Selection(symprec=self.symprec)
        if self.symprec is not None:
            structures, reasons = _symmetrised(structures, self.symprec, self.fixed_cell)
            found = replace(found, unsymmetrised=reasons)
        if self.potential is not None:
            structures, reasons = rank(structures, self.potential)
            found = replace(found, potential=self.potential.name, unranked=reasons)
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

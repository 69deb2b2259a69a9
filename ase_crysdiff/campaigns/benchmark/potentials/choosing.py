"""Which sections are measured: those that are named, or all that have their input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ase_crysdiff.campaigns.benchmark.potentials.base import Section
from ase_crysdiff.campaigns.benchmark.potentials.candidates import Candidates
from ase_crysdiff.campaigns.benchmark.potentials.consistency import Consistency
from ase_crysdiff.campaigns.benchmark.potentials.crystals import (
    COLUMN,
    Crystals,
    read_crystals,
)
from ase_crysdiff.campaigns.benchmark.potentials.defects import Surfaces, Vacancies
from ase_crysdiff.campaigns.benchmark.potentials.dissociation import Dissociation
from ase_crysdiff.campaigns.benchmark.potentials.dynamics import Dynamics
from ase_crysdiff.campaigns.benchmark.potentials.equations_of_state import EquationsOfState
from ase_crysdiff.campaigns.benchmark.potentials.formation import Formation
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_sets import (
    Elasticity,
    Equilibrium,
    HeatCapacity,
    MatCalcSection,
)
from ase_crysdiff.campaigns.benchmark.potentials.perturbed import Perturbed
from ase_crysdiff.campaigns.benchmark.potentials.phonons import Phonons
from ase_crysdiff.campaigns.benchmark.potentials.returning import Returning
from ase_crysdiff.campaigns.benchmark.potentials.speed import Speed
from ase_crysdiff.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.potential import PotentialOptions


class _LacksInputError(Exception):
    """What a section needs and was not given."""


@dataclass(frozen=True)
class _Inputs:
    """What sections are made of.

    Args:
        options: Of the benchmark.
    """

    options: "PotentialOptions"

    @cached_property
    def _file(self) -> Crystals:
        assert self.options.structures is not None
        return read_crystals(self.options.structures, self.options.limit)

    def crystals(self, count: str | None = None) -> Crystals:
        """Those of `structures`.

        Args:
            count: The option that says how many of them a section takes.
        """
        if self.options.structures is None:
            raise _LacksInputError("--structures")
        if count is not None and not getattr(self.options, count):
            raise _LacksInputError(f"--{count} above 0")
        return self._file

    def known(self) -> Crystals:
        """Crystals some of whose formation energies are known."""
        crystals = self.crystals()
        if not np.isfinite(crystals.energies).any():
            raise _LacksInputError(f"--structures with numbers in the column {COLUMN}")
        return crystals

    @property
    def moves(self) -> tuple[float, float, int]:
        """How crystals are moved: amplitude, strain, seed."""
        return self.options.amplitude, self.options.strain, self.options.seed

    def of_file(self, kind: type[MatCalcSection], path: Path | None) -> Section:
        """A section with a file of its own."""
        if path is None:
            raise _LacksInputError(f"--{kind.name}")
        return kind(path, self.options.count, self.options.seed)

    def with_extra(self, make: Callable[[], Section]) -> Section:
        """A section that an extra brings, which is needed only by who asks for the section."""
        try:
            return make()
        except MissingExtraError:
            if self.options.only:
                raise
            raise _LacksInputError("the extra") from None


#: In the order of the table.
SECTIONS: Mapping[str, Callable[[_Inputs], Section]] = {
    Formation.name: lambda i: Formation(i.known()),
    Perturbed.name: lambda i: Perturbed(i.crystals("rattled"), i.options.rattled, *i.moves),
    Returning.name: lambda i: Returning(i.crystals("relaxed"), i.options.relaxed, *i.moves),
    Candidates.name: lambda i: Candidates(i.crystals("compositions"), i.options.compositions),
    Phonons.name: lambda i: i.with_extra(lambda: Phonons(i.crystals("phonons"), i.options.phonons)),
    EquationsOfState.name: lambda i: EquationsOfState(),
    Surfaces.name: lambda i: i.with_extra(Surfaces),
    Vacancies.name: lambda i: i.with_extra(Vacancies),
    Dissociation.name: lambda i: Dissociation(),
    Elasticity.name: lambda i: i.of_file(Elasticity, i.options.elasticity),
    HeatCapacity.name: lambda i: i.of_file(HeatCapacity, i.options.heat_capacity),
    Equilibrium.name: lambda i: i.of_file(Equilibrium, i.options.equilibrium),
    Dynamics.name: lambda i: Dynamics(i.options.picoseconds, i.options.seed),
    Consistency.name: lambda i: Consistency(i.options.seed),
    Speed.name: lambda i: Speed(i.options.sizes),
}


def sections_of(options: "PotentialOptions") -> list[Section]:
    """The sections that `only` names, else those that have their input.

    Raises:
        InputError: If there is no section of a name, one that is named lacks its input, or a file
            cannot be used.
        MissingExtraError: If matcalc or phonopy is needed and not installed.
    """
    unknown = [name for name in options.only if name not in SECTIONS]
    if unknown:
        raise InputError(f"There is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}.")
    inputs, sections = _Inputs(options), []
    for name in [name for name in SECTIONS if name in (options.only or SECTIONS)]:
        try:
            sections.append(SECTIONS[name](inputs))
        except _LacksInputError as needed:
            if options.only:
                raise InputError(f"The section {name} needs {needed}.") from None
    return sections

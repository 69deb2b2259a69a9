"""The room in which potentials are set side by side: its sections and who takes part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crysdiff import arguments
from ase_crysdiff.campaigns.benchmark.potentials.base import Contender, Section, Values
from ase_crysdiff.campaigns.benchmark.potentials.crystals import (
    COLUMN,
    Crystals,
    read_crystals,
)
from ase_crysdiff.campaigns.benchmark.potentials.measuring import cleared, values_of
from ase_crysdiff.campaigns.benchmark.potentials.table import Outcome
from ase_crysdiff.campaigns.versions import versions
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.potentials.loading import as_potential, load_potential
from ase_crysdiff.storage import Store, ensure_writable

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.potential import PotentialOptions

#: Packages that bring weights of their own.
_LIBRARIES = ("ase-crysdiff", "chgnet", "matgl", "sevenn")
#: Sections that go through the crystals of `structures`, and the option with their number.
_OF_STRUCTURES = {
    "formation": None,
    "forces": "rattled",
    "relaxation": "relaxed",
    "polymorphs": "compositions",
}
#: Sections with a file of their own.
_OF_FILES = ("elasticity", "heat-capacity", "equilibrium")
_OF_NOTHING = ("solids", "dynamics", "consistency", "speed")
SECTIONS = (*_OF_STRUCTURES, *_OF_FILES, *_OF_NOTHING)


@dataclass(frozen=True)
class Room:
    """Sections, and the potentials that they ask.

    Args:
        sections: In the order of the table.
        contenders: In the order of the columns.
        reference: The potential that others are compared with; None if no section compares.
        folder: Of the values.
        keeps: Whether the values stay.
    """

    sections: Sequence[Section]
    contenders: Sequence[Contender]
    reference: Contender | None
    folder: Path
    keeps: bool

    @staticmethod
    def open(
        options: "PotentialOptions", calculator: Callable[[Any], Any], others: Mapping[str, Any]
    ) -> "Room":
        """Checks all options, reads all files and loads all potentials, before anything is
        computed.

        Args:
            options: Of the benchmark.
            calculator: Makes an ASE calculator of a potential.
            others: Potentials or ASE calculators by name.

        Raises:
            InputError: If an option makes no sense, a section lacks its input, or a file cannot be
                used.
            MissingExtraError: If matcalc is needed and not installed.
            UnknownNameError: If there is no potential of a name.
        """
        _check(options, others)
        ensure_writable(options.output.parent)
        sections = _Sections(options).chosen()
        made = {name: _given(name, other, calculator) for name, other in others.items()}
        made |= {name: _named(name, calculator) for name in options.potentials}
        contenders = list(made.values())
        reference = None
        if any(section.compares for section in sections):
            reference = made.get(options.reference) or _named(options.reference, calculator)
        folder = options.keep or options.output.with_suffix(".parts")
        return Room(sections, contenders, reference, folder, options.keep is not None)

    def measure(self) -> list[Outcome]:
        """The figures of all potentials, section by section."""
        return [self._measured(section) for section in self.sections]

    def close(self) -> None:
        """Removes the values, unless they are to be kept."""
        if self.keeps:
            return
        for section in self.sections:
            for contender in self._asked(section):
                cleared(self.folder, section, contender)
            place = self.folder / section.name
            for journal in place.glob("*.jsonl"):  # what the section has prepared
                journal.unlink()
            _remove_empty(place)
        _remove_empty(self.folder)

    def _asked(self, section: Section) -> list[Contender]:
        """Who is asked in a section: the contenders, and the reference where it compares."""
        extra = [self.reference] if section.compares and self.reference is not None else []
        return [*self.contenders, *(c for c in extra if c not in self.contenders)]

    def _measured(self, section: Section) -> Outcome:
        items = section.items(Store(self.folder / section.name))
        found = {c.name: values_of(self.folder, section, c, items) for c in self._asked(section)}
        against = Values()
        if section.compares and self.reference is not None:
            against = found[self.reference.name]
        outcome = Outcome(section)
        for contender in self.contenders:
            name, values = contender.name, found[contender.name]
            outcome.failures[name] = values.failures
            try:
                outcome.rows[name] = section.rows(contender, values, against)
                outcome.parities[name] = section.parities(contender, values, against)
            except InputError as error:
                outcome.missing[name] = str(error)
        return outcome


@dataclass(frozen=True)
class _Sections:
    """Makes the sections that are asked for."""

    options: "PotentialOptions"

    def chosen(self) -> list[Section]:
        """Those that are named, else those that have their input.

        Raises:
            InputError: If a section that is named lacks its input.
        """
        lacking = {name: self._lack(name) for name in SECTIONS}
        for name in self.options.only:
            if lacking[name]:
                raise InputError(f"The section {name} needs {lacking[name]}.")
        wanted = self.options.only or [name for name in SECTIONS if not lacking[name]]
        return [self._made(name) for name in SECTIONS if name in wanted]

    def _lack(self, name: str) -> str:
        """What a section misses; empty if nothing."""
        if name in _OF_FILES:
            return "" if self._file(name) else f"--{name}"
        count = _OF_STRUCTURES.get(name)
        if name in _OF_STRUCTURES and self.options.structures is None:
            return "--structures"
        if name == "formation" and not np.isfinite(self._crystals.energies).any():
            return f"--structures with numbers in the column {COLUMN}"
        return f"--{count} above 0" if count and not getattr(self.options, count) else ""

    def _file(self, name: str) -> Path | None:
        path: Path | None = getattr(self.options, name.replace("-", "_"))
        return path

    def _made(self, name: str) -> Section:
        if name in _OF_FILES:
            return self._of_file(name)
        return self._of_structures(name) if name in _OF_STRUCTURES else self._of_nothing(name)

    @cached_property
    def _crystals(self) -> Crystals:
        assert self.options.structures is not None
        return read_crystals(self.options.structures, self.options.limit)

    def _of_structures(self, name: str) -> Section:
        from ase_crysdiff.campaigns.benchmark.potentials.candidates import Candidates
        from ase_crysdiff.campaigns.benchmark.potentials.formation import Formation
        from ase_crysdiff.campaigns.benchmark.potentials.perturbed import Perturbed
        from ase_crysdiff.campaigns.benchmark.potentials.returning import Returning

        o, crystals = self.options, self._crystals
        if name == "formation":
            return Formation(crystals)
        if name == "forces":
            return Perturbed(crystals, o.rattled, o.amplitude, o.strain, o.seed)
        if name == "relaxation":
            return Returning(crystals, o.relaxed, o.amplitude, o.strain, o.seed)
        return Candidates(crystals, o.compositions)

    def _of_file(self, name: str) -> Section:
        from ase_crysdiff.campaigns.benchmark.potentials import matcalc_sets

        kinds = matcalc_sets.Elasticity, matcalc_sets.HeatCapacity, matcalc_sets.Equilibrium
        make = {kind.name: kind for kind in kinds}[name]
        path = self._file(name)
        assert path is not None
        return make(path, self.options.count, self.options.seed)

    def _of_nothing(self, name: str) -> Section:
        from ase_crysdiff.campaigns.benchmark.potentials.consistency import Consistency
        from ase_crysdiff.campaigns.benchmark.potentials.dynamics import Dynamics
        from ase_crysdiff.campaigns.benchmark.potentials.equations_of_state import (
            EquationsOfState,
        )
        from ase_crysdiff.campaigns.benchmark.potentials.speed import Speed

        o = self.options
        if name == "solids":
            return EquationsOfState()
        if name == "dynamics":
            return Dynamics(o.picoseconds, o.seed)
        return Consistency(o.seed) if name == "consistency" else Speed(o.sizes)


def _remove_empty(folder: Path) -> None:
    """Another run may have left something in it."""
    if not any(folder.iterdir()):
        folder.rmdir()


def _check(options: "PotentialOptions", others: Mapping[str, Any]) -> None:
    """Refuses nonsense."""
    names = [*others, *options.potentials]
    if not names:
        raise InputError("At least one potential is needed: dao-p, chgnet, or an ASE calculator.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Each potential can have one column; {', '.join(twice)} are given twice.")
    unknown = [name for name in options.only if name not in SECTIONS]
    if unknown:
        raise InputError(f"There is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}.")
    for name in ("rattled", "relaxed", "compositions", "seed"):
        arguments.positive(name, getattr(options, name), least=0)
    for name in ("limit", "count"):
        if getattr(options, name) is not None:
            arguments.positive(name, getattr(options, name))
    for size in options.sizes:
        arguments.positive("sizes", size)
    arguments.above_zero("picoseconds", options.picoseconds, "ps")
    arguments.above_zero("amplitude", options.amplitude, "Å")
    arguments.above_zero("strain", options.strain)


def _named(text: str, calculator: Callable[[Any], Any]) -> Contender:
    """A registered potential, with other weights where the text says NAME=FOLDER."""
    name, _, folder = text.partition("=")
    potential = load_potential(name, folder or None)
    identity: dict[str, Any] = {"name": name}
    try:
        card = weight_files.read_card(weight_files.find(name, folder or None))
        identity["weights_sha256"] = card.sha256
    except CheckpointError:  # its weights come with another package
        identity |= {"weights": folder or None, "versions": versions(_LIBRARIES)}
    return Contender(text, potential, calculator(potential), identity)


def _given(name: str, other: Any, calculator: Callable[[Any], Any]) -> Contender:
    """A potential or an ASE calculator that the caller has made."""
    potential = as_potential(other)
    made = calculator(potential) if potential is other else other
    kind = f"{type(other).__module__}.{type(other).__qualname__}"
    return Contender(name, potential, made, {"name": name, "class": kind})

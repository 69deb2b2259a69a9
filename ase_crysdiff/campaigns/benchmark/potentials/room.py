"""The room in which potentials are set side by side: its sections and who takes part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff import arguments
from ase_crysdiff.campaigns.benchmark.potentials.base import Contender, Section, Values
from ase_crysdiff.campaigns.benchmark.potentials.choosing import sections_of
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
            MissingExtraError: If matcalc or phonopy is needed and not installed.
            UnknownNameError: If there is no potential of a name.
        """
        _check(options, others)
        ensure_writable(options.output.parent)
        sections = sections_of(options)
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
    for name in ("rattled", "relaxed", "compositions", "phonons", "seed"):
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

"""Crystals from nothing, or with some of their elements or their number of atoms given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ase_crysdiff import arguments
from ase_crysdiff.conditions.atom_count import AtomCountPrior
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.species import AllowedSpecies, RequiredSpecies
from ase_crysdiff.conditions.temperature import Temperature
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.volume import sizes_in
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.tasks.base import (
    Contents,
    ModelWithCard,
    Task,
    allowed_classes,
    check_atomic_numbers,
    check_elements,
    check_num_atoms,
)

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities


@dataclass(frozen=True)
class ElementConstraints(Task):
    """Constraints on the elements of a crystal whose composition is found by the sampler.

    Args:
        chemical_system: Atomic numbers; exactly these elements, each present.
        elements: Atomic numbers; only these may occur.
        num_atoms: Atoms per cell.

    Raises:
        InputError: If a constraint makes no sense, or two contradict each other.
    """

    chemical_system: frozenset[int] | None = None
    elements: frozenset[int] | None = None
    num_atoms: int | None = None

    def __post_init__(self) -> None:
        system, allowed = self.chemical_system, self.elements
        for name, wished in (("chemical_system", system), ("elements", allowed)):
            if wished is not None:
                check_atomic_numbers(name, wished)
        if self.num_atoms is not None:
            arguments.positive("num_atoms", self.num_atoms)
        if system is not None and allowed is not None and not system <= allowed:
            raise InputError(
                "chemical_system asks for elements that elements= does not allow. Drop one of the "
                "two."
            )
        if system is not None and self.num_atoms is not None and self.num_atoms < len(system):
            raise InputError(
                f"{self.num_atoms} atoms cannot hold the {len(system)} elements of the chemical "
                "system."
            )

    @property
    def constraints(self) -> frozenset[str]:
        names = ("chemical_system", "elements", "num_atoms")
        return frozenset(n for n in names if getattr(self, n) is not None)

    @property
    def required_elements(self) -> frozenset[int] | None:
        return self.chemical_system

    def check_constraints(self, name: str, capabilities: "Capabilities") -> None:
        """Refuses elements and numbers of atoms that a sampler does not know.

        Raises:
            InputError: If there are any.
        """
        check_num_atoms(name, capabilities, self.num_atoms)
        named = (self.chemical_system or frozenset()) | (self.elements or frozenset())
        check_elements(name, capabilities, named)

    def choices(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        settings = model.settings
        allowed = allowed_classes(
            model, layout, (self.chemical_system, self.elements), self.num_atoms
        )
        found: list[Condition] = [
            Temperature(settings.species_temperature, settings.excluded_classes),
            AllowedSpecies(allowed),
        ]
        if self.num_atoms is None and settings.atom_count_prior is not None:
            found.append(AtomCountPrior(settings.atom_count_prior))
        if self.chemical_system is not None:
            found.append(RequiredSpecies(tuple(sorted(self.chemical_system))))
        return found


@dataclass(frozen=True)
class DeNovo(ElementConstraints):
    """New crystals; the sampler finds composition and number of atoms, as far as it is left to it.

    Args:
        chemical_system: Atomic numbers; exactly these elements, each present.
        elements: Atomic numbers; only these may occur.
        num_atoms: Atoms per cell.

    Raises:
        InputError: If a constraint makes no sense, or two contradict each other.
    """

    verb: ClassVar[str] = "make crystals from nothing"

    def check(self, name: str, capabilities: "Capabilities") -> None:
        if not capabilities.finds_species:
            raise IncompatibleError(
                f"{name!r} predicts the structure of a given composition: pass "
                "composition='SrTiO3', or use a sampler that finds compositions (miad)."
            )
        super().check(name, capabilities)
        self.check_constraints(name, capabilities)

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        space = model.model.state_space
        if self.num_atoms is not None:
            return Contents([space.encoded_size(self.num_atoms)] * len(streams))
        sizes = {n: float(count) for n, count in model.size_histogram.items()}
        if model.volume is not None:
            sizes = sizes_in(model.volume, sizes)
        odds = space.rows_odds(sizes)
        return Contents(streams.pick("numbers of atoms", list(odds), list(odds.values())))

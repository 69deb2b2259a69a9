"""What a task is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card, SamplingSettings
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.randomness import Streams
from ase_crysdiff.schedules.plans import RepaintPlan, UniformPlan
from ase_crysdiff.shapes import Bool, Tensor

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities

#: Times that a sampler visits.
Plan = UniformPlan | RepaintPlan
#: Rows of a cell, Å.
Matrix = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Contents:
    """How many rows each crystal has inside a model, and what they are if that is given.

    Args:
        sizes: Rows per crystal.
        species: Atomic numbers of the rows of each crystal; None where the model generates them.
    """

    sizes: Sequence[int]
    species: Sequence[Tensor] | None = None

    def repeated(self, count: int) -> "Contents":
        """Those of each crystal several times, one after the other."""
        species = self.species and [own for own in self.species for _ in range(count)]
        return Contents([size for size in self.sizes for _ in range(count)], species)


@dataclass(frozen=True)
class ModelWithCard:
    """A generative model and what is known about its weights: what tasks are carried out with.

    Args:
        model: State space, processes and network.
        card: Of the weights.
        volume: Of the cell, Å³, where it is given.
    """

    model: GenerativeModel
    card: Card
    volume: float | None = None

    @property
    def settings(self) -> SamplingSettings:
        """How crystals are drawn by default."""
        return self.card.sampling or SamplingSettings()

    @property
    def generates_species(self) -> bool:
        """Whether species are generated; else they must be given."""
        return "species" in self.model.joint.components

    @property
    def max_atoms(self) -> int:
        """Atoms of the largest crystal that the model was trained on."""
        return self.model.state_space.max_atoms

    @property
    def size_histogram(self) -> dict[int, int]:
        """How many training crystals had how many atoms, as far as the model holds them."""
        sizes = {int(n): int(count) for n, count in self.model.config["sizes"].items()}
        return {n: count for n, count in sizes.items() if n <= self.max_atoms}


@dataclass(frozen=True)
class Held:
    """What holds crystals on symmetry operations.

    Args:
        symmetry: Applied first and last.
        others: Further conditions that it needs.
    """

    symmetry: SymmetricAs
    others: Sequence[Condition] = ()


class Task(ABC):
    """What is asked for, and how a generative model is brought to do it.

    A task is a frozen dataclass whose fields are the constraints; None is none. The model's sampler
    knows no task: it asks for contents, a start, conditions and a plan.
    """

    #: How messages speak of it: "This sampler cannot ...".
    verb: ClassVar[str]
    #: Shortest distance that atoms are kept at, as a share of the sum of their covalent radii,
    #: where the card of a model asks for none; None leaves them alone.
    closest_approach: ClassVar[float | None] = None

    @property
    def constraints(self) -> frozenset[str]:
        """Names of the constraints that restrict the result, as far as they are set."""
        return frozenset()

    @property
    def required_elements(self) -> frozenset[int] | None:
        """Atomic numbers that each crystal must have, and no others; None if that is left open."""
        return None

    @property
    def knows_sites(self) -> bool:
        """Whether the task itself says on which symmetric sites everything new lies."""
        return False

    def check(self, name: str, capabilities: "Capabilities") -> None:
        """Refuses what a sampler with these capabilities cannot do.

        Args:
            name: Of the sampler, for the message.
            capabilities: Of the sampler.

        Raises:
            IncompatibleError: If the task is sound but not for this sampler.
            InputError: If a number or an element is outside what the sampler knows.
        """
        missing = sorted(self.constraints - capabilities.constraints)
        if missing:
            served = ", ".join(sorted(capabilities.constraints)) or "no constraints"
            raise IncompatibleError(
                f"{name!r} cannot serve {', '.join(missing)}; it takes {served}."
            )

    @abstractmethod
    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        """Rows of every crystal inside a model, one crystal per stream.

        Raises:
            InputError: If the model cannot hold them.
        """

    def plan(self, settings: SamplingSettings, steps: int | None) -> Plan:
        """The times that are visited; `steps` in place of the settings' if they are given."""
        return UniformPlan(steps or settings.steps, settings.start)

    def starts(self, model: ModelWithCard, layout: Layout, streams: Streams) -> list[Condition]:
        """What puts the first state where the plan begins."""
        return []

    def choices(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        """What steers the species, for a model that generates them."""
        return []

    def symmetry(self, model: ModelWithCard, layout: Layout, streams: Streams) -> Held | None:
        """What holds the crystals on symmetry operations that the task knows; None for nothing."""
        return None

    def properties(self, streams: Streams) -> Mapping[str, Sequence[str]]:
        """What is to be said of each crystal, by name of the property."""
        return {}

    def holds(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        """What is given and kept; applied last, so that nothing moves it any more."""
        return []


def allowed_classes(
    model: ModelWithCard,
    layout: Layout,
    limits: Sequence[frozenset[int] | None],
    num_atoms: int | None,
) -> Bool[Tensor, "rows classes"]:
    """Classes that every row may take.

    With a number of atoms given, the first rows of a crystal are atoms and the rest are not.

    Args:
        model: Of generated species.
        layout: Rows of each crystal.
        limits: Sets of atomic numbers, all of which a species must be in; None is no limit.
        num_atoms: Atoms of each crystal; None leaves it open.

    Raises:
        InputError: If no element satisfies all limits.
    """
    elements = set(model.card.elements)
    for limit in limits:
        elements &= elements if limit is None else limit
    if not elements:
        raise InputError("No element satisfies both chemical_system and elements.")
    row = torch.zeros(NUM_SPECIES, dtype=torch.bool, device=layout.device)
    row[sorted(elements)] = True
    vacancies = model.model.state_space.has_vacancies
    row[VACANCY] = vacancies and num_atoms is None
    allowed = row.repeat(layout.total_atoms, 1)
    if vacancies and num_atoms is not None:
        counts = [num_atoms] * layout.num_crystals
        beyond = ~rows_without_atoms(layout, counts).all(-1)
        allowed[beyond] = False
        allowed[beyond, VACANCY] = True
    return allowed


def rows_without_atoms(layout: Layout, counts: Sequence[int]) -> Bool[Tensor, "rows classes"]:
    """Classes that rows may take where those beyond the first ones of each crystal hold no atoms.

    Args:
        layout: Rows of each crystal.
        counts: How many rows of each crystal may take any class.
    """
    allowed = torch.ones(layout.total_atoms, NUM_SPECIES, dtype=torch.bool, device=layout.device)
    start = 0
    for size, count in zip(layout.sizes, counts, strict=True):
        allowed[start + count : start + size] = False
        allowed[start + count : start + size, VACANCY] = True
        start += size
    return allowed


def check_atomic_numbers(name: str, elements: Iterable[int]) -> None:
    """Refuses a wish for no elements, and for what is no element.

    Raises:
        InputError: If there are none, or one is no atomic number that a model can know.
    """
    numbers = list(elements)
    if not numbers:
        raise InputError(f"{name} names no element. Give one atomic number at least.")
    for number in numbers:
        if arguments.positive(f"An atomic number of {name}", number) >= NUM_SPECIES:
            raise InputError(
                f"{name} must hold atomic numbers from 1 to {NUM_SPECIES - 1}, got {number}."
            )


def check_elements(name: str, capabilities: "Capabilities", elements: frozenset[int]) -> None:
    """Refuses elements that a sampler does not know.

    Raises:
        InputError: If there are any; the message lists their symbols.
    """
    unknown = capabilities.unknown(elements)
    if unknown:
        raise InputError(f"{name!r} has not seen these elements in training: {', '.join(unknown)}.")


def check_num_atoms(name: str, capabilities: "Capabilities", num_atoms: int | None) -> None:
    """Refuses a number of atoms that a sampler cannot hold.

    Raises:
        InputError: If it is too large.
    """
    limit = capabilities.max_atoms
    if num_atoms is not None and limit is not None and num_atoms > limit:
        raise InputError(
            f"{name!r} was trained on cells of 1 to {limit} atoms, num_atoms is {num_atoms}."
        )

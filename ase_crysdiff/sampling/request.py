"""What a user asks a sampler for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.properties import Wish, is_number, is_window
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.tasks.base import Matrix, Task
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group

#: What is known of the occupied sites: which letters belong together, or which elements they hold
#: as well; several scaffolds are those of crystals one after the other; False forbids any.
PrototypeWish = Prototype | Scaffold | tuple[Scaffold, ...] | Literal[False] | None


@dataclass(frozen=True)
class SampleRequest:
    """A task, and what is wished beside it; parsed and checked.

    Args:
        task: What is to be done.
        lattice: Rows of the cell in Å, which is given and kept: Niggli-reduced, or with a symmetry
            the primitive standard cell. None leaves it open.
        space_group: Number of the space group that every crystal has, or a supergroup of it.
        prototype: Occupied sites. Of a scaffold the elements are a proposal: others with the same
            counts take their places. Crystal i of the run has scaffold i modulo their number where
            there are several. False leaves out scaffolds that a sampler would choose by itself.
        known: Whether crystals that a sampler's library holds may be answers; None leaves it to the
            task: predictions of structures may be known, new crystals may not.
        properties: What is wished of properties, by name: numbers and windows of two numbers, in
            the unit of the sampler's card, names of classes, sets of atomic numbers.
        guidance_weight: How much they count: 1 is the model's conditional probability, 0 ignores
            them, more overstates them.
        conditions: Further conditions on the sampling loop.
        filters: Further reasons to reject a crystal that was drawn (a batch of one): each gives a
            reason, or None.
        steps: Steps of the time plan; None takes the card's, and of a variation its share of them.
        on_step: Called with the share of the work that is done, for progress bars.

    Raises:
        InputError: If one of them is nothing of the kind, or a number makes no sense.
    """

    task: Task = field(default_factory=DeNovo)
    lattice: Matrix | None = None
    space_group: int | None = None
    prototype: PrototypeWish = None
    known: bool | None = None
    properties: Mapping[str, Wish] = field(default_factory=dict)
    guidance_weight: float = 1.0
    conditions: tuple[Condition, ...] = ()
    filters: tuple[Callable[[CrystalBatch], str | None], ...] = ()
    steps: int | None = None
    on_step: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        _check_each("task", Task, self.task)
        _check_each("conditions", Condition, *self.conditions)
        _check_each("filters", Callable, *self.filters)
        if self.lattice is not None and not (
            len(self.lattice) == 3
            and all(len(row) == 3 and all(map(math.isfinite, row)) for row in self.lattice)
        ):
            raise InputError(
                f"lattice must be three rows of three finite numbers in Å, got {self.lattice!r}."
            )
        self._check_symmetry()
        self._check_properties()
        if self.steps is not None:
            UniformPlan(self.steps)  # raises on a number of steps that no plan has

    @property
    def volume(self) -> float | None:
        """Of the given cell, Å³; None where it is left open."""
        if self.lattice is None:
            return None
        (a, b, c), (d, e, f), (g, h, i) = self.lattice
        return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))

    @property
    def prototypes(self) -> tuple[Prototype | Scaffold, ...]:
        """The wished prototypes or scaffolds; none where they are left open."""
        if not self.prototype:
            return ()
        return self.prototype if isinstance(self.prototype, tuple) else (self.prototype,)

    @property
    def symmetric(self) -> bool:
        """Whether the symmetry of the crystals is given."""
        return self.space_group is not None or bool(self.prototypes)

    def _check_properties(self) -> None:
        for name, value in self.properties.items():
            if not (is_number(value) or is_window(value) or isinstance(value, str | frozenset)):
                raise InputError(
                    f"The wished {name} must be a finite number, or a window of two such as "
                    f"(1.5, 2.5), got {value!r}."
                )
        arguments.not_negative("guidance_weight", self.guidance_weight)
        if self.guidance_weight != 1 and not self.properties:
            raise InputError(
                "guidance_weight weighs wished properties, and none is wished. Give some, such as "
                "properties={'energy_above_hull': 0.0}."
            )

    def _check_symmetry(self) -> None:
        if self.prototype not in (None, False):
            _check_each("prototype", Prototype | Scaffold, *self.prototypes)
            if not self.prototypes:
                raise InputError("prototype names no scaffold. Give one, None or False.")
        if self.space_group is None:
            return
        group = space_group(arguments.positive("space_group", self.space_group))
        for wished in self.prototypes:
            if wished.space_group.mirrored != group.mirrored:
                raise InputError(
                    f"The prototype {wished} has space group {wished.space_group.symbol} "
                    f"({wished.group}), but space_group asks for {group.symbol} ({group.number}). "
                    "Give one of the two."
                )


def _check_each(name: str, kind: Any, *given: Any) -> None:
    for value in given:
        if not isinstance(value, kind):
            wanted = getattr(kind, "__name__", "Prototype or a Scaffold")
            raise InputError(f"{name} of a request takes a {wanted}, got {type(value).__name__}.")

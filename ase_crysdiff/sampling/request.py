"""What a user asks a sampler for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.sampling.tasks.base import Matrix, Task
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.schedules.plans import UniformPlan


@dataclass(frozen=True)
class SampleRequest:
    """A task, and what is wished beside it; parsed and checked.

    Args:
        task: What is to be done.
        lattice: Rows of the cell in Å, Niggli-reduced; it is given and kept. None leaves it open.
        properties: Wished values by name of the property, in the unit of the sampler's card.
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
    properties: Mapping[str, float] = field(default_factory=dict)
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
        for name, value in self.properties.items():
            if not math.isfinite(value):
                raise InputError(f"The wished {name} must be a finite number, got {value!r}.")
        if self.steps is not None:
            UniformPlan(self.steps)  # raises on a number of steps that no plan has


def _check_each(name: str, kind: Any, *given: Any) -> None:
    for value in given:
        if not isinstance(value, kind):
            raise InputError(
                f"{name} of a request takes a {kind.__name__}, got {type(value).__name__}."
            )

"""What a user asks a sampler for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.sampling.tasks.base import Matrix, Task
from ase_crysdiff.sampling.tasks.de_novo import DeNovo


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
    """

    task: Task = field(default_factory=DeNovo)
    lattice: Matrix | None = None
    properties: Mapping[str, float] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    filters: tuple[Callable[[CrystalBatch], str | None], ...] = ()
    steps: int | None = None
    on_step: Callable[[float], None] | None = None

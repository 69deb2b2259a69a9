"""What a user asks a sampler for."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.host import Host

Matrix = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Start:
    """Where sampling starts in place of pure noise.

    Args:
        crystal: A crystal, a batch of one in its Niggli cell.
        time: To which it is noised, 0 to 1.
    """

    crystal: CrystalBatch
    time: float


@dataclass(frozen=True)
class SampleRequest:
    """The keywords of `StructureSampler.sample`, parsed and checked; None means no wish.

    Args:
        composition: Atomic number and count of each element of one formula unit.
        formula_units: Formula units per cell to choose from; None draws from the training
            statistics.
        compositions: In place of these two, the contents of whole cells: crystal i of the run (its
            number in the streams, not in the batch) has composition i modulo their number.
        chemical_system: Atomic numbers; exactly these elements, each present.
        elements: Atomic numbers; only these may occur.
        num_atoms: Atoms per cell.
        lattice: Rows of the cell in Å, Niggli-reduced; it is given and kept.
        host: What is known of the crystal, and guests to be placed in it; in place of all wishes
            above.
        filters: Further reasons to reject a crystal that was drawn (a batch of one): each gives a
            reason, or None.
        start: A crystal to start from; its composition stays where the sampler does not find one
            itself.
        conditions: Further conditions on the sampling loop.
        steps: Steps of the time plan; None means the card's, and with `start` its share of them.
        on_step: Called with the share of the work that is done, for progress bars.
    """

    composition: tuple[tuple[int, int], ...] | None = None
    formula_units: tuple[int, ...] | None = None
    compositions: tuple[tuple[tuple[int, int], ...], ...] | None = None
    chemical_system: frozenset[int] | None = None
    elements: frozenset[int] | None = None
    num_atoms: int | None = None
    lattice: Matrix | None = None
    host: Host | None = None
    filters: tuple[Callable[[CrystalBatch], str | None], ...] = ()
    start: Start | None = None
    conditions: tuple[Condition, ...] = ()
    steps: int | None = None
    on_step: Callable[[float], None] | None = None

    @property
    def wishes(self) -> dict[str, Any]:
        """The fields that restrict the result, as far as they are set."""
        names = [f.name for f in fields(self) if f.name not in ("steps", "on_step")]
        return {n: getattr(self, n) for n in names if getattr(self, n) not in (None, ())}


@runtime_checkable
class Sampler(Protocol):
    """What a plugin of group `ase_crysdiff.samplers` returns: `(weights, device) -> Sampler`."""

    def sample(self, request: SampleRequest, streams: Streams) -> CrystalBatch:
        """One crystal per stream, in the order of the streams. A crystal may be empty; the caller
        draws it again.

        Raises:
            IncompatibleError: If this sampler cannot serve the request.
        """
        ...

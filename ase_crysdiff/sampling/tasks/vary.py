"""Neighbours of a given crystal: noised part of the way and denoised again."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch

from ase_crysdiff import arguments
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.conditions.species import AllowedSpecies
from ase_crysdiff.conditions.start import StartFrom
from ase_crysdiff.constants import TRAINED_STEPS
from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import SamplingSettings
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.sampling.tasks.base import (
    Contents,
    Held,
    ModelWithCard,
    check_elements,
    rows_without_atoms,
)
from ase_crysdiff.sampling.tasks.de_novo import ElementConstraints
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.symmetry.operations import Operations

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities


@dataclass(frozen=True)
class Vary(ElementConstraints):
    """Crystals near a given one. Its composition stays where the sampler does not find one itself.

    Args:
        chemical_system: Atomic numbers; exactly these elements, each present.
        elements: Atomic numbers; only these may occur.
        num_atoms: Atoms per cell.
        crystal: The given crystal, a batch of one in its Niggli cell.
        time: Time to which it is noised, above 0 (the crystal itself) to 1 (no trace of it).
        operations: Symmetry operations of the crystal, which every variation keeps; None keeps
            none. The numbers that they leave free are noised alone. Where the sampler finds
            species, equivalent atoms stay of one species, and may vanish together.

    Raises:
        InputError: If a field makes no sense, or constraints contradict each other.
    """

    crystal: CrystalBatch = field(kw_only=True)
    time: float = field(kw_only=True)
    operations: Operations | None = field(default=None, kw_only=True)
    verb: ClassVar[str] = "start from this structure"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.strength(self.time)
        if len(self.crystal) != 1:
            raise InputError(
                f"A variation starts from one crystal, a batch of one, got {len(self.crystal)}."
            )
        count = len(self.crystal.species)
        if self.operations is not None and self.operations.num_atoms != count:
            raise InputError(
                f"The operations permute {self.operations.num_atoms} atoms, the crystal has "
                f"{count}."
            )
        if self.operations is not None and self.num_atoms not in (None, count):
            raise InputError(
                f"A crystal of {count} atoms that keeps its symmetry cannot be given num_atoms="
                f"{self.num_atoms}."
            )

    def check(self, name: str, capabilities: "Capabilities") -> None:
        count, limit = len(self.crystal.species), capabilities.max_atoms
        if limit is not None and count > limit:
            raise IncompatibleError(
                f"The structure has {count} atoms per cell; {name!r} holds at most {limit}. Give "
                "its primitive cell if that is smaller, or use a sampler for larger cells."
            )
        check_elements(name, capabilities, frozenset(self.crystal.species.tolist()))
        if not capabilities.finds_species:
            if self.constraints:
                raise IncompatibleError(
                    f"{name!r} takes a composition, which leaves nothing for "
                    f"{' and '.join(sorted(self.constraints))} to decide."
                )
            return
        super().check(name, capabilities)
        self.check_constraints(name, capabilities)

    def contents(self, model: ModelWithCard, streams: Streams) -> Contents:
        kept = self.crystal.species
        if not model.generates_species:
            return Contents([len(kept)] * len(streams), [kept] * len(streams))
        odds = model.model.state_space.rows_odds({len(kept): 1.0})
        rows = streams.pick("numbers of rows", list(odds), list(odds.values()))
        least = max(len(kept), self.num_atoms or 0)
        return Contents([max(least, n) for n in rows])

    def plan(self, settings: SamplingSettings, steps: int | None) -> UniformPlan:
        start = self._start(settings)
        return UniformPlan(steps or max(1, round(settings.steps * start)), start)

    def starts(self, model: ModelWithCard, layout: Layout, streams: Streams) -> list[Condition]:
        def rng(name: str, level: Level) -> CounterStream:
            rows = layout.rows_per_crystal(level)
            return streams.rng(name, 0, rows, layout.device, layout.dtype)

        time = self._start(model.settings)
        return [StartFrom(self.crystal, time, model.model.state_space, rng)]

    def choices(self, model: ModelWithCard, layout: Layout) -> list[Condition]:
        found = super().choices(model, layout)
        if self.operations is not None:  # a new atom would have no equivalent ones
            sites = [len(self.crystal.species)] * layout.num_crystals
            found.append(AllowedSpecies(rows_without_atoms(layout, sites)))
        return found

    def symmetry(self, model: ModelWithCard, layout: Layout, streams: Streams) -> Held | None:
        if self.operations is None:
            return None
        count = layout.num_crystals
        orbits = torch.from_numpy(self.operations.orbits)
        ties = torch.cat([orbits + i * len(orbits) for i in range(count)])
        points = self.crystal.frac_coords.double().repeat(count, 1)
        operations = [self.operations] * count
        tied = ties if model.generates_species else None
        return Held(SymmetricAs(operations, points, layout, ties=tied))

    def _start(self, settings: SamplingSettings) -> float:
        """On the grid of the trained steps, and no later than where a plan of the card begins."""
        latest = 0.99 if settings.start is None else settings.start
        return round(min(self.time, latest) * TRAINED_STEPS) / TRAINED_STEPS

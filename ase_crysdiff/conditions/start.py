"""Starting from a given crystal instead of pure noise."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level
from ase_crysdiff.crystal.state_space import StateSpace
from ase_crysdiff.processes.joint import JointProcess, NoisyState, StreamFor
from ase_crysdiff.randomness import RandomStream


@dataclass(frozen=True)
class StartFrom(Condition):
    """The first state is a given crystal, noised to a time by the forward law of each process; the
    plan must start there.

    Args:
        crystal: The crystal, a batch of one; all crystals of the layout start from it.
        time: 0 (the crystal itself) to 1 (no trace of it).
        space: State space of the model; puts vacancies at places drawn anew for each crystal.
        rng: Random numbers.

    Source: Jiao et al. 2023 (DiffCSP), section on property optimisation, where a known crystal is
    noised part of the way.
    """

    crystal: CrystalBatch
    time: float
    space: StateSpace
    rng: StreamFor

    def start(self, state: NoisyState, joint: JointProcess, layout: Layout) -> NoisyState:
        own = self.crystal.to(layout.device, layout.dtype)
        blocks = [(self.space.extend(own, block.size), block.count) for block in layout.blocks]
        crystals = CrystalBatch.cat([one.select([0] * count) for one, count in blocks])
        crystals = self.space.refresh(crystals, self.rng("vacancies", "atom"))
        times = torch.full(
            (layout.num_crystals,), self.time, device=layout.device, dtype=layout.dtype
        )
        return joint.corrupt(joint.encode(crystals), times, layout, self._own)[0]

    def _own(self, name: str, level: Level) -> RandomStream:
        return self.rng(f"start {name}", level)

"""A component of which every row is known, such as a given lattice."""

from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.processes.joint import DrawsFor, JointProcess, NoisyState
from ase_crysdiff.shapes import Tensor


@dataclass(frozen=True)
class KnownComponent(Condition):
    """Holds a component at its known value, noised to the level of each step, and exact at the end.

    Source: Lugmayr et al. 2022 (RePaint), equation 8a, for a component that is known everywhere.

    Args:
        component: Name of the component.
        clean: Its known value in the component's representation, one row per crystal or atom.
    """

    component: str
    clean: Tensor

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, draws: DrawsFor
    ) -> NoisyState:
        if s == 0:
            return {**state, self.component: self.clean}
        known = joint.components[self.component]
        draw = draws(f"known {self.component}", known.representation.level)
        times = torch.full((len(self.clean),), s, device=layout.device, dtype=layout.dtype)
        return {**state, self.component: known.process.corrupt(self.clean, times, draw)[0]}

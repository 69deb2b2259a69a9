"""Rows of a crystal that are known, such as the atoms of a host, while the others are generated."""

import math
from dataclasses import dataclass

import torch

from ase_crysdiff.conditions.base import Condition, Context, Denoise
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.processes.state import replaced
from ase_crysdiff.shapes import Bool, Float, Tensor


@dataclass(frozen=True)
class KnownRows(Condition):
    """Holds rows of a component at their known values, at the noise level of each step, and exactly
    at the end.

    The clean estimate of a known row is replaced by the truth. Every process then takes the reverse
    step that is right given the truth: diffusion draws from q(x_s | x_t, x_0), so that the row is
    at each time a draw from q(x_s | x_0) and all its times belong to one path; a flow runs straight
    from its draw of the prior to the truth. RePaint (Lugmayr et al. 2022, equation 8a) draws each
    level anew instead, which agrees at each single time but bends the paths of flows and makes the
    known rows jump between steps.

    Args:
        component: Name of the component.
        clean: Values in the component's representation, one per row; those of unknown rows are not
            used.
        known: Which rows are known.
        until: Time at which the rows are let go; 0 holds them to the end.
    """

    component: str
    clean: Tensor
    known: Bool[Tensor, " rows"]
    until: float = 0.0

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        def held(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            if t <= self.until:
                return prediction
            truth = joint.from_clean(self.component, state, self.clean, t, layout)
            mine = prediction[self.component]
            kept = torch.where(self._mask(mine), truth.to(mine.dtype), mine)
            return {**prediction, self.component: kept}

        return held

    def project(
        self, state: NoisyState, s: float, joint: JointProcess, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        if s > 0 or self.until > 0:
            return state
        value = state[self.component]
        return replaced(state, self.component, torch.where(self._mask(value), self.clean, value))

    def _mask(self, like: Tensor) -> Bool[Tensor, "..."]:
        """`known`, shaped to broadcast against `like`."""
        return self.known.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class KnownPositions(KnownRows):
    """Known rows of the coordinates, which also tell where the origin is.

    A network that is blind to a common shift of all atoms places them relative to each other only:
    its estimate of the host is the host moved by something, and its estimate of the guests is moved
    by the same. So before the host is put back, the whole estimate is moved by the mean
    displacement of the host's atoms (on the circle: the direction of their mean phase along each
    axis); without this the guests drift against the host.
    """

    def wrap(self, denoise: Denoise, joint: JointProcess, layout: Layout) -> Denoise:
        name = self.component

        def aligned(state: NoisyState, t: float, context: Context) -> Prediction:
            prediction = denoise(state, t, context)
            estimate = joint.clean(name, state, prediction, t, layout)
            moved = wrap(estimate - layout.broadcast(self._shift(estimate, layout), "atom"))
            return {**prediction, name: joint.from_clean(name, state, moved, t, layout)}

        return super().wrap(aligned, joint, layout)

    def _shift(
        self, estimate: Float[Tensor, "atoms 3"], layout: Layout
    ) -> Float[Tensor, "crystals 3"]:
        """Mean displacement of the known atoms of each crystal, fractional, per axis in [-1/2,
        1/2]; 0 where none is known.
        """
        angle = 2 * math.pi * shortest_image(estimate - self.clean)
        weight = self.known.to(estimate.dtype).unsqueeze(-1)
        parts = []
        for block in layout.blocks:
            sine, cosine = (
                block.view(weight * x).sum(1) for x in (torch.sin(angle), torch.cos(angle))
            )
            parts.append(torch.atan2(sine, cosine) / (2 * math.pi))
        return torch.cat(parts)

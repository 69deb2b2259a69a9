"""Several processes side by side, one per component of a crystal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.processes.base import ContinuousProcess, Process
from ase_crysdiff.randomness import Draws
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Float, Tensor

NoisyState = dict[str, Tensor]
Prediction = dict[str, Tensor]
#: Gives the random numbers of a component: (component name, level) -> Draws.
DrawsFor = Callable[[str, str], Draws]


@dataclass(frozen=True)
class Component:
    """A part of a crystal that is generated: how it is written as numbers, and how noise acts on
    them.

    Args:
        name: Key in states and predictions.
        representation: How it is written as numbers.
        process: How noise acts on them.
        loss_weight: Factor of its loss.
        centred: Whether targets and predictions have no mean over the atoms of a crystal. A network
            that is invariant under translations cannot know the common shift of all atoms: its best
            guess is zero, that part of a target is noise.
    """

    name: str
    representation: Representation
    process: Process
    loss_weight: float = 1.0
    centred: bool = False


class JointProcess:
    """The verbs of a process over the components of a crystal. A component that is given is simply
    absent.
    """

    def __init__(self, *components: Component) -> None:
        self.components: dict[str, Component] = {c.name: c for c in components}

    def encode(self, batch: CrystalBatch) -> NoisyState:
        """The clean state of a batch."""
        return {name: c.representation.encode(batch) for name, c in self.components.items()}

    def decode(
        self, state: NoisyState, layout: Layout, given: Mapping[str, Tensor]
    ) -> CrystalBatch:
        """The batch of a clean state; what is not generated is taken from `given`."""
        fields = {
            c.representation.field: c.representation.decode(state[n])
            for n, c in self.components.items()
        }
        return CrystalBatch(num_atoms=layout.num_atoms, **{**given, **fields})

    def prior(self, draws: DrawsFor) -> NoisyState:
        """A state at t = 1."""
        return {
            n: c.process.prior(draws(n, c.representation.level)) for n, c in self.components.items()
        }

    def corrupt(
        self, clean: NoisyState, t: Float[Tensor, " crystals"], layout: Layout, draws: DrawsFor
    ) -> tuple[NoisyState, Prediction]:
        """A noisy state and the targets of the network; one time per crystal."""
        state, target = {}, {}
        for name, c in self.components.items():
            level = c.representation.level
            state[name], target[name] = c.process.corrupt(
                clean[name], layout.spread(t, level), draws(name, level)
            )
        return state, target

    def reverse(
        self,
        state: NoisyState,
        prediction: Prediction,
        t: float,
        s: float,
        layout: Layout,
        draws: DrawsFor,
    ) -> NoisyState:
        """A state at s < t."""
        return {
            name: c.process.reverse(
                state[name],
                prediction[name],
                self._time(c, layout, t),
                self._time(c, layout, s),
                draws(name, c.representation.level),
            )
            for name, c in self.components.items()
        }

    def transport(
        self,
        state: NoisyState,
        estimates: Sequence[tuple[NoisyState, Prediction, float]],
        t: float,
        s: Mapping[str, float],
        layout: Layout,
        draws: DrawsFor,
    ) -> NoisyState:
        """The state at s < t along the mean of the tangents that several estimates imply; discrete
        components take `reverse`.

        Args:
            state: At t.
            estimates: States, the network's predictions for them, and their times; the first
                belongs to `state`.
            t: Time of the state.
            s: Time that each component is brought to.
            layout: Of the batch.
            draws: Random numbers for discrete components.
        """
        reached = {}
        for name, c in self.components.items():
            start, end = self._time(c, layout, t), self._time(c, layout, s[name])
            if isinstance(c.process, ContinuousProcess):
                tangents = [
                    c.process.slope(x[name], p[name], self._time(c, layout, at))
                    for x, p, at in estimates
                ]
                tangent = sum(tangents[1:], tangents[0]) / len(tangents)
                reached[name] = c.process.advance(state[name], tangent, start, end)
            else:
                prediction = estimates[0][1][name]
                reached[name] = c.process.reverse(
                    state[name], prediction, start, end, draws(name, c.representation.level)
                )
        return reached

    def correct(
        self,
        state: NoisyState,
        prediction: Prediction,
        t: float,
        sizes: Mapping[str, float],
        layout: Layout,
        draws: DrawsFor,
    ) -> NoisyState:
        """One corrector step of the named components."""
        corrected = dict(state)
        for name, size in sizes.items():
            c = self.components[name]
            draw = draws(name, c.representation.level)
            corrected[name] = c.process.correct(
                state[name], prediction[name], self._time(c, layout, t), size, draw
            )
        return corrected

    def renoise(
        self, state: NoisyState, s: float, t: float, layout: Layout, draws: DrawsFor
    ) -> NoisyState:
        """A state at t > s, noised onward from s."""
        return {
            name: c.process.renoise(
                state[name],
                self._time(c, layout, s),
                self._time(c, layout, t),
                draws(name, c.representation.level),
            )
            for name, c in self.components.items()
        }

    def loss(
        self,
        prediction: Prediction,
        target: Prediction,
        state: NoisyState,
        t: Float[Tensor, " crystals"],
        layout: Layout,
    ) -> dict[str, Float[Tensor, " rows"]]:
        """Loss per component and row, unweighted."""
        losses = {}
        for name, c in self.components.items():
            wanted = target[name]
            if c.centred:
                wanted = layout.centred(wanted)
            losses[name] = c.process.loss(
                prediction[name], wanted, state[name], layout.spread(t, c.representation.level)
            )
        return losses

    @staticmethod
    def _time(component: Component, layout: Layout, t: float) -> Tensor:
        """A time for every row of a component."""
        rows = layout.rows(component.representation.level)
        return torch.full((rows,), t, device=layout.device, dtype=layout.dtype)

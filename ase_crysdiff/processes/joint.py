"""Several processes side by side, one per component of a crystal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level, rows_of
from ase_crysdiff.processes.base import ComponentState, ContinuousProcess, Process
from ase_crysdiff.processes.state import NoisyState, kept, state_of
from ase_crysdiff.randomness import RandomStream
from ase_crysdiff.representations.base import Representation
from ase_crysdiff.shapes import Float, Int, Tensor

__all__ = ["Component", "JointProcess", "NoisyState", "Prediction", "StreamFor", "times"]

Prediction = Mapping[str, Tensor]
#: Gives the random numbers of a component: (component name, level) -> Draws.
StreamFor = Callable[[str, Level], RandomStream]


@dataclass(frozen=True)
class Component:
    """A generated part of a crystal: how it is written as numbers, and how noise acts on them.

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
    process: Process[Any]
    loss_weight: float = 1.0
    centred: bool = False

    @property
    def level(self) -> Level:
        """Whether its rows are crystals, atoms or free numbers."""
        return self.representation.level


class JointProcess:
    """The verbs of a process over the components of a crystal.

    A component that is given, not generated, is simply absent.
    """

    def __init__(self, *components: Component) -> None:
        self.components: dict[str, Component] = {c.name: c for c in components}

    def encode(self, batch: CrystalBatch) -> dict[str, Tensor]:
        """The clean values of a batch by component."""
        return {name: c.representation.encode(batch) for name, c in self.components.items()}

    def decode(
        self, state: NoisyState, layout: Layout, given: Mapping[str, Tensor]
    ) -> CrystalBatch:
        """The batch of a clean state; what is not generated is taken from `given`.

        Args:
            state: At t = 0.
            layout: Rows of each crystal.
            given: What is not generated, by field of `CrystalBatch`; other entries are passed over.
        """
        fields = {n: given[n] for n in ("lattice", "frac_coords", "species") if n in given}
        for name, c in self.components.items():
            fields[c.representation.field] = c.representation.decode(state[name])
        return CrystalBatch(num_atoms=layout.num_atoms, **fields)

    def prior(self, rng: StreamFor) -> NoisyState:
        """A state at t = 1."""
        return state_of({n: c.process.prior(rng(n, c.level)) for n, c in self.components.items()})

    def corrupt(
        self,
        clean: Mapping[str, Tensor],
        t: Float[Tensor, " crystals"],
        layout: Layout,
        rng: StreamFor,
    ) -> tuple[NoisyState, dict[str, Tensor]]:
        """A noisy state and the targets of the network; one time per crystal."""
        state, target = {}, {}
        for name, c in self.components.items():
            state[name], target[name] = c.process.corrupt(
                clean[name], layout.broadcast(t, c.level), rng(name, c.level)
            )
        return state_of(state), target

    def clean(
        self, name: str, state: NoisyState, prediction: Prediction, t: float, layout: Layout
    ) -> Tensor:
        """The clean estimate of a component that a prediction implies.

        Args:
            name: Of the component.
            state: At t.
            prediction: Of the network, by component.
            t: Time of all crystals.
            layout: Rows of each crystal.

        Returns:
            Points of the component's space, one per row; for classes logarithms of their
            probabilities, up to one number per row.
        """
        c = self.components[name]
        found: Tensor = c.process.clean(kept(state, name), prediction[name], times(c, layout, t))
        return found

    def from_clean(
        self, name: str, state: NoisyState, clean: Tensor, t: float, layout: Layout
    ) -> Tensor:
        """The prediction of a component that implies a clean estimate; inverts `clean`."""
        c = self.components[name]
        found: Tensor = c.process.from_clean(kept(state, name), clean, times(c, layout, t))
        return found

    def reverse(
        self,
        state: NoisyState,
        prediction: Prediction,
        t: float,
        s: float,
        layout: Layout,
        rng: StreamFor,
    ) -> NoisyState:
        """A state at s < t."""
        return state_of(
            {
                name: c.process.reverse(
                    kept(state, name),
                    prediction[name],
                    times(c, layout, t),
                    times(c, layout, s),
                    rng(name, c.level),
                )
                for name, c in self.components.items()
            }
        )

    def transport(
        self,
        state: NoisyState,
        estimates: Sequence[tuple[NoisyState, Prediction, float]],
        t: float,
        s: Mapping[str, float],
        layout: Layout,
        rng: StreamFor,
    ) -> NoisyState:
        """The state at s < t along the mean of the tangents that several estimates imply.

        Components without an ordinary differential equation take `reverse`.

        Args:
            state: At t.
            estimates: States, the network's predictions for them, and their times; the first
                belongs to `state`.
            t: Time of the state.
            s: Time that each component is brought to.
            layout: Of the batch.
            rng: Random numbers for components that take `reverse`.
        """
        reached = {}
        for name, c in self.components.items():
            start, end = times(c, layout, t), times(c, layout, s[name])
            if isinstance(c.process, ContinuousProcess):
                tangents = [
                    c.process.velocity(x[name], p[name], times(c, layout, at))
                    for x, p, at in estimates
                ]
                tangent = sum(tangents[1:], tangents[0]) / len(tangents)
                reached[name] = c.process.ode_step(state[name], tangent, start, end)
            else:
                reached[name] = c.process.reverse(
                    kept(state, name), estimates[0][1][name], start, end, rng(name, c.level)
                )
        return state_of(reached)

    def correct(
        self,
        state: NoisyState,
        prediction: Prediction,
        t: float,
        sizes: Mapping[str, float],
        layout: Layout,
        rng: StreamFor,
    ) -> NoisyState:
        """One corrector step of the named components."""
        corrected = {name: kept(state, name) for name in self.components}
        for name, size in sizes.items():
            c = self.components[name]
            corrected[name] = c.process.correct(
                corrected[name], prediction[name], times(c, layout, t), size, rng(name, c.level)
            )
        return state_of(corrected)

    def renoise(
        self, state: NoisyState, s: float, t: float, layout: Layout, rng: StreamFor
    ) -> NoisyState:
        """A state at t > s, noised onward from s."""
        return state_of(
            {
                name: c.process.renoise(
                    kept(state, name),
                    times(c, layout, s),
                    times(c, layout, t),
                    rng(name, c.level),
                )
                for name, c in self.components.items()
            }
        )

    def taken(
        self, state: NoisyState, crystals: Int[Tensor, " crystals"], layout: Layout
    ) -> NoisyState:
        """The state in which each crystal has the numbers of another one of equally many rows.

        Args:
            state: Of all crystals.
            crystals: Which crystal each one takes after.
            layout: Rows of each crystal.
        """
        found: dict[str, Any] = {}
        for name, c in self.components.items():
            counts = torch.tensor(layout.rows_per_crystal(c.level))
            rows = rows_of(counts, crystals.cpu())[1].to(layout.device)
            own = kept(state, name)
            if isinstance(own, ComponentState):
                others = {n: x[rows] for n, x in own.auxiliaries.items()}
                found[name] = ComponentState(own.value[rows], others)
            else:
                found[name] = own[rows]
        return state_of(found)

    def loss(
        self,
        prediction: Prediction,
        target: Prediction,
        state: NoisyState,
        t: Float[Tensor, " crystals"],
        layout: Layout,
        weights: Mapping[str, Tensor | None] | None = None,
    ) -> dict[str, Float[Tensor, " rows"]]:
        """Loss per component and row, unweighted.

        Args:
            prediction: Of the network, by component.
            target: What it should have been, by component.
            state: That it saw.
            t: Time of each crystal.
            layout: Rows of each crystal.
            weights: Of each component's rows in the mean that is taken out of a centred component;
                None, for all or for one, if rows count alike. The network cannot know in what
                direction rows move that mean nothing: with a weight of 0 they shift no others.
        """
        losses = {}
        for name, c in self.components.items():
            own, wanted = prediction[name], target[name]
            if c.centred:
                weight = None if weights is None else weights.get(name)
                wanted = layout.centred(wanted, weight)
                own = own if weight is None else layout.centred(own, weight)
            losses[name] = c.process.loss(
                own, wanted, kept(state, name), layout.broadcast(t, c.level)
            )
        return losses


def times(component: Component, layout: Layout, t: float) -> Float[Tensor, " rows"]:
    """A time for every row of a component."""
    return torch.full((layout.rows(component.level),), t, device=layout.device, dtype=layout.dtype)

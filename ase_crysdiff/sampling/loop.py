"""The sampling loop. It knows states, times and hooks, but no method."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch

from ase_crysdiff.conditions.base import Condition, Denoise
from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level
from ase_crysdiff.networks.base import Context
from ase_crysdiff.processes.joint import JointProcess, NoisyState, Prediction, StreamFor
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.sampling.solvers.base import Solver


@runtime_checkable
class Reversible(Protocol):
    """What the loop asks of a model, such as `models.generative.GenerativeModel`."""

    @property
    def joint(self) -> JointProcess:
        """Components and their processes."""
        ...

    @property
    def denoiser(self) -> Callable[..., Any]:
        """State, times, context and layout to a prediction."""
        ...


#: Called after each step with the time reached and the state.
OnStep = Callable[[float, NoisyState], None]


@torch.no_grad()
def run(
    model: Reversible,
    layout: Layout,
    context: Context,
    solver: Solver,
    plan: Iterable[tuple[float, float]],
    streams: Streams,
    conditions: Sequence[Condition] = (),
    on_step: OnStep | None = None,
) -> CrystalBatch:
    """Crystals from noise.

    Args:
        model: Processes and network.
        layout: Rows of each crystal inside the model.
        context: What is given, by field of `CrystalBatch`.
        solver: How one step is taken.
        plan: Pairs (t, s): s < t takes noise away, s > t adds it again.
        streams: Random numbers, one stream per crystal of the layout.
        conditions: What steers; their `wrap` and `project` apply in this order.
        on_step: Sees every state.

    Returns:
        The crystals, with all rows that the model sees, in the layout's order.
    """
    joint = model.joint

    def predict(state: NoisyState, t: float, context: Context) -> Prediction:
        times = torch.full((layout.num_crystals,), t, device=layout.device, dtype=layout.dtype)
        prediction: Prediction = model.denoiser(state, times, context, layout)
        return prediction

    denoise: Denoise = predict
    state = joint.prior(_random_streams(streams, layout, 0))
    for condition in conditions:
        state = condition.start(state, joint, layout)
        denoise = condition.wrap(denoise, joint, layout)
    given = partial(_given, denoise, context)
    for number, (t, s) in enumerate(plan, start=1):
        rng = _random_streams(streams, layout, number)
        if s < t:
            state = solver.step(given, joint, state, t, s, layout, rng)
        else:
            state = joint.renoise(state, t, s, layout, rng)
        for condition in conditions:
            state = condition.project(state, s, joint, layout, rng)
        for condition in conditions:
            parents = condition.parents(state, s, joint, layout, rng)
            if parents is not None:
                state = joint.taken(state, parents, layout)
                for one in dict.fromkeys(conditions):
                    one.follow(parents, layout)
        if on_step is not None:
            on_step(s, state)
    return joint.decode(state, layout, context)


def _given(denoise: Denoise, context: Context, state: NoisyState, t: float) -> Prediction:
    """The denoiser with its context: solvers see none."""
    return denoise(state, t, context)


def _random_streams(streams: Streams, layout: Layout, step: int) -> StreamFor:
    def rng(name: str, level: Level) -> CounterStream:
        return streams.rng(name, step, layout.rows_per_crystal(level), layout.device, layout.dtype)

    return rng


def counted(share_done: Callable[[float], None] | None, steps: int) -> OnStep:
    """Tells a progress bar after each step which share of them is done; None tells nobody."""
    done = 0

    def count(t: float, state: NoisyState) -> None:
        nonlocal done
        done += 1
        if share_done is not None:
            share_done(done / steps)

    return count

"""What every solver must satisfy; authors of new ones run the same checks.

Each check takes a solver and raises AssertionError with the numbers that disagree:

    for name, check in CHECKS.items():
        check(MySolver())
"""

from collections.abc import Callable, Mapping

import torch

from ase_crysdiff.crystal.batch import Layout, Level
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.joint import Component, JointProcess, NoisyState, Prediction
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.sampling.solvers.base import Solver
from ase_crysdiff.schedules.plans import UniformPlan

SIZES: tuple[int, ...] = (2, 3, 3)
STEPS = 7


def a_network_that_knows_the_truth_reaches_it(solver: Solver) -> None:
    """Whatever the number of steps, the end is the data."""
    state, truth, _ = _solved(solver)
    lattice = float((state["lattice"] - truth["lattice"]).abs().max())
    places = float(shortest_image(state["frac_coords"] - truth["frac_coords"]).abs().max())
    assert max(lattice, places) < 1e-6, f"off by {lattice:.2g} and {places:.2g} at the end"


def evaluations_are_counted(solver: Solver) -> None:
    """`evaluations` says how often the network is asked."""
    _, _, calls = _solved(solver)
    told = solver.evaluations(STEPS)
    assert told == calls, f"says {told} network evaluations for {STEPS} steps, asks for {calls}"


def crystals_do_not_feel_each_other(solver: Solver) -> None:
    """A crystal comes out the same alone and in a batch."""
    whole, _, _ = _solved(solver)
    alone, _, _ = _solved(solver, slice(0, 1))
    rows = SIZES[0]
    for name, count in (("lattice", 1), ("frac_coords", rows)):
        off = float((whole[name][:count] - alone[name]).abs().max())
        assert off < 1e-9, f"{name} of a crystal alone is off by {off:.2g}"


def states_stay(solver: Solver) -> None:
    """The state that a step begins with is not changed."""
    joint, layout, truth = _problem(SIZES)
    state = joint.prior(_random_streams(layout, 0))
    before = {name: state[name].clone() for name in state}
    solver.step(
        _oracle(joint, layout, truth), joint, state, 0.5, 0.4, layout, _random_streams(layout, 1)
    )
    for name, old in before.items():
        assert torch.equal(old, state[name]), f"{name} of the given state has changed"


CHECKS: Mapping[str, Callable[[Solver], None]] = {
    check.__name__: check
    for check in (
        a_network_that_knows_the_truth_reaches_it,
        evaluations_are_counted,
        crystals_do_not_feel_each_other,
        states_stay,
    )
}


def _problem(sizes: tuple[int, ...]) -> tuple[JointProcess, Layout, dict[str, torch.Tensor]]:
    joint = JointProcess(
        Component("lattice", LatticePolar([0.0] * 6, [1.0] * 6), LinearFlow(6)),
        Component("frac_coords", FracCoords(), TorusFlow()),
    )
    layout = Layout(sizes, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    every = {
        "lattice": torch.randn(len(SIZES), 6, generator=generator, dtype=torch.float64),
        "frac_coords": torch.rand(sum(SIZES), 3, generator=generator, dtype=torch.float64),
    }
    truth = {"lattice": every["lattice"][: len(sizes)]}
    truth["frac_coords"] = every["frac_coords"][: sum(sizes)]
    return joint, layout, truth


def _oracle(
    joint: JointProcess, layout: Layout, truth: Mapping[str, torch.Tensor]
) -> Callable[[NoisyState, float], Prediction]:
    def predict(state: NoisyState, t: float) -> Prediction:
        return {n: joint.from_clean(n, state, truth[n], t, layout) for n in truth}

    return predict


def _random_streams(layout: Layout, step: int) -> Callable[[str, Level], CounterStream]:
    streams = Streams(3, tuple(range(layout.num_crystals)))

    def rng(name: str, level: Level) -> CounterStream:
        rows = layout.rows_per_crystal(level)
        return streams.rng(name, step, rows, layout.device, layout.dtype)

    return rng


def _solved(
    solver: Solver, crystals: slice = slice(None)
) -> tuple[NoisyState, Mapping[str, torch.Tensor], int]:
    """The end of a plan, the data, and how often the network was asked."""
    joint, layout, truth = _problem(SIZES[crystals])
    known, calls = _oracle(joint, layout, truth), 0

    def counted(state: NoisyState, t: float) -> Prediction:
        nonlocal calls
        calls += 1
        return known(state, t)

    state = joint.prior(_random_streams(layout, 0))
    for number, (t, s) in enumerate(UniformPlan(STEPS, 1.0), 1):
        state = solver.step(counted, joint, state, t, s, layout, _random_streams(layout, number))
    return state, truth, calls

"""What every condition must satisfy; authors of new ones run the same checks.

Each check takes a condition that suits crystals of lattice, coordinates and species, and raises
AssertionError with what disagrees:

    for name, check in CHECKS.items():
        check(MyCondition())
"""

from collections.abc import Callable, Mapping

import torch

from ase_crysdiff.conditions.base import Condition, Context
from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.batch import Layout, Level
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.joint import Component, JointProcess, NoisyState, Prediction
from ase_crysdiff.randomness import CounterStream, Streams
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import CosineSurvival

#: Rows of the crystals that conditions are tried on.
SIZES = (4, 4, 5)
#: A class that the network holds for impossible in every row.
IMPOSSIBLE = 7
_TIMES = (0.9, 0.4, 0.05)


def predictions_keep_their_form(condition: Condition) -> None:
    """The wrapped denoiser gives the same components, shapes and number types, all finite."""
    joint, layout, state, prediction = toy()
    for t in _TIMES:
        found = _wrapped(condition, joint, layout, prediction)(state, t, {})
        assert set(found) >= set(joint.components), f"components {sorted(found)} are left"
        for name in joint.components:
            old, new = prediction[name], found[name]
            assert old.shape == new.shape, f"{name} has shape {new.shape}, expected {old.shape}"
            assert old.dtype == new.dtype, f"{name} has type {new.dtype}, expected {old.dtype}"
            assert not bool(torch.isnan(new).any()), f"{name} is not a number at t = {t}"


def what_is_given_stays(condition: Condition) -> None:
    """State and prediction are not changed in place."""
    joint, layout, state, prediction = toy()
    before = {n: (state[n].clone(), prediction[n].clone()) for n in joint.components}
    _wrapped(condition, joint, layout, prediction)(state, 0.4, {})
    condition.project(state, 0.4, joint, layout, _random_streams(layout))
    for name, (old_state, old_prediction) in before.items():
        assert torch.equal(old_state, state[name]), f"the state's {name} has changed"
        assert torch.equal(old_prediction, prediction[name]), f"the prediction of {name} changed"


def the_impossible_stays_impossible(condition: Condition) -> None:
    """A class of probability zero keeps it."""
    joint, layout, state, prediction = toy()
    for t in _TIMES:
        found = _wrapped(condition, joint, layout, prediction)(state, t, {})
        clean = joint.clean("species", state, found, t, layout)
        share = float(torch.softmax(clean, -1)[:, IMPOSSIBLE].max())
        assert share < 1e-12, f"a class that was impossible has probability {share:.2g}"


def answers_repeat(condition: Condition) -> None:
    """The same state gives the same prediction again."""
    joint, layout, state, prediction = toy()
    guided = _wrapped(condition, joint, layout, prediction)
    first, second = guided(state, 0.3, {}), guided(state, 0.3, {})
    for name in joint.components:
        assert torch.equal(first[name], second[name]), f"{name} differs when asked again"


def states_keep_their_form(condition: Condition) -> None:
    """`start` and `project` give states of the same components and shapes."""
    joint, layout, state, _ = toy()
    results = {
        "start": condition.start(state, joint, layout),
        "project": condition.project(state, 0.3, joint, layout, _random_streams(layout)),
    }
    for hook, found in results.items():
        assert set(found) == set(state), f"{hook} leaves the components {sorted(found)}"
        for name in state:
            assert found[name].shape == state[name].shape, f"{hook} changes the shape of {name}"


def given_species_make_a_condition(condition: Condition) -> None:
    """It can be told species, and its costs are numbers by name."""
    told = condition.given_species(torch.full((sum(SIZES),), 8))
    assert isinstance(told, Condition), f"given_species gives a {type(told).__name__}"
    usage = told.take_usage()
    assert all(isinstance(cost, int | float) for cost in usage.values()), f"costs are {usage}"


CHECKS: Mapping[str, Callable[[Condition], None]] = {
    check.__name__: check
    for check in (
        predictions_keep_their_form,
        what_is_given_stays,
        the_impossible_stays_impossible,
        answers_repeat,
        states_keep_their_form,
        given_species_make_a_condition,
    )
}


def toy() -> tuple[JointProcess, Layout, NoisyState, dict[str, torch.Tensor]]:
    """Processes, layout, a noisy state and a prediction that conditions can be tried on."""
    joint = JointProcess(
        Component("lattice", LatticePolar([0.0] * 5 + [1.6], [0.1] * 6), LinearFlow(6)),
        Component("frac_coords", FracCoords(), TorusFlow()),
        Component("species", ClassIndex(), CategoricalDiffusion(NUM_SPECIES, CosineSurvival())),
    )
    layout, generator = Layout(SIZES), torch.Generator().manual_seed(1)
    atoms, crystals = layout.total_atoms, layout.num_crystals
    logits = torch.randn(atoms, NUM_SPECIES, generator=generator)
    logits[:, IMPOSSIBLE] = -torch.inf
    state = {
        "lattice": torch.randn(crystals, 6, generator=generator),
        "frac_coords": torch.rand(atoms, 3, generator=generator),
        "species": torch.randint(0, 90, (atoms,), generator=generator),
    }
    prediction = {
        "lattice": torch.randn(crystals, 6, generator=generator),
        "frac_coords": 0.1 * torch.randn(atoms, 3, generator=generator),
        "species": logits,
    }
    return joint, layout, state, prediction


def _wrapped(
    condition: Condition,
    joint: JointProcess,
    layout: Layout,
    prediction: Prediction,
) -> Callable[[NoisyState, float, Context], Prediction]:
    def denoise(state: NoisyState, t: float, context: Context) -> Prediction:
        return dict(prediction)

    return condition.wrap(denoise, joint, layout)


def _random_streams(layout: Layout) -> Callable[[str, Level], CounterStream]:
    streams = Streams(5, tuple(range(layout.num_crystals)))

    def rng(name: str, level: Level) -> CounterStream:
        rows = layout.rows_per_crystal(level)
        return streams.rng(name, 1, rows, layout.device, layout.dtype)

    return rng

"""Crystals held on symmetry operations keep them, whatever is done to them."""

import numpy as np
import pytest
import torch

from ase_crysdiff.conditions.space_group import SymmetricAs
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import make as gaussian
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.processes.wrapped_diffusion import make as wrapped
from ase_crysdiff.randomness import Streams
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import CosineSurvival
from ase_crysdiff.schedules.plans import UniformPlan
from ase_crysdiff.symmetry.crystal import operations_of_scaffold
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import space_group
from ase_crysdiff.testing.conditions import CHECKS, SIZES

POLAR = LatticePolar([0.0, 0.1, 0.0, 0.0, 0.2, 1.6], [0.3] * 6)
#: Centrings P, A, C, I, F and R, hexagonal axes, polar groups, screw axes.
GROUPS = [1, 2, 5, 8, 14, 15, 36, 38, 43, 62, 88, 122, 136, 146, 155, 161, 167, 169, 178, 186, 191]
GROUPS += [203, 217, 220, 225, 227, 230]


def joint_of(kind, dtype=torch.float64):
    flow = kind == "flow"
    return JointProcess(
        Component("lattice", POLAR, LinearFlow(6) if flow else gaussian(6, "velocity")),
        Component("frac_coords", FracCoords(), TorusFlow() if flow else wrapped()),
        Component("species", ClassIndex(), CategoricalDiffusion(100, CosineSurvival())),
    )


def rich(group):
    """A scaffold of two elements on the general position and a special one."""
    tables = space_group(group)
    return Scaffold(group, ((3, tables.positions[-1].letter), (8, tables.positions[0].letter)))


def held(scaffolds, tied=False):
    layout = Layout(
        tuple(s.num_atoms for s in scaffolds),
        dtype=torch.float64,
        freedoms=tuple(s.free for s in scaffolds),
    )
    streams = Streams(7, tuple(range(len(scaffolds))))

    def rng(name, level, step=0):
        rows = layout.rows_per_crystal(level)
        return streams.rng(name, step, rows, layout.device, layout.dtype)

    return SymmetricAs.scaffolds(scaffolds, layout, rng, tied), layout, rng


def noise(layout, generator):
    """A prediction of a network that knows no symmetry."""
    atoms, crystals = layout.total_atoms, layout.num_crystals
    return {
        "lattice": torch.randn(crystals, 6, generator=generator, dtype=layout.dtype),
        "frac_coords": torch.randn(atoms, 3, generator=generator, dtype=layout.dtype),
        "species": torch.randn(atoms, 100, generator=generator, dtype=layout.dtype),
    }


@pytest.mark.parametrize("kind", ["flow", "diffusion"])
def test_any_noise_through_any_process_keeps_the_group(kind, generator):
    joint, scaffolds = joint_of(kind), sorted((rich(g) for g in GROUPS), key=lambda s: s.num_atoms)
    condition, layout, rng = held(scaffolds, tied=True)
    state = condition.start(joint.prior(rng), joint, layout)
    denoise = condition.wrap(lambda *_: noise(layout, generator), joint, layout)
    for step, (t, s) in enumerate(UniformPlan(20), start=1):

        def own(name, level, step=step):
            return rng(name, level, step)

        state = joint.correct(state, denoise(state, t, {}), t, {"frac_coords": 1e-5}, layout, own)
        state = joint.reverse(state, denoise(state, t, {}), t, s, layout, own)
        state = condition.project(state, s, joint, layout, own)
        sizes = list(layout.sizes)
        cells = POLAR.decode(state["lattice"]).numpy()
        parts = np.split(state["frac_coords"].numpy(), np.cumsum(sizes)[:-1])
        for scaffold, cell, frac in zip(scaffolds, cells, parts, strict=True):
            off = operations_of_scaffold(scaffold).deviation(frac, cell)
            assert off < 1e-5, f"{scaffold} is off by {off:.2g} Å at {s}"
        for species, scaffold in zip(state["species"].split(sizes), scaffolds, strict=True):
            pairs = zip(species.tolist(), scaffold.species, strict=True)
            assert len(set(pairs)) == 2


def test_the_first_state_is_uniform_on_the_sites():
    """(x, 2x, z) by hand: free numbers are uniform, so each decile of x holds a tenth."""
    scaffold = Scaffold(191, ((6, "q"),))
    position = scaffold.positions[0]
    condition, layout, rng = held([scaffold] * 2000)
    joint = joint_of("flow")
    state = condition.start(joint.prior(rng), joint, layout)
    anchors = state["frac_coords"][:: scaffold.num_atoms].numpy() - position.offsets[0]
    numbers = (anchors @ np.linalg.inv(position.frame).T)[:, : position.free] % 1.0
    for column in numbers.T:
        share = np.histogram(column, 10, (0, 1))[0] / len(column)
        assert np.abs(share - 0.1).max() < 4 * np.sqrt(0.09 / len(column))  # n = 2000


def test_a_symmetric_prediction_is_left_alone(generator):
    joint, scaffold = joint_of("flow"), rich(136)
    condition, layout, rng = held([scaffold])
    state = condition.start(joint.prior(rng), joint, layout)
    first = condition.wrap(lambda *_: noise(layout, generator), joint, layout)(state, 0.5, {})
    again = condition.wrap(lambda *_: first, joint, layout)(state, 0.5, {})
    for name in ("frac_coords", "lattice"):
        torch.testing.assert_close(again[name], first[name], atol=1e-9, rtol=0)
    free = torch.linalg.matrix_rank(
        torch.stack(
            [
                condition.wrap(lambda *_, v=v: v, joint, layout)(state, 0.5, {})[
                    "frac_coords"
                ].flatten()
                for v in (noise(layout, generator) for _ in range(3 * layout.total_atoms))
            ]
        )
    )
    assert int(free) == scaffold.free


def test_tied_rows_take_the_mean_of_their_logarithms(generator):
    joint, scaffold = joint_of("flow"), Scaffold(225, ((1, "c"), (2, "a")))
    condition, layout, rng = held([scaffold], tied=True)
    state = condition.start(joint.prior(rng), joint, layout)
    given = noise(layout, generator)
    pair = np.flatnonzero(scaffold.species == 1).tolist()
    given["species"][pair[0], 5] = -torch.inf
    found = condition.wrap(lambda *_: given, joint, layout)(state, 0.5, {})["species"]
    wanted = torch.log_softmax(given["species"], -1)[pair].mean(0)
    for row in pair:
        torch.testing.assert_close(found[row], wanted)
    assert found[pair[1], 5] == -torch.inf


def test_raw_lattice_matrices_are_held_without_a_turn(generator):
    joint = JointProcess(
        Component("lattice", LatticeMatrix(), LinearFlow(9)),
        Component("frac_coords", FracCoords(), TorusFlow()),
    )
    scaffold = rich(167)
    condition, layout, _ = held([scaffold])
    rows = torch.eye(3).double() * 4 + 0.3 * torch.randn(3, 3, generator=generator).double()
    places = torch.rand(layout.total_atoms, 3, generator=generator, dtype=torch.float64)
    state = condition.start({"lattice": rows.reshape(1, 9), "frac_coords": places}, joint, layout)
    cell = state["lattice"].reshape(3, 3).numpy()
    assert operations_of_scaffold(scaffold).deviation(state["frac_coords"].numpy(), cell) < 1e-9
    strain = np.linalg.inv(rows.numpy()) @ cell
    np.testing.assert_allclose(strain, strain.T, atol=1e-12)


def test_further_rows_are_left_alone(generator):
    joint, scaffold = joint_of("flow"), Scaffold(221, ((1, "a"), (2, "c")))
    layout = Layout((6,), dtype=torch.float64)
    points = torch.tensor([[0.0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    condition = SymmetricAs([operations_of_scaffold(scaffold)], points, layout)
    state = {
        "lattice": torch.zeros(1, 6).double(),
        "frac_coords": torch.rand(6, 3, generator=generator, dtype=torch.float64),
        "species": torch.tensor([3, 8, 8, 8, 0, 0]),
    }
    found = condition.start(state, joint, layout)
    assert torch.equal(found["frac_coords"][4:], state["frac_coords"][4:])
    assert float(shortest_image(found["frac_coords"][:4] - points).abs().max()) < 1e-12
    given = noise(layout, generator)
    prediction = condition.wrap(lambda *_: given, joint, layout)(state, 0.4, {})
    assert torch.equal(prediction["frac_coords"][4:], given["frac_coords"][4:])
    assert float(prediction["frac_coords"][:4].abs().max()) < 1e-12


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_contract(check):
    texts = ("Fm-3m: Li a, Na b, O c", "P4_2/mnm: Ti a, O b", "Pm-3m: Sr a, Ti b, O c")
    scaffolds = [Scaffold.parse(text) for text in texts]
    assert tuple(s.num_atoms for s in scaffolds) == SIZES
    check(held(scaffolds, tied=True)[0])

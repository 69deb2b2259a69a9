"""Atoms of the clean estimate are pushed apart, and nothing else is touched."""

import pytest
import torch

from ase_crysdiff.conditions.closest_approach import ClosestApproach
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.distances import shortest_distance
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.processes.categorical_diffusion import CategoricalDiffusion
from ase_crysdiff.processes.flow import LinearFlow, TorusFlow
from ase_crysdiff.processes.joint import Component, JointProcess
from ase_crysdiff.representations.class_index import ClassIndex
from ase_crysdiff.representations.frac_coords import FracCoords
from ase_crysdiff.representations.lattice_polar import LatticePolar
from ase_crysdiff.schedules.noise import CosineSurvival

RADII = covalent_radii()
SODIUM, CHLORINE, VACANCY = 11, 17, 0
CLEAN = torch.tensor([[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
CELL = torch.tensor([[0.1, 0.05, 0.0, 0.05, 0.0, 1.8]], dtype=torch.float64)


@pytest.fixture
def joint():
    return JointProcess(
        Component("lattice", LatticePolar([0.0] * 6, [1.0] * 6), LinearFlow(6)),
        Component("frac_coords", FracCoords(), TorusFlow()),
        Component("species", ClassIndex(), CategoricalDiffusion(100, CosineSurvival())),
    )


def corrected(joint, condition, species, t=0.3, crystals=1):
    """The clean coordinates that the wrapped denoiser implies, and the lattice."""
    layout = Layout((3,) * crystals, dtype=torch.float64)
    clean, cell = CLEAN.repeat(crystals, 1), CELL.expand(crystals, -1)
    species = torch.tensor(species * crystals)
    generator = torch.Generator().manual_seed(1)
    state = {
        "lattice": cell + 0.1,
        "frac_coords": (clean + 0.05 * torch.randn(3 * crystals, 3, generator=generator)) % 1,
        "species": species,
    }
    rows = torch.full((3 * crystals,), t, dtype=torch.float64)

    def denoise(state, t, context):
        return {
            "lattice": joint.components["lattice"].process.from_clean(
                state["lattice"], cell, rows[:crystals]
            ),
            "frac_coords": joint.components["frac_coords"].process.from_clean(
                state["frac_coords"], clean, rows
            ),
            "species": torch.nn.functional.one_hot(species, 100).double() * 9,
        }

    prediction = condition.wrap(denoise, joint, layout)(state, t, {})
    result = joint.components["frac_coords"].process.clean(
        state["frac_coords"], prediction["frac_coords"], rows
    )
    return result, joint.components["lattice"].representation.decode(cell)


def test_a_close_pair_ends_at_the_wanted_distance_and_keeps_its_centre(joint):
    result, lattice = corrected(joint, ClosestApproach(0.9), [SODIUM, CHLORINE, CHLORINE])
    wanted = 0.9 * float(RADII[SODIUM] + RADII[CHLORINE])
    assert float(shortest_distance(CLEAN, lattice[0])[0, 1]) < 0.5 * wanted
    assert float(shortest_distance(result, lattice[0])[0, 1]) == pytest.approx(wanted, abs=1e-9)
    moved = shortest_image(result - CLEAN)
    torch.testing.assert_close(moved[0], -moved[1], atol=1e-12, rtol=0)
    torch.testing.assert_close(moved[2], torch.zeros(3).double(), atol=1e-12, rtol=0)


def test_vacancies_neither_push_nor_move(joint):
    result, _ = corrected(joint, ClosestApproach(0.9), [SODIUM, VACANCY, CHLORINE])
    assert float(shortest_image(result - CLEAN).abs().max()) < 1e-12


def test_nothing_happens_before_its_window(joint):
    result, _ = corrected(
        joint, ClosestApproach(0.9, window=0.25), [SODIUM, CHLORINE, CHLORINE], t=0.3
    )
    assert float(shortest_image(result - CLEAN).abs().max()) < 1e-12


def test_given_species_take_the_place_of_predicted_ones(joint):
    small = torch.tensor([1, 1, 1])
    result, lattice = corrected(
        joint, ClosestApproach(0.9, species=small), [SODIUM, CHLORINE, CHLORINE]
    )
    assert float(shortest_distance(result, lattice[0])[0, 1]) < 0.9 * float(
        RADII[SODIUM] + RADII[CHLORINE]
    )


def test_crystals_of_a_batch_do_not_feel_each_other(joint):
    alone, _ = corrected(joint, ClosestApproach(0.9), [SODIUM, CHLORINE, CHLORINE])
    together, _ = corrected(joint, ClosestApproach(0.9), [SODIUM, CHLORINE, CHLORINE], crystals=4)
    torch.testing.assert_close(together[:3], alone, atol=1e-12, rtol=0)

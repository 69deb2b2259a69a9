"""Guided sampling has the tilted law; what cannot be guided is left alone and counted."""

import math

import pytest
import torch
from gaussians import FREE, assert_law, gaussian_denoiser, joint_of, sampled

from ase_crysdiff.conditions import energy_guidance
from ase_crysdiff.conditions.energy_guidance import CleanEnergyGuidance
from ase_crysdiff.conditions.proximal import proximal_minimum
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.potentials.base import Configurations, Evaluation
from ase_crysdiff.sampling.solvers.ode import Ode

EVERYTHING = frozenset(range(1, 100))


class Springs:
    """E = N (stiffness/2) Σ (x - rest)², in fractional coordinates and in the logarithm of the
    volume's cube root.
    """

    def __init__(self, stiffness, rest, cell_stiffness=0.0, cell_rest=0.0):
        self.stiffness, self.rest, self.cell_stiffness, self.cell_rest = (
            stiffness,
            rest,
            cell_stiffness,
            cell_rest,
        )

    def __call__(self, sets: Configurations) -> Evaluation:
        index, count = sets.index, sets.num_atoms
        inverse = torch.linalg.inv(sets.cells)
        away = shortest_image((sets.positions.unsqueeze(1) @ inverse[index]).squeeze(1) - self.rest)
        slope = self.stiffness * away * count[index][:, None]
        forces = -(slope.unsqueeze(1) @ inverse[index].transpose(1, 2)).squeeze(1)
        volume = torch.linalg.det(sets.cells).abs()
        grown = volume.log() / 3 - self.cell_rest
        energies = self.stiffness / 2 * away.square().sum(-1) * count[index]
        energies = energies + (self.cell_stiffness / 2 * grown.square())[index]
        pressure = self.cell_stiffness * grown * count / 3 / volume
        stress = (
            pressure[:, None, None] * torch.eye(3, dtype=volume.dtype)
            if self.cell_stiffness
            else torch.full_like(sets.cells, torch.nan)
        )
        return Evaluation(
            energies, torch.zeros_like(volume).index_add(0, index, energies), forces, stress
        )


def test_proximal_minimum_of_the_reference_case():
    """Data N(-0.5, 0.3), E = (x - 1)²: the tilted mean is 0.0625; one step of first order gives
    0.4.
    """

    def energy(u, chosen):
        x = -0.5 + math.sqrt(0.3) * u["x"]
        return (x[:, 0] - 1) ** 2, {"x": 2 * (x - 1) * math.sqrt(0.3)}

    best, found = proximal_minimum(
        energy, {"x": torch.zeros(3, 1).double()}, {"x": torch.arange(3)}, 3, lambda u: u
    )
    torch.testing.assert_close(
        -0.5 + math.sqrt(0.3) * best["x"], torch.full((3, 1), 0.0625).double(), atol=1e-12, rtol=0
    )
    assert found.all()


@pytest.mark.parametrize("stiffness", [1e-3, 0.5, 3.0, 1e4])
def test_proximal_minimum_of_any_stiffness_and_a_crystal_without_energy(stiffness):
    target = torch.tensor([[2.0], [-1.0], [5.0]]).double()

    def energy(u, chosen):
        value = stiffness / 2 * (u["x"] - target).square().sum(-1)
        value[1] = torch.nan
        return value, {"x": stiffness * (u["x"] - target)}

    best, found = proximal_minimum(
        energy, {"x": torch.zeros(3, 1).double()}, {"x": torch.arange(3)}, 3, lambda u: u
    )
    wanted = target * stiffness / (1 + stiffness)
    wanted[1] = 0
    assert found.tolist() == [True, False, True]
    torch.testing.assert_close(best["x"], wanted, atol=1e-2 * stiffness, rtol=1e-6)


def test_proximal_minimum_takes_back_what_fails():
    """Beyond 0.5 there is no energy: the way down ends before, and never above the start."""

    def energy(u, chosen):
        x = u["x"][:, 0]
        return torch.where(x > 0.5, torch.inf, -8 * x), {"x": torch.full_like(u["x"], -8.0)}

    best, found = proximal_minimum(
        energy, {"x": torch.zeros(2, 1).double()}, {"x": torch.arange(2)}, 2, lambda u: u
    )
    assert found.all()
    assert ((best["x"] > 0.05) & (best["x"] <= 0.5)).all()


@pytest.mark.parametrize(
    ("family", "scale", "bias"),
    [("diffusion", 1.0, 0.1), ("diffusion", 3.0, 0.15), ("flow", 1.0, 0.1)],
)
def test_guided_coordinates_have_the_product_of_both_laws(family, scale, bias):
    """Normal data and springs in three dimensions; unguided, the mean would be off by 0.8
    deviations of the product or more.
    """
    mean, variance, stiffness, rest = 0.45, 0.05**2, 300.0, 0.52
    joint, layout = joint_of(family), Layout((1,) * 400, dtype=torch.float64)
    guidance = CleanEnergyGuidance(
        Springs(stiffness, rest),
        EVERYTHING,
        scale,
        **FREE,
        variances={"frac_coords": variance},
        species=torch.full((400,), 6),
    )
    solver = Ode(1) if family == "flow" else None
    state = sampled(
        joint, guidance, layout, gaussian_denoiser(joint, layout, mean, variance), 100, solver
    )
    product = 1 / (1 / variance + scale * stiffness)
    centre = product * (mean / variance + scale * stiffness * rest)
    assert_law(state["frac_coords"].flatten(), centre, product, bias)
    assert guidance.usage.evaluations > 0
    assert not guidance.usage.unguided


@pytest.mark.parametrize("family", ["diffusion", "flow", "flow by Heun"])
def test_guided_lattices_have_the_product_of_both_laws(family, monkeypatch):
    """The standard normal number of the volume, tilted by springs on the logarithm of the
    volume.
    """
    joint = joint_of("flow" if "flow" in family else "diffusion")
    layout = Layout((1,) * 400, dtype=torch.float64)
    stiffness, rest = 150.0, math.log(4.0) + 0.1
    guidance = CleanEnergyGuidance(
        Springs(0.0, 0.0, stiffness, rest),
        EVERYTHING,
        1.0,
        **FREE,
        variances={"lattice": 1.0, "frac_coords": 1e-9},
        species=torch.full((400,), 6),
    )
    monkeypatch.setattr(
        energy_guidance, "MAX_NOISE", 1.0
    )  # the lattice does not need the coordinates here
    solver = {"flow by Heun": Ode(2), "flow": Ode(1)}.get(family)
    state = sampled(
        joint, guidance, layout, gaussian_denoiser(joint, layout, 0.5, 0.05**2), 50, solver
    )
    k = stiffness * 0.1**2  # in standardised numbers
    product = 1 / (1 + k)
    number = state["lattice"][:, 5]
    assert_law(number, product * k * 1.0, product, bias=0.12)
    assert_law(state["lattice"][:, 0], 0.0, 1.0, bias=0.05)

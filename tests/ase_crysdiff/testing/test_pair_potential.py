"""The potential of the tests against a plain loop, finite differences and symmetry."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential


def configurations(structures=None, dtype=torch.float64):
    return Configurations.from_crystals(from_structures(structures or rattled(5))).to(dtype=dtype)


def plain_energy(atoms, potential):
    """Pair by pair over ASE's neighbour list."""
    total = 0.0
    for i, j, r in zip(*neighbor_list("ijd", atoms, potential.cutoff), strict=True):
        r0 = covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]]
        x = r / potential.cutoff
        bond = potential.depth * ((1 - np.exp(-potential.stiffness * (r - r0))) ** 2 - 1)
        total += 0.5 * bond * (1 - 28 * x**6 + 48 * x**7 - 21 * x**8)
    return total


@pytest.mark.parametrize(
    "periodic",
    [(True, True, True), (True, True, False), (False, True, False), (False, False, False)],
)
def test_energy_matches_plain_loop(periodic):
    potential = PairPotential()
    given = configurations()
    given = Configurations(
        given.positions + 7.3,
        given.cells,
        torch.tensor([periodic] * 5),
        given.species,
        given.num_atoms,
    )
    found = potential.evaluate(given)
    for i in range(5):
        one = given.select([i])
        atoms = Atoms(
            one.species.numpy(), one.positions.numpy(), cell=one.cells[0].numpy(), pbc=periodic
        )
        assert float(found.energy[i]) == pytest.approx(plain_energy(atoms, potential), abs=1e-10)
    assert torch.isnan(found.stress).all() == (not all(periodic))


def test_forces_and_stress_match_finite_differences(generator):
    potential, given, step = PairPotential(), configurations(), 1e-4
    found = potential.evaluate(given)

    def energy(positions, cells):
        moved = Configurations(positions, cells, given.periodic, given.species, given.num_atoms)
        return potential.evaluate(moved).energy

    direction = torch.randn(given.positions.shape, generator=generator, dtype=torch.float64)
    strain = torch.randn(len(given), 3, 3, generator=generator, dtype=torch.float64)
    ends = [energy(given.positions + sign * step * direction, given.cells) for sign in (1, -1)]
    expected = -torch.zeros(5, dtype=torch.float64).index_add(
        0, given.index, (found.forces * direction).sum(-1)
    )
    torch.testing.assert_close((ends[0] - ends[1]) / (2 * step), expected, rtol=1e-5, atol=1e-5)

    ends = []
    for sign in (1, -1):
        deform = torch.eye(3, dtype=torch.float64) + sign * step * (strain + strain.mT) / 2
        ends.append(
            energy(
                (given.positions.unsqueeze(1) @ deform[given.index]).squeeze(1),
                given.cells @ deform,
            )
        )
    expected = torch.linalg.det(given.cells).abs() * (found.stress * strain).sum((1, 2))
    torch.testing.assert_close((ends[0] - ends[1]) / (2 * step), expected, rtol=1e-5, atol=1e-5)


def test_supercell_and_moved_images_change_nothing():
    potential = PairPotential()
    structures = rattled(5)
    found = potential.evaluate(configurations(structures))
    doubled = potential.evaluate(
        configurations([s.make_supercell([2, 1, 1], in_place=False) for s in structures])
    )
    torch.testing.assert_close(
        doubled.energy, 2 * found.energy, rtol=0, atol=1e-4
    )  # coordinates are rounded to float32
    torch.testing.assert_close(doubled.stress, found.stress, rtol=0, atol=1e-5)


def test_single_precision_agrees_and_batch_equals_singles():
    given = configurations()
    exact = PairPotential().evaluate(given)
    found = PairPotential(dtype=torch.float32).evaluate(given)
    assert found.forces.dtype == torch.float32
    torch.testing.assert_close(found.forces.double(), exact.forces, rtol=1e-4, atol=1e-4)
    for i in range(len(given)):
        single = PairPotential().evaluate(given.select([i]))
        torch.testing.assert_close(single.energy[0], exact.energy[i], rtol=1e-13, atol=0)


def test_bad_input_is_refused():
    given = configurations()
    broken = given.positions.clone()
    broken[0, 0] = torch.nan
    with pytest.raises(InputError, match="finite"):
        PairPotential().evaluate(
            Configurations(broken, given.cells, given.periodic, given.species, given.num_atoms)
        )
    with pytest.raises(InputError, match="does not know"):
        PairPotential().evaluate(
            Configurations(
                given.positions, given.cells, given.periodic, given.species * 0, given.num_atoms
            )
        )

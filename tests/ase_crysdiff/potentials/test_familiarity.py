"""Distances against the definition, and what shipped weights say of what they know and what not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models import weights
from ase_crysdiff.networks.graph import Graph
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.potentials.convert import from_atoms
from ase_crysdiff.potentials.doubts import doubt, expected_errors, uncertainties
from ase_crysdiff.potentials.familiarity import FILE, PRIOR_ATOMS, Familiarity, learnt_from
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture(scope="module")
def dao_p():
    return load_potential("dao-p")


@pytest.fixture(scope="module")
def crystals():
    return [
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("MgO", "rocksalt", a=4.21),
        bulk("Si", "diamond", a=5.43),
        bulk("Cu", "fcc", a=3.61),
        bulk("ZnS", "zincblende", a=5.41),
        bulk("CsCl", "cesiumchloride", a=4.12),
        bulk("Fe", "bcc", a=2.87),
    ]


def strange(crystals):
    """Pressed to half the volume, and with atoms at random places."""
    generator = np.random.default_rng(0)
    pressed, random = [], []
    for atoms in crystals:
        small, loose = atoms.copy(), atoms.repeat(2)
        small.set_cell(atoms.cell * 0.5 ** (1 / 3), scale_atoms=True)
        loose.set_scaled_positions(generator.random((len(loose), 3)))
        pressed.append(small)
        random.append(loose)
    return pressed, random


def graph_of(species, systems):
    none = torch.zeros(0, dtype=torch.long)
    vectors = torch.zeros(0, 3)
    return Graph(species, systems, int(systems.max()) + 1, none, none, vectors.long(), vectors)


def test_distances_are_those_of_mahalanobis():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    features = torch.randn(20_000, 4, generator=generator, dtype=torch.float64) @ mixing
    species = torch.full((20_000,), 8)
    known = learnt_from(features, species, 10)
    new = 3 * torch.randn(5, 4, generator=generator, dtype=torch.float64)
    centred = new - features.mean(0)
    covariance = torch.cov(features.T)
    exact = (centred * torch.linalg.solve(covariance, centred.T).T).sum(-1) / 4
    found = known.distances(new, torch.full((5,), 8)) ** 2
    # the common distribution, mixed in, is the same one here; centres know 5 atoms more
    torch.testing.assert_close(found, exact, rtol=2e-3, atol=1e-3)
    assert len(features) > PRIOR_ATOMS


def test_an_element_has_a_shape_of_its_own():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(5000, 3, generator=generator) * torch.tensor([5.0, 1.0, 1.0])
    narrow = torch.randn(5000, 3, generator=generator)
    species = torch.tensor([1] * 5000 + [2] * 5000)
    known = learnt_from(torch.cat([wide, narrow]), species, 3)
    far = torch.tensor([[6.0, 0.0, 0.0], [6.0, 0.0, 0.0]])
    one, other = known.distances(far, torch.tensor([1, 2])).tolist()
    assert other > 3 * one


def test_a_system_counts_the_mean_square_of_its_atoms():
    known = replace(
        learnt_from(torch.randn(500, 2, generator=torch.Generator().manual_seed(0)), _ones(500), 2),
        scale=0.1,
        exponent=2.0,
        limit=0.3,
    )
    features = torch.tensor([[0.0, 1.0], [4.0, 0.0], [1.0, 1.0]])
    said = known.uncertainty(features, graph_of(_ones(3), torch.tensor([0, 0, 1])))
    torch.testing.assert_close(said.systems[0], said.atoms[:2].mean())  # at exponent 2
    torch.testing.assert_close(said.systems[1], said.atoms[2])
    assert said.is_outside.tolist() == (said.systems > 0.3).tolist()


def _ones(count):
    return torch.ones(count, dtype=torch.long)


def test_crystals_are_inside_and_strange_arrangements_outside(dao_p, crystals):
    pressed, random = (uncertainties(dao_p, from_atoms(some)) for some in strange(crystals))
    real = uncertainties(dao_p, from_atoms(crystals))
    assert not real.is_outside.any()
    assert (real.systems > 0).all()
    assert (pressed.systems > real.systems).all()
    assert random.is_outside.all()


def test_supercells_and_batches_have_the_same_numbers(dao_p, crystals):
    together = dao_p.uncertainty(from_atoms(crystals))
    alone = [dao_p.uncertainty(from_atoms([atoms])).systems for atoms in crystals]
    large = dao_p.uncertainty(from_atoms([atoms.repeat(2) for atoms in crystals])).systems
    torch.testing.assert_close(torch.cat(alone), together.systems, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(large, together.systems, rtol=1e-3, atol=1e-5)


def test_energies_and_forces_do_not_know_of_it(dao_p, crystals):
    given = from_atoms(crystals)
    before = dao_p.evaluate(given)
    dao_p.uncertainty(given)
    bare = load_potential("dao-p")
    bare.familiarity = None
    for other in (dao_p.evaluate(given), bare.evaluate(given)):
        assert torch.equal(before.energy, other.energy)
        assert torch.equal(before.forces, other.forces)
        assert torch.equal(before.stress, other.stress)


def test_the_doubtful_atom_is_named(dao_p):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 1))
    atoms.positions[5] += [1.4, 0.0, 0.3]
    said = dao_p.uncertainty(from_atoms([atoms]))
    near = atoms.get_distances(5, range(len(atoms)), mic=True)
    assert near[int(said.atoms.argmax())] < 3.0  # it, or whom it has come close to
    words = doubt("dao-p", 0.5, 0.1, np.array([0.1, 0.1, 0.9]), [11, 11, 17])
    assert words is not None
    assert words.endswith("above 0.1, most doubtful at atom 2 (Cl)")
    assert doubt("dao-p", 0.05, 0.1, np.array([0.05]), [11]) is None
    assert doubt("dao-p", float("nan"), 0.1, np.array([0.05]), [11]) is None


def test_what_nobody_says_is_not_a_number(crystals):
    potential = PairPotential()
    found, doubts = expected_errors(potential, from_atoms(crystals[:2]))
    assert np.isnan(found).all()
    assert not doubts
    said = potential.uncertainty(from_atoms(crystals[:2]))
    assert said.systems.isnan().all()
    assert said.atoms.isnan().all()
    assert not said.is_outside.any()


def test_no_systems_have_no_numbers(dao_p):
    none = from_atoms([])
    assert isinstance(none, Configurations)
    assert len(dao_p.uncertainty(none).systems) == 0


def test_weights_without_it_load_and_say_nothing(tmp_path, crystals):
    folder = shutil.copytree(weights.find("dao-p"), tmp_path / "dao-p")
    (folder / FILE).unlink()
    potential = load_potential("dao-p", weights=folder)
    assert np.isnan(potential.uncertainty_limit)
    assert potential.uncertainty(from_atoms(crystals)).systems.isnan().all()


def test_one_made_for_other_weights_is_refused(tmp_path):
    folder = shutil.copytree(weights.find("dao-p"), tmp_path / "dao-p")
    card = weights.read_card(folder)
    known = Familiarity.load(folder, card)
    assert known is not None
    known.save(folder, replace(card, sha256="0" * 64))
    with pytest.raises(CheckpointError, match="was made for the weights 000000000000"):
        load_potential("dao-p", weights=folder)
    (folder / FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_potential("dao-p", weights=folder)


def test_it_comes_back_as_it_was_written(tmp_path):
    card = weights.read_card(weights.find("dao-p"))
    features = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    known = replace(learnt_from(features, _ones(300), 2), scale=0.25, exponent=1.5, limit=0.7)
    known.save(tmp_path, card)
    back = Familiarity.load(tmp_path, card)
    assert back is not None
    assert (back.scale, back.exponent, back.limit) == (0.25, 1.5, 0.7)
    torch.testing.assert_close(
        back.distances(features, _ones(300)),
        known.distances(features, _ones(300)),
        rtol=2e-3,
        atol=0,
    )

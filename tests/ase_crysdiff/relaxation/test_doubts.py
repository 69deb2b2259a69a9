"""What results, rankings, hulls and calculators say of crystals that `dao-p` does not know."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.io import read
from pymatgen.core import Lattice, Structure

from ase_crysdiff.metrics.stability import energy_uncertainty
from ase_crysdiff.potentials.base import Uncertainty
from ase_crysdiff.potentials.doubts import uncertainties
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.relaxation.ranking import rank
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.structures import configurations
from calculators import DAOPCalculator, PotentialCalculator
from pymatgen_ext import energy_above_hull, relax


@pytest.fixture(scope="module")
def salt():
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()


@pytest.fixture(scope="module")
def heap():
    """Salt with its ions at random places, none of them on another."""
    generator = np.random.default_rng(3)
    places = generator.random((6, 3))
    return Structure(Lattice.cubic(4.8), ["Na"] * 3 + ["Cl"] * 3, places)


@pytest.fixture(scope="module")
def known_limit():
    """dao-p with a limit between the two, whatever the weights."""
    potential = load_potential("dao-p")
    potential.uncertainty_limit = 0.5
    assert potential.familiarity is not None
    object.__setattr__(potential.familiarity, "limit", 0.5)
    return potential


def test_a_crystal_that_cannot_be_asked_about_takes_nothing_from_others(salt):
    potential = load_potential("dao-p")
    xenon = Structure(Lattice.cubic(4.4), ["Xe"], [[0, 0, 0]])
    alone = uncertainties(potential, configurations([salt]))
    beside = uncertainties(potential, configurations([xenon, salt, xenon]))
    assert beside.systems.isnan().tolist() == [True, False, True]
    assert beside.atoms.isnan().tolist() == [True, False, False, True]
    assert beside.systems[1] == alone.systems[0] > 0
    assert beside.limit == alone.limit
    assert uncertainties(potential, configurations([xenon])).systems.isnan().all()


def test_results_say_it(salt, heap, known_limit):
    results = relax([salt, heap], known_limit, steps=0)
    inside, outside = results
    assert 0 < inside.uncertainty < 0.1
    assert inside.doubt is None
    assert outside.uncertainty > 0.5
    assert len(outside.atom_uncertainties) == 6
    assert "outside of what dao-p knows: expected error" in outside.verdict
    assert "outside" in results.table().splitlines()[-1]
    assert f"{inside.uncertainty:10.3f}" in results.table()
    frame = results.to_dataframe()
    assert frame["crysdiff_energy_uncertainty"].tolist() == [
        inside.uncertainty,
        outside.uncertainty,
    ]
    assert frame["crysdiff_doubt"].tolist()[1] == outside.doubt
    back = RelaxResult.from_dict(outside.as_dict())
    assert back == outside
    assert np.array_equal(back.atom_uncertainties, outside.atom_uncertainties)


def test_files_hold_it(salt, known_limit, tmp_path):
    results = relax(salt, known_limit)
    atoms = read(results.write(tmp_path / "salt.extxyz"))
    assert atoms.info["crysdiff_energy_uncertainty"] == pytest.approx(results[0].uncertainty)


def test_it_is_asked_once_for_each_crystal(salt, heap, known_limit, monkeypatch):
    asked = []
    say = known_limit.uncertainty

    def counted(systems):
        asked.append(len(systems))
        return say(systems)

    monkeypatch.setattr(known_limit, "uncertainty", counted)
    results = relax([salt, salt.copy().scale_lattice(50.0) or salt, heap], known_limit, steps=5)
    assert sum(asked) == sum(r.uncertainty is not None for r in results) == 3


def test_the_end_of_a_release_says_it(salt, known_limit):
    (result,) = relax(salt, known_limit, symmetric=True, release=0.03)
    assert 0 < result.uncertainty < 0.1


def test_potentials_that_do_not_say_have_none():
    (result,) = relax([bulk("Cu")], EMT())
    assert result.uncertainty is None
    assert result.atom_uncertainties is None
    assert result.doubt is None
    assert "crysdiff_energy_uncertainty" not in result.labelled(0).properties


def test_what_is_outside_does_not_lead(salt, heap, known_limit):
    results = relax([heap, salt], known_limit, steps=0)
    assert not results.rank()[0].doubt
    ranked, _ = rank([heap, salt], known_limit, prior=0.0)
    assert len(ranked[0]) == 2
    assert ranked[0].properties["crysdiff_energy_uncertainty"] < 0.1
    assert "outside" in ranked[1].properties["crysdiff_doubt"]


def test_heights_say_it(salt, heap, known_limit):
    found = energy_above_hull([heap, salt, None], known_limit)
    assert found.uncertainty[1] < 0.1 < 0.5 < found.uncertainty[0]
    assert np.isnan(found.uncertainty[2])
    assert list(found.doubts) == [0]
    assert "outside of what dao-p knows" in found.remarks[0]
    assert found.ranking[:2] == [1, 0]
    metric = energy_uncertainty(found, {})
    assert metric.settings["outside"] == 1
    assert metric.per_structure[2] is None
    assert metric.value == pytest.approx(np.nanmean(found.uncertainty))
    believed = energy_uncertainty(found, {0: "not converged"})
    assert believed.settings["outside"] == 0
    assert believed.per_structure == (None, found.uncertainty[1], None)


def test_what_has_no_energy_has_no_expected_error(known_limit):
    polonium = Structure(Lattice.cubic(3.35), ["Po"], [[0, 0, 0]])
    found = energy_above_hull([polonium], known_limit)
    assert list(found.failures) == [0]
    assert np.isnan(found.uncertainty[0])
    assert not found.doubts


def test_a_calculator_says_it_when_asked():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.calc = DAOPCalculator()
    energy = atoms.get_potential_energy()
    assert "energy_uncertainty" not in atoms.calc.results
    value = atoms.calc.get_property("energy_uncertainty", atoms)
    each = atoms.calc.get_property("energies_uncertainty", atoms)
    assert 0 < value < 0.1
    assert each.shape == (2,)
    assert atoms.get_potential_energy() == energy
    atoms.rattle(0.1, seed=0)
    assert atoms.calc.get_property("energy_uncertainty", atoms) != value


def test_a_calculator_of_others_refuses():
    from ase_crysdiff.testing.pair_potential import PairPotential

    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.calc = PotentialCalculator(PairPotential())
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property("energy_uncertainty", atoms)


def test_an_uncertainty_that_is_not_known_is_not_outside():
    said = Uncertainty(torch.full((1,), torch.nan), torch.full((1,), torch.nan))
    assert not said.is_outside.any()

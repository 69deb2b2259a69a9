"""Distances of distributions to those of known crystals, and the sets of known crystals."""

import numpy as np
import pytest
from golden_crystals import broken, rocksalt
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.metrics.distributions import (
    density_distance,
    num_atoms_distance,
    num_elements_distance,
    total_variation,
)
from ase_crysdiff.metrics.matching import formula_key
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.testing.crystals import prototypes, rattled
from pymatgen_ext.evaluation import evaluate

PROTOTYPES = prototypes()


def of_density(*densities):
    base = rocksalt()
    return [rocksalt(5.64 * (base.density / d) ** (1 / 3)) for d in densities]


def test_density_distance_is_zero_to_itself_and_a_shift_otherwise():
    known = Reference(of_density(2.0, 3.0, 5.0))
    assert density_distance(of_density(5.0, 2.0, 3.0), known).value == pytest.approx(0, abs=1e-3)
    assert density_distance(of_density(2.5, 3.5, 5.5), known).value == pytest.approx(0.5, abs=1e-3)
    assert density_distance(of_density(1.0, 2.0, 4.0, 1.0, 2.0, 4.0), known).value == pytest.approx(
        1, abs=1e-3
    )


def test_number_distances_golden():
    one, two, three = PROTOTYPES["Cu"], PROTOTYPES["NaCl"], PROTOTYPES["SrTiO3"]
    reference = Reference([one, two, two, two])
    assert num_elements_distance([two, one, two, two], reference).value == 0
    assert num_elements_distance([one, one, one, two], reference).value == pytest.approx(0.5)
    assert num_elements_distance([three], reference).value == pytest.approx(1.25)
    assert num_atoms_distance([two, one, two, two], reference).value == 0
    assert num_atoms_distance([one, one, one, two], reference).value == pytest.approx(0.5)
    assert num_atoms_distance([three, rocksalt()], reference).value == pytest.approx(1)


def test_total_variation_golden():
    assert total_variation([2.0, 2.0, 2.0, 4.0], [2.0, 4.0, 4.0, 4.0]) == pytest.approx(0.5)
    assert total_variation([2.0, 4.0], [4.0, 2.0, 2.0, 4.0]) == 0
    assert total_variation([1.0], [2.0, 3.0]) == 1


@settings(deadline=None)
@given(*2 * [st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=1, max_size=20)])
def test_total_variation_is_a_distance(a, b):
    assert 0 <= total_variation(a, b) <= 1 + 1e-12
    assert total_variation(a, b) == pytest.approx(total_variation(b, a))
    assert total_variation(a, a * 3) == pytest.approx(0)


def test_one_element_in_two_oxidation_states_is_one_element():
    magnetite = Structure(
        Lattice.cubic(5), ["Fe2+", "Fe3+", "O2-"], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]
    )
    bare = Structure(magnetite.lattice, ["Fe", "Fe", "O"], magnetite.frac_coords)
    assert num_elements_distance([magnetite], Reference([bare])).value == 0


@pytest.mark.parametrize("metric", [density_distance, num_elements_distance, num_atoms_distance])
def test_nothing_sound_has_no_distribution(metric):
    result = metric([None, broken()["closer"]], Reference([rocksalt()]))
    assert np.isnan([result.value, *result.interval]).all()
    assert result.per_structure == (None, None)
    assert list(result.failures) == [0, 1]


def test_reference_agrees_with_pymatgen():
    known = [*rattled(10), rocksalt() * (2, 1, 1)]
    reference = Reference(known)
    assert len(reference) == 11
    np.testing.assert_allclose(reference.densities, [s.density for s in known], rtol=1e-5)
    assert reference.num_elements == [len(s.composition) for s in known]
    assert reference.num_atoms == [len(s) for s in known]
    found = reference.candidates(formula_key(rocksalt()))
    assert [len(s) for s in found] == [2, 2, 2]
    assert reference.candidates(formula_key(rocksalt(symbols=("K", "F")))) == []
    (unwanted,) = {len(reference.candidates(formula_key(s))) for s in known[:5]} - {2}
    assert unwanted == 3


def test_packed_reference_is_the_same_reference(tmp_path):
    known = rattled(5)
    path = tmp_path / "known.safetensors"
    packed = PackedCrystals(from_structures(known), metadata={"sources": "five"})
    packed.save(path)
    values = [
        evaluate(rattled(5, seed=2), reference=r, workers=0)
        for r in (known, packed, path, str(path), Reference(packed))
    ]
    for other in values[1:]:
        assert {k: r.value for k, r in other.items()} == {k: r.value for k, r in values[0].items()}
    assert values[1]["novelty"].settings["reference"] == "five"
    assert values[1]["novelty"].settings["sha256"] == packed.digest[:12]
    assert values[1]["novelty"].settings["crystals"] == 5

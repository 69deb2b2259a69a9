"""COV-R and COV-P on points in the plane, and the fingerprints of prototypes."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.coverage import CUTOFFS, Cutoffs, Features, coverage, features
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.evaluation import evaluate

UNIT = Cutoffs(1.0, 1.0)
FAR = 50.0


def points(*pairs):
    """Features whose first entry is the position; None for a crystal without fingerprints."""
    rows = [(np.nan, np.nan) if p is None else p for p in pairs]
    first = (np.array([row[k] for row in rows], dtype=float).reshape(-1, 1) for k in (0, 1))
    failures = {i: "no fingerprint" for i, p in enumerate(pairs) if p is None}
    return Features(*first, failures)


def test_equal_sets_cover_each_other():
    known = points((0, 0), (FAR, FAR))
    recall, precision = coverage(known, known, UNIT)
    assert recall.value == precision.value == 1
    assert (
        recall.settings["mean_structure_distance"]
        == recall.settings["mean_composition_distance"]
        == 0
    )


def test_one_copy_covers_one_of_four():
    known = points(*[(k * FAR, k * FAR) for k in range(4)])
    recall, precision = coverage(points((FAR, FAR)), known, UNIT)
    assert recall.value == 0.25
    assert recall.per_structure == (False, True, False, False)
    assert precision.value == 1


def test_published_rule_takes_two_different_neighbours_for_one():
    recall, _ = coverage(points((0, FAR), (FAR, 0)), points((0, 0)), UNIT)
    assert recall.value == 1
    assert recall.settings["joint"] == 0


def test_failed_fingerprint_counts_in_the_denominator_of_precision():
    recall, precision = coverage(
        points((0, 0), None, (0.5, 0.5), (1.0, 1.0)), points((0, 0), None), UNIT
    )
    assert precision.value == 0.75
    assert precision.per_structure == (True, False, True, True)
    assert precision.failures == {1: "no fingerprint"}
    assert recall.value == 1
    assert recall.settings["known_without_fingerprint"] == 1


def test_blocks_give_what_the_whole_gives(monkeypatch):
    generator = np.random.default_rng(0)
    a, b = (Features(generator.random((n, 3)), generator.random((n, 4))) for n in (37, 23))
    whole = coverage(a, b, Cutoffs(0.2, 0.3))
    monkeypatch.setattr("ase_crysdiff.metrics.coverage.ROWS", 5)
    parts = coverage(a, b, Cutoffs(0.2, 0.3))
    for x, y in zip(whole, parts, strict=True):
        assert x.per_structure == y.per_structure
        assert x.settings == y.settings
        assert x.settings["joint"] <= x.value


@pytest.mark.parametrize(
    ("generated", "known"), [(points(), points((0, 0))), (points((0, 0)), points(None))]
)
def test_empty_sets_are_an_error(generated, known):
    with pytest.raises(InputError, match="two sets"):
        coverage(generated, known)


def test_fingerprints_of_crystals():
    pytest.importorskip("matminer", reason="pip install 'ase-crysdiff[metrics]'")
    base = prototypes()
    given = [
        base["NaCl"],
        base["SrTiO3"],
        None,
        Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]),
    ]
    found = features([*given, base["NaCl"] * (2, 1, 1)])
    assert found.structure.shape == (5, 61)
    assert found.composition.shape == (5, 132)
    assert list(found.failures) == [2, 3]
    assert found.sound.tolist() == [0, 1, 4]
    np.testing.assert_allclose(found.structure[4], found.structure[0], atol=1e-6)
    np.testing.assert_allclose(found.composition[4], found.composition[0], atol=1e-9)
    assert np.linalg.norm(found.structure[0] - found.structure[1]) > CUTOFFS["mp_20"].structure
    # Sodium chloride: mean atomic number 14, standardised by CDVAE's 36.527 and 16.817.
    assert found.composition[0, 3] == pytest.approx((14 - 36.527385) / 16.816765, abs=1e-5)
    results = evaluate(
        given, reference=Reference(given[:2], features=features(given[:2])), workers=0
    )
    assert results["cov_recall"].value == 1
    assert results["cov_precision"].value == 0.5

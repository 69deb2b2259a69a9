"""What every metric has in common, and `evaluate` without a potential."""

import numpy as np
import pytest
from golden_crystals import broken, rocksalt

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import bootstrap, wilson
from ase_crysdiff.metrics.composition import compositional_validity
from ase_crysdiff.metrics.distributions import (
    total_variation,
)
from ase_crysdiff.metrics.fingerprints import open_fingerprints
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity
from ase_crysdiff.testing.crystals import prototypes, rattled
from pymatgen_ext.evaluation import evaluate

PROTOTYPES = prototypes()
RATES = [structural_validity, distance_validity, compositional_validity, uniqueness]


def test_rates_lie_between_their_limits_and_none_never_raises_them():
    structures = [*rattled(6), rocksalt(), *(v for k, v in broken().items() if k != "disordered")]
    reference = Reference(rattled(3))
    for metric in [*RATES, lambda s: novelty(s, reference)]:
        result = metric(structures)
        more = metric([*structures, None])
        assert 0 < result.value <= 1
        assert len(result.per_structure) == len(structures)
        assert result.value == sum(result.per_structure) / len(structures)
        assert result.interval[0] <= result.value <= result.interval[1]
        assert more.value == pytest.approx(result.value * len(structures) / (len(structures) + 1))
        assert more.failures[len(structures)] == "no structure"
        assert metric([None]).value == 0


@pytest.mark.parametrize("total", [1, 2, 4, 10, 69, 1000])
def test_wilson_interval_contains_the_rate(total):
    for hits in {0, 1, total // 2, total - 1, total}:
        low, high = wilson(hits, total)
        assert 0 <= low <= hits / total <= high <= 1


def test_wilson_interval_golden():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)


def test_intervals_of_distances_hold_the_distance():
    """Twelve values drawn from a law that they know well: resamples are farther from it than they
    are, every one of them.
    """
    known = np.arange(12.0)
    naive = bootstrap(lambda a: total_variation(a, known), known.tolist())
    low, high = bootstrap(lambda a: total_variation(a, known), known.tolist(), is_distance=True)
    assert naive[0] > 0.1
    assert low == 0.0 < high < naive[1]
    some = [*known, 11.0, 11.0, 11.0, 11.0]
    value = total_variation(np.array(some), known)
    low, high = bootstrap(lambda a: total_variation(a, known), some, is_distance=True)
    assert 0 < low < value < high


def test_bootstrap_interval_is_reproducible_and_covers_the_mean():
    values = np.random.default_rng(1).normal(3, 1, 400).tolist()
    low, high = bootstrap(lambda a: float(a.mean()), values)
    assert bootstrap(lambda a: float(a.mean()), values) == (low, high)
    assert low < np.mean(values) < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.3)


def test_evaluate_returns_every_metric():
    alone = {
        "structural_validity",
        "distance_validity",
        "compositional_validity",
        "uniqueness",
        "symmetry_success",
        "symmetry_success_tight",
        "space_groups",
    }
    compared = {
        "novelty",
        "density_distance",
        "num_elements_distance",
        "num_atoms_distance",
        "num_primitive_atoms_distance",
    }
    structures = [*rattled(5), None]
    results = evaluate(structures, reference=None, workers=0)
    assert set(results) == alone
    shipped = evaluate(structures, workers=0)
    assert set(shipped) == alone | {"novelty"}
    assert shipped["novelty"].settings["crystals"] == len(open_fingerprints())
    with_reference = evaluate(structures, reference=rattled(5, seed=1), workers=0)
    assert set(with_reference) == alone | compared
    assert {k: with_reference[k].value for k in alone - {"space_groups"}} == {
        k: results[k].value for k in alone - {"space_groups"}
    }
    assert with_reference["space_groups"].per_structure == results["space_groups"].per_structure
    assert np.isnan(results["space_groups"].value)
    assert all(len(r.per_structure) == 6 for r in with_reference.values())
    assert results["structural_validity"].value == pytest.approx(5 / 6)
    assert str(results["structural_validity"]).startswith("0.8333 [")
    assert results["compositional_validity"].settings["smact"]


def test_evaluate_leaves_its_input_alone():
    structures = rattled(5)
    before = [s.copy() for s in structures]
    evaluate(structures, reference=structures, workers=0)
    assert structures == before


def test_set_in_which_everything_failed_can_still_be_evaluated():
    results = evaluate([None, None], reference=rattled(3), workers=0)
    assert results["novelty"].value == results["structural_validity"].value == 0


@pytest.mark.parametrize(
    "metric", [*RATES, evaluate, lambda s: novelty(s, Reference([rocksalt()]))]
)
def test_nothing_to_score_is_an_error(metric):
    with pytest.raises(InputError, match="no structures"):
        metric([])

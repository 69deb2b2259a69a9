"""Golden cases with known answers, and properties that hold for any input."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest
import smact
from golden_crystals import chain, double_perovskite, quartz, rocksalt
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import DummySpecies, Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import bootstrap, wilson
from ase_crysdiff.metrics.composition import compositional_validity, is_neutral
from ase_crysdiff.metrics.distributions import (
    density_distance,
    num_atoms_distance,
    num_elements_distance,
    total_variation,
)
from ase_crysdiff.metrics.matching import formula_key, match, reduced
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity
from ase_crysdiff.testing.crystals import prototypes, rattled
from pymatgen_ext.evaluation import evaluate

PROTOTYPES = prototypes()
RATES = [structural_validity, distance_validity, compositional_validity, uniqueness]


def moved(structure, deviation, seed=0):
    noise = (
        deviation * np.random.default_rng(seed).standard_normal((len(structure), 3)) / np.sqrt(3)
    )
    return Structure(
        structure.lattice,
        structure.species,
        structure.cart_coords + noise,
        coords_are_cartesian=True,
    )


def turned(structure, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return Structure(
        Lattice(structure.lattice.matrix @ q), structure.species, structure.frac_coords
    )


def decorated(structure, charges):
    copy = structure.copy()
    copy.add_oxidation_state_by_element(charges)
    return copy


def same(a, b):
    forward, backward = match(reduced(a), reduced(b)), match(reduced(b), reduced(a))
    assert forward == backward
    return forward


def broken():
    """One entry for every reason not to judge a structure."""
    nan = rocksalt().copy()
    nan.translate_sites([0], [np.nan, 0, 0], to_unit_cell=False)
    return {
        "no structure": None,
        "no atoms": Structure(Lattice.cubic(4), [], []),
        "not finite": nan,
        "disordered": Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]),
        "volume": Structure(Lattice.cubic(0.3), ["Cu"], [[0, 0, 0]]),
        "thinner": Structure(Lattice.orthorhombic(40, 40, 0.01), ["Cu"], [[0, 0, 0]]),
        "closer": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]),
    }


# The relation


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(rocksalt(), rocksalt().get_primitive_structure(), True, id="G1 primitive"),
        pytest.param(rocksalt(), rocksalt() * (2, 1, 1), True, id="G1 supercell"),
        pytest.param(rocksalt(), rocksalt(5.64 * 2.5 ** (1 / 3)), True, id="G2 2.5 volumes"),
        pytest.param(rocksalt(), rocksalt(5.64 * 2), True, id="G2 8 volumes"),
        pytest.param(
            rocksalt(),
            rocksalt(group="F-43m", second=(0.25, 0.25, 0.25)),
            False,
            id="G3 zinc blende",
        ),
        pytest.param(rocksalt(), rocksalt(4.1, group="Pm-3m"), False, id="G4 CsCl"),
        pytest.param(chain(0), chain(0.37), True, id="G5 largest distance 0.296"),
        pytest.param(chain(0), chain(0.38), False, id="G5 largest distance 0.304"),
        pytest.param(chain(0), chain(0.4), False, id="G6 rms 0.16 would match"),
        pytest.param(chain(0), chain(0.3), True, id="G7 a b"),
        pytest.param(chain(0.3), chain(0.6), True, id="G7 b c"),
        pytest.param(chain(0), chain(0.6), False, id="G7 a c"),
        pytest.param(
            PROTOTYPES["SrTiO3"], double_perovskite(0.24), True, id="G8 within the tolerance"
        ),
        pytest.param(
            PROTOTYPES["SrTiO3"], double_perovskite(0.26), False, id="G8 beyond the tolerance"
        ),
        pytest.param(
            rocksalt(), decorated(rocksalt(), {"Na": 1, "Cl": -1}), True, id="G9 oxidation states"
        ),
        pytest.param(quartz(1), quartz(-1), True, id="G10 quartz"),
        pytest.param(rocksalt(), rocksalt(symbols=("Cl", "Na")), True, id="exchanged sites"),
        pytest.param(rocksalt(), rocksalt(symbols=("K", "Cl")), False, id="other elements"),
    ],
)
def test_golden_matches(a, b, expected):
    assert same(a, b) is expected


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(PROTOTYPES)),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1)), max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_another_description_of_a_crystal_matches(name, shears, seed):
    """G11: unimodular change of the cell, rotation or reflection, translation, permutation of
    atoms.
    """
    base = PROTOTYPES[name]
    change = np.eye(3, dtype=int)
    for row, column, factor in shears:
        if row != column:
            change[row] += factor * change[column]
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.standard_normal((3, 3)))
    order = generator.permutation(len(base))
    frac = base.frac_coords @ np.linalg.inv(change) + generator.random(3)
    other = Structure(
        Lattice(change @ base.lattice.matrix @ q), [base.species[i] for i in order], frac[order]
    )
    assert other.volume == pytest.approx(base.volume)
    assert formula_key(other) == formula_key(base)
    assert same(base, other)
    assert uniqueness([base, other]).value == 0.5


def test_reduction_leaves_its_input_alone():
    structure = decorated(rocksalt() * (2, 1, 1), {"Na": 1, "Cl": -1})
    before = structure.copy()
    assert len(reduced(structure)) == 2
    assert structure == before


def test_formula_key_ignores_multiples_and_order():
    assert formula_key(rocksalt()) == formula_key(rocksalt(symbols=("Cl", "Na")) * (3, 1, 1))
    assert formula_key(rocksalt()) != formula_key(PROTOTYPES["SrTiO3"])


# Validity


@pytest.mark.parametrize(
    ("structure", "valid"),
    [
        (Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.4999 / 4, 0, 0]]), False),
        (Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5 / 4, 0, 0]]), True),
        (Structure(Lattice.cubic(4), ["Na", "Cl"], [[0.01, 0, 0], [0.99, 0, 0]]), False),
        (Structure(Lattice.cubic(4), ["Na", "Cl"], [[0.01, 0, 0], [7.99, 0, 0]]), False),
        (Structure(Lattice.cubic(0.49), ["Cu"], [[0, 0, 0]]), False),
        (Structure(Lattice.cubic(0.5), ["Cu"], [[0, 0, 0]]), True),
        (Structure(Lattice([[4, 0, 0], [0, 4, 0], [3.7, 0, 0.3]]), ["Cu"], [[0, 0, 0]]), False),
        (Structure(Lattice([[4, 0, 0], [0, 4, 0], [400, 396, 4]]), ["Cu"], [[0, 0, 0]]), True),
        (Structure(Lattice(-4 * np.eye(3)), ["Cu"], [[0, 0, 0]]), True),
    ],
    ids=[
        "pair 0.4999",
        "pair 0.5",
        "boundary",
        "unwrapped",
        "own image",
        "own image 0.5",
        "diagonal image",
        "skewed",
        "left-handed",
    ],
)
def test_structural_validity_golden(structure, valid):
    assert structural_validity([structure]).value == valid


@pytest.mark.parametrize("name", list(broken()))
def test_gate_names_what_is_wrong(name):
    assert name in gate(broken()[name])


@pytest.mark.parametrize("thickness", [0.01, 1e-5])
def test_thin_cell_is_refused_at_once(thickness):
    """A matcher would ask for gigabytes."""
    thin = Structure(Lattice.orthorhombic(40, 40, thickness), ["Cu"], [[0, 0, 0]])
    started = time.process_time()
    assert gate(thin) is not None
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("name", list(broken()))
def test_broken_structures_are_misses_of_every_rate_and_reach_nothing_else(name):
    good, bad = rocksalt(), broken()[name]
    results = {m.__name__: m([good, bad]) for m in RATES if m is not compositional_validity}
    results["novelty"] = novelty([good, bad], Reference([PROTOTYPES["SrTiO3"]]))
    for result in results.values():
        assert result.value == 0.5
        assert result.per_structure == (True, False)
        assert list(result.failures) == [1]
        assert name in result.failures[1]
    distance = density_distance([good, bad], Reference([good]))
    assert distance.value == pytest.approx(0, abs=1e-3)
    assert distance.per_structure[1] is None
    assert list(distance.failures) == [1]


@pytest.mark.parametrize("name", ["no structure", "no atoms"])
def test_no_composition_is_a_miss(name):
    result = compositional_validity([rocksalt(), broken()[name]])
    assert result.per_structure == (True, False)
    assert list(result.failures) == [1]


@pytest.mark.parametrize(
    "bad",
    [
        *broken().values(),
        Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]]),
        Structure(Lattice.cubic(4), [DummySpecies("X")], [[0, 0, 0]]),
    ],
    ids=[*broken(), "half a site", "dummy"],
)
def test_one_bad_structure_costs_only_itself(bad):
    results = evaluate([rocksalt(), bad], reference=[PROTOTYPES["SrTiO3"]])
    for name in ("structural_validity", "distance_validity", "uniqueness", "novelty"):
        assert results[name].per_structure[0] is True
    assert results["compositional_validity"].per_structure[0] is True


def test_fractional_compositions_are_not_rounded():
    """Half a sodium atom on a site is neither none nor one."""
    alloy = Structure(Lattice.cubic(5), [{"Na": 0.6, "K": 0.4}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    result = compositional_validity([alloy])
    assert result.value == 0
    assert list(result.failures) == [0]


def test_distance_validity_is_about_covalent_radii():
    """Radii of Na and Cl: 1.66 and 1.02 Å. The limit is 0.7 of their sum, or of 2 × 1.66 Å for the
    images of sodium.
    """
    limit = 0.7 * (1.66 + 1.02)

    def pair(distance):
        return Structure(Lattice.cubic(10), ["Na", "Cl"], [[0, 0, 0], [distance / 10, 0, 0]])

    result = distance_validity([pair(limit - 0.01), pair(limit + 0.01)])
    assert result.per_structure == (False, True)
    assert result.failures == {}
    assert result.settings["fraction"] == 0.7
    assert distance_validity([pair(limit - 0.01)], fraction=0.69).value == 1
    cube = [Structure(Lattice.cubic(0.7 * 3.32 + x), ["Na"], [[0, 0, 0]]) for x in (-0.01, 0.01)]
    assert distance_validity(cube).per_structure == (False, True)
    assert distance_validity(list(PROTOTYPES.values())).value == 1


# Composition

GOLDEN = {
    "NaCl": True,
    "NaCl2": False,
    "Fe3O4": False,
    "KO2": False,
    "TiO": True,
    "CO": True,
    "NO2": True,
    "SiC": True,
    "GaAs": True,
    "XeF4": True,
    "CsAu": True,
    "Nb3Sn": True,
    "HeNe": False,
    "LiFePO4": True,
    "MnO": True,
    "AuCl": True,
    "Na": True,
    "Cl": True,
    "He": True,
    "C": True,
    "NaK": True,
}


def spread(counts):
    """A structure with these counts, its atoms far from each other."""
    symbols = [s for s, n in counts for _ in range(n)]
    return Structure(
        Lattice.orthorhombic(5, 5, 5 * len(symbols)),
        symbols,
        [[0, 0, i / len(symbols)] for i in range(len(symbols))],
    )


def counts_of(formula):
    from pymatgen.core import Composition

    return sorted((s, int(n)) for s, n in Composition(formula).get_el_amt_dict().items())


@pytest.mark.parametrize(("formula", "expected"), GOLDEN.items(), ids=GOLDEN)
def test_smact_golden_table(formula, expected):
    counts = counts_of(formula)
    assert is_neutral(tuple(counts)) is expected
    assert compositional_validity([spread(counts)]).value == expected


@pytest.mark.parametrize("formula", GOLDEN)
def test_verdict_depends_on_the_formula_alone(formula):
    counts = counts_of(formula)
    for order in itertools.permutations(counts):
        for factor in (1, 2, 3):
            many = [(s, n * factor) for s, n in order]
            assert compositional_validity([spread(many)]).value == GOLDEN[formula]


def test_oxidation_states_given_by_the_structure_do_not_count():
    assert compositional_validity([decorated(rocksalt(), {"Na": 3, "Cl": -1})]).value == 1


def brute_force(counts):
    """CDVAE's rule as it is published: every combination of states, every pair of elements."""
    elements = [smact.Element(s) for s, _ in counts]
    if len(counts) == 1 or all(s in smact.metals for s, _ in counts):
        return True
    for states in itertools.product(*(e.oxidation_states or [] for e in elements)):
        ions = [(q, e.pauling_eneg) for q, e in zip(states, elements, strict=True)]
        ordered = all(x < y for (p, x), (q, y) in itertools.permutations(ions, 2) if p > 0 > q)
        if ordered and sum(q * n for q, (_, n) in zip(states, counts, strict=True)) == 0:
            return True
    return False


COMMON = [
    "H",
    "Li",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Na",
    "Mg",
    "Si",
    "P",
    "S",
    "Cl",
    "Ti",
    "Mn",
    "Fe",
    "Ni",
    "Ge",
    "As",
    "Se",
    "Sb",
    "Te",
    "I",
    "Xe",
    "Ce",
    "Au",
    "Pb",
    "Bi",
    "U",
    "He",
]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(COMMON), st.integers(1, 4), min_size=1, max_size=4))
def test_neutrality_agrees_with_every_combination_tried(amounts):
    counts = tuple(sorted(amounts.items()))
    assert is_neutral(counts) is brute_force(counts)


def test_brute_force_sees_both_verdicts():
    """Otherwise the comparison above would prove little."""
    verdicts = Counter(
        brute_force(((a, 1), (b, n)))
        for a, b in itertools.combinations(sorted(COMMON), 2)
        for n in (1, 2, 3)
    )
    assert min(verdicts[True], verdicts[False]) > 100


# Uniqueness


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_chain_is_one_class_in_every_order(order):
    links = {"a": chain(0), "b": chain(0.3), "c": chain(0.6)}
    result = uniqueness([links[x] for x in order])
    assert result.value == pytest.approx(1 / 3)
    assert result.per_structure == (True, False, False)


def test_ends_of_the_chain_alone_are_two_classes():
    assert uniqueness([chain(0), chain(0.6)]).value == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_copies_are_one_crystal(count):
    assert uniqueness([rocksalt()] * count).value == pytest.approx(1 / count)


def test_polymorphs_are_different_crystals():
    assert (
        uniqueness(
            [rocksalt(), rocksalt(4.1, group="Pm-3m"), rocksalt(group="F-43m", second=(0.25,) * 3)]
        ).value
        == 1
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_order_changes_nothing_and_doubling_halves(picks, random):
    pool = [*rattled(10, deviation=0.05), None, broken()["closer"]]
    chosen = [pool[i] for i in picks]
    mixed = random.sample(chosen, len(chosen))
    value = uniqueness(chosen).value
    assert uniqueness(mixed).value == value
    assert uniqueness(chosen + mixed).value == pytest.approx(value / 2)
    reference = Reference(pool[:3])
    known = novelty(chosen, reference).value
    assert novelty(mixed, reference).value == known
    assert novelty(chosen + mixed, reference).value == pytest.approx(known)


# Novelty


@pytest.mark.parametrize(
    ("structure", "value"),
    [
        pytest.param(rocksalt(), 0, id="copy"),
        pytest.param(turned(rocksalt()), 0, id="turned"),
        pytest.param(rocksalt() * (2, 1, 1), 0, id="supercell"),
        pytest.param(rocksalt().get_primitive_structure(), 0, id="primitive"),
        pytest.param(moved(rocksalt().get_primitive_structure(), 0.05), 0, id="perturbed"),
        pytest.param(decorated(rocksalt(), {"Na": 1, "Cl": -1}), 0, id="decorated"),
        pytest.param(rocksalt(6.29, ("K", "Cl")), 1, id="other chemistry"),
        pytest.param(rocksalt(4.1, group="Pm-3m"), 1, id="other prototype"),
        pytest.param(None, 0, id="none"),
        pytest.param(
            Structure(Lattice.cubic(4), ["K", "Br"], [[0, 0, 0], [0.05, 0, 0]]), 0, id="unsound"
        ),
    ],
)
def test_novelty_golden(structure, value):
    assert novelty([structure], Reference([PROTOTYPES["SrTiO3"], rocksalt()])).value == value


def test_reference_is_not_novel_to_itself():
    known = rattled(15)
    assert novelty(known, Reference(known)).value == 0


def test_larger_reference_never_raises_novelty():
    samples, known = rattled(8, seed=1), rattled(10)
    values = [novelty(samples, Reference(known[:n])).value for n in range(1, 11)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] == 0


def test_novelty_beyond_the_tolerance_of_a_supercell_is_a_limit_of_the_matcher():
    """Documented: noise hides a known crystal in a larger cell."""
    assert novelty(
        [double_perovskite(0.24), double_perovskite(0.26)], Reference([PROTOTYPES["SrTiO3"]])
    ).per_structure == (
        False,
        True,
    )


# Distributions and the reference


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
        evaluate(rattled(5, seed=2), reference=r)
        for r in (known, packed, path, str(path), Reference(packed))
    ]
    for other in values[1:]:
        assert {k: r.value for k, r in other.items()} == {k: r.value for k, r in values[0].items()}
    assert values[1]["novelty"].settings["reference"] == "five"
    assert values[1]["novelty"].settings["sha256"] == packed.digest[:12]
    assert values[1]["novelty"].settings["crystals"] == 5


# All metrics


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
    results = evaluate(structures)
    assert set(results) == alone
    with_reference = evaluate(structures, reference=rattled(5, seed=1))
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
    evaluate(structures, reference=structures)
    assert structures == before


def test_set_in_which_everything_failed_can_still_be_evaluated():
    results = evaluate([None, None], reference=rattled(3))
    assert results["novelty"].value == results["structural_validity"].value == 0


@pytest.mark.parametrize(
    "metric", [*RATES, evaluate, lambda s: novelty(s, Reference([rocksalt()]))]
)
def test_nothing_to_score_is_an_error(metric):
    with pytest.raises(InputError, match="no structures"):
        metric([])

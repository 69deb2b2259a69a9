"""S.U.N. under every rule, on eight structures whose answers were worked out by hand; stability
from hand-made energies.
"""

import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.stability import energy_above_hull, is_unary, metastability, stability
from ase_crysdiff.metrics.sun import PROFILES, Records, msun, profile_named, sun

#: (class, in the reference, energy above the hull, one element, collapsed); number 7 failed.
TOYS = [
    ("A", False, 0.05, False, False),
    ("A", False, -0.01, False, False),
    ("B", True, -0.02, False, False),
    ("C", False, 0.0, False, False),
    ("D", False, -0.03, True, False),
    ("E", False, 0.1, False, False),
    ("F", False, float("nan"), False, False),
    ("G", False, -0.05, False, True),
]


def records(toys):
    return Records(
        [ord(c) for c, *_ in toys],
        [not known for _, known, *_ in toys],
        [e for _, _, e, _, _ in toys],
        [unary for *_, unary, _ in toys],
        unsound=frozenset(i for i, toy in enumerate(toys) if toy[4]),
    )


def named(result):
    return {i + 1 for i, verdict in enumerate(result.per_structure) if verdict}


@pytest.mark.parametrize(
    ("profile", "stable", "metastable", "total"),
    [
        ("package", {2, 4}, {2, 4, 6}, 8),
        ("miad", {8}, {1, 4, 8}, 8),
        ("flowmm", {2, 4, 8}, {1, 4, 6, 8}, 8),
        ("mattergen", {1, 4, 5, 6, 8}, {1, 4, 5, 6, 8}, 8),
        ("lemat", {4, 5}, {1, 6}, 7),
    ],
)
def test_profiles_on_eight_toys(profile, stable, metastable, total):
    found = sun(records(TOYS), profile)
    assert named(found) == stable
    assert found.value == pytest.approx(len(stable) / total)
    wider = msun(records(TOYS), profile)
    assert named(wider) == metastable
    assert wider.value == pytest.approx(len(metastable) / total)


def test_mattergen_at_the_hull():
    assert named(sun(records(TOYS), replace(PROFILES["mattergen"], stable=0.0))) == {4, 5, 8}


def test_elements_are_reported_beside():
    assert sun(records(TOYS)).settings["with_elements"] == pytest.approx(3 / 8)


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2, 6]))[::5], ids=str)
def test_order_changes_nothing_in_our_rule(order):
    toys = [TOYS[i] for i in [*order, 3, 4, 5, 7]]
    assert sun(records(toys)).value == sun(records(TOYS)).value
    assert msun(records(toys)).value == msun(records(TOYS)).value


def test_among_equal_energies_a_known_member_speaks_for_its_class():
    pair = [("A", False, -0.1, False, False), ("A", True, -0.1, False, False)]
    assert sun(records(pair)).value == sun(records(pair[::-1])).value == 0


def test_uncompared_structures_never_count():
    found = records(TOYS)
    hidden = replace(found, labels=[None] * len(found))
    for name in PROFILES:
        if PROFILES[name].divides_by == "requested":
            assert sun(hidden, name).value == 0


def test_stricter_thresholds_never_find_more():
    for name, profile in PROFILES.items():
        values = [
            sun(records(TOYS), replace(profile, stable=limit)).value
            for limit in (-0.04, -0.02, 0.0, 0.05, 0.1, 1.0)
        ]
        assert values == sorted(values), name
        assert values[-1] <= 1


def test_settings_hold_every_choice_of_the_rule():
    settings = sun(records(TOYS), "flowmm").settings
    assert {f.name for f in fields(PROFILES["flowmm"])} <= settings.keys()
    assert settings["relation"] == "rms"


def test_unknown_profile_names_those_there_are():
    with pytest.raises(UnknownNameError, match="package, miad, flowmm, mattergen, lemat"):
        profile_named("gnome")
    with pytest.raises(InputError, match="no structures"):
        sun(records([]))


# Energies


def energies(heights, failures=None, listed=True):
    array = np.array(heights, dtype=float)
    return Energies(
        array,
        array,
        np.zeros(len(array)),
        array,
        np.full(len(array), listed),
        failures or {},
        {"hull": "toy", "potential": "none"},
    )


def structures(count, symbols=("Na", "Cl")):
    return [
        Structure(
            Lattice.cubic(4), list(symbols), np.linspace(0, 0.5, len(symbols))[:, None] * np.ones(3)
        )
    ] * count


def test_hull_member_is_stable_despite_rounding():
    found = stability(structures(4), energies([-0.1, 5e-5, 2e-4, 0.05]), {})
    assert found.per_structure == (True, True, False, False)
    assert found.value == 0.5
    assert found.settings["rates"] == {0.0: 0.5, 0.03: 0.75, 0.08: 1.0, 0.1: 1.0}
    assert found.settings["comparison"] == "<="
    assert metastability(structures(4), energies([-0.1, 0.1, 0.1002, 0.3]), {}).per_structure == (
        True,
        True,
        False,
        False,
    )


def test_collapsed_failed_and_missing_structures_are_not_stable():
    given = energies([-0.05, -0.05, -0.05, np.nan], {1: "no energy"})
    found = stability(structures(4), given, {2: "two atoms closer"})
    assert found.per_structure == (True, False, False, False)
    assert found.failures == {1: "no energy", 2: "two atoms closer"}
    heights = energy_above_hull(given, {2: "two atoms closer"})
    assert heights.per_structure == (-0.05, None, None, None)
    assert heights.value == -0.05
    assert heights.settings["averaged"] == 1


def test_incomplete_hulls_make_nothing_stable_and_impossible_depths_are_counted():
    """The first is judged, the second has no rivals in the table, the third lies too deep, and the
    fourth failed: a miss on any hull.
    """
    given = replace(
        energies([-0.05, -3.2, -0.5, np.nan], {3: "no energy"}),
        incomplete={1: "not judged", 3: "not judged"},
    )
    found = stability(structures(4), given, {})
    assert found.per_structure == (True, None, True, False)
    assert found.value == pytest.approx(2 / 3)
    assert found.settings["judged"] == 3
    assert found.settings["hull_incomplete"] == found.settings["too_deep"] == 1
    assert found.settings["without_too_deep"] == pytest.approx(1 / 3)
    assert metastability(structures(4), given, {}).per_structure == (True, None, True, False)
    heights = energy_above_hull(given, {})
    assert heights.per_structure == (-0.05, None, -0.5, None)
    records = Records(
        [0, 1, 2, 3],
        [True] * 4,
        [-0.05, math.nan, -0.5, math.nan],
        [False] * 4,
        {3: "no energy"},
        unjudged=frozenset({1}),
    )
    for result in (sun(records), msun(records), sun(records, "flowmm")):
        assert result.per_structure == (True, None, True, False)
        assert result.value == pytest.approx(2 / 3)
        assert result.settings["without_too_deep"] == pytest.approx(1 / 3)
    assert math.isnan(sun(replace(records, unjudged=frozenset(range(4)))).value)


def test_energy_above_hull_golden():
    found = energy_above_hull(energies([0.05, -0.1, 0.2], listed=False), {})
    assert found.value == pytest.approx(0.05)
    assert found.settings["median"] == pytest.approx(0.05)
    assert found.settings["mean_absolute"] == pytest.approx(0.35 / 3)
    assert found.settings["hull_not_listed"] == 3
    assert np.isnan(energy_above_hull(energies([np.nan]), {}).value)


def test_elements_are_counted():
    found = stability([*structures(1, ("Na",)), *structures(1)], energies([0.0, 0.0]), {})
    assert found.settings["elements"] == 1
    assert is_unary(Structure(Lattice.cubic(4), ["Fe2+", "Fe3+"], [[0, 0, 0], [0.5, 0.5, 0.5]]))
    assert not is_unary(None)


@pytest.mark.parametrize("metric", [stability, metastability])
def test_no_structures_is_an_error(metric):
    with pytest.raises(InputError, match="no structures"):
        metric([], energies([]), {})

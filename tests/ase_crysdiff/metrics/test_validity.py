"""The gate and distances: what is physical, and that a broken structure costs only itself."""

import numpy as np
import pytest
from golden_crystals import (
    broken,
    rocksalt,
)
from pymatgen.core import DummySpecies, Lattice, Structure

from ase_crysdiff.crystal import soundness
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.metrics.composition import compositional_validity
from ase_crysdiff.metrics.distributions import (
    density_distance,
)
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.evaluation import evaluate

PROTOTYPES = prototypes()
RATES = [structural_validity, distance_validity, compositional_validity, uniqueness]


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
def test_thin_cell_is_refused_before_anything_looks_for_neighbours(thickness, monkeypatch):
    """They would be so many that a matcher asks for gigabytes."""

    def pairs_within(lattice, frac_coords, reach):
        raise AssertionError("neighbours were looked for")

    monkeypatch.setattr(soundness, "pairs_within", pairs_within)
    thin = Structure(Lattice.orthorhombic(40, 40, thickness), ["Cu"], [[0, 0, 0]])
    assert "thinner" in gate(thin) or "Å³" in gate(thin)
    with pytest.raises(AssertionError, match="looked for"):
        gate(rocksalt())


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
    results = evaluate([rocksalt(), bad], reference=[PROTOTYPES["SrTiO3"]], workers=0)
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

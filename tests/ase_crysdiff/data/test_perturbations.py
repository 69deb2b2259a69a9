"""Copies of crystals: what each does, and the numbers that archives hold."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.perturbations import MAKERS, Crystal, Perturbation, perturbed, variants
from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.testing.crystals import prototypes


def crystal(name="SrTiO3"):
    s = prototypes()[name]
    return Crystal(name, s.lattice.matrix.copy(), s.frac_coords % 1, np.array(s.atomic_numbers))


def distances(c):
    s = Structure(Lattice(c.lattice), c.species, c.frac_coords)
    found = s.distance_matrix + 99 * np.eye(len(s))
    return found, np.array([covalent_radii()[z] for z in c.species])


def test_numbers_are_those_of_published_archives():
    """They stand in files: another order of the names must not change them."""
    numbers = {p.word: int(p) for p in Perturbation}
    expected = ["unperturbed", "rattled", "strained", "volume", "substituted", "partially_noised"]
    assert [numbers[word] for word in expected] == [0, 1, 2, 3, 4, 5]
    assert sorted(numbers.values()) == list(range(19))
    other = [int(p) for p in Perturbation if not p.keeps_composition]
    assert other == [4, 6, 7, 8, 9, 10, 11, 15]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("rattled", Perturbation.RATTLED),
        ("compressed_pair", Perturbation.COMPRESSED_PAIR),
        ("partially-noised", Perturbation.PARTIALLY_NOISED),
        ("as-is", Perturbation.UNPERTURBED),
        ("swapped", Perturbation.SUBSTITUTED),
        ("half-noised", Perturbation.PARTIALLY_NOISED),
        ("doubled", Perturbation.SUPERCELL),
        ("pressed", Perturbation.COMPRESSED_PAIR),
    ],
)
def test_words_of_today_and_of_before(word, kind):
    assert Perturbation.parse(word) is kind


@pytest.mark.parametrize("word", ["upside-down", "", "relaxed_candidate"])
def test_what_cannot_be_made_is_refused(word):
    with pytest.raises(InputError, match="known: unperturbed, rattled"):
        Perturbation.parse(word)


@pytest.mark.parametrize("kind", MAKERS, ids=lambda k: k.word)
def test_copies_keep_a_crystal_and_are_repeatable(kind):
    (found, first), (_, second) = (
        variants(crystal(), [kind], np.random.default_rng(3))[0] for _ in range(2)
    )
    assert found is kind
    assert np.array_equal(first.frac_coords, second.frac_coords)
    assert np.linalg.det(first.lattice) > 0
    assert len(first.species) == (10 if kind is Perturbation.SUPERCELL else 5)
    same = sorted(first.species) == sorted(list(crystal().species) * (len(first.species) // 5))
    assert same is kind.keeps_composition


def test_copies_differ_as_they_should():
    base = crystal()
    volume = np.linalg.det(base.lattice)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        made = {kind: perturbed(base, kind, rng) for kind in MAKERS}
        assert 0.7 - 1e-9 < np.linalg.det(made[Perturbation.VOLUME].lattice) / volume < 1.4 + 1e-9
        large = made[Perturbation.SUPERCELL]
        assert np.linalg.det(large.lattice) == pytest.approx(2 * volume)
        species = made[Perturbation.SUBSTITUTED].species
        changed = species != base.species
        assert changed.any()
        assert len(set(species[changed])) == 1
        found, radii = distances(made[Perturbation.COMPRESSED_PAIR])
        assert 0.5 < (found / (radii[:, None] + radii)).min() < 0.86
        same = made[Perturbation.UNPERTURBED]
        assert np.array_equal(same.frac_coords, base.frac_coords)

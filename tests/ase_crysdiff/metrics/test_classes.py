"""Classes and novelty: the answers of the plain matcher, in any order, any description and any
number of processes.
"""

from itertools import combinations

import numpy as np
import pytest
from golden_crystals import chain
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.soundness import unphysical
from ase_crysdiff.metrics import uniqueness as uniqueness_module
from ase_crysdiff.metrics.matching import match, reduced
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Known, Reference
from ase_crysdiff.metrics.space_groups import symmetries
from ase_crysdiff.metrics.uniqueness import Classes, _blocks, classes, uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity
from ase_crysdiff.testing.crystals import prototypes, rattled

PROTOTYPES = prototypes()
SUPERCELLS = (
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
)


def described_anew(structure, generator):
    """The same crystal: another cell or a supercell, turned, shifted, sites in another order."""
    cell = np.array(SUPERCELLS[generator.integers(len(SUPERCELLS))])
    other = structure.copy().make_supercell(cell, in_place=False)
    change = np.eye(3, dtype=int)
    i, j = generator.permutation(3)[:2]
    change[i] += generator.integers(-1, 2) * change[j]
    turn, _ = np.linalg.qr(generator.standard_normal((3, 3)))
    order = generator.permutation(len(other))
    frac = other.frac_coords @ np.linalg.inv(change) + generator.random(3)
    return Structure(
        Lattice(change @ other.lattice.matrix @ turn),
        [other.species[k] for k in order],
        frac[order],
    )


def carbon(count, seed=0):
    """Cells of one composition, many of them alike."""
    generator = np.random.default_rng(seed)
    bases = [
        Structure.from_spacegroup(
            "Fd-3m", Lattice.cubic(3.57), ["C"], [[0, 0, 0]]
        ).get_primitive_structure(),
        Structure.from_spacegroup(
            "P6/mmm", Lattice.hexagonal(2.46, 3.4), ["C"], [[1 / 3, 2 / 3, 0]]
        ),
        Structure.from_spacegroup("Im-3m", Lattice.cubic(2.5), ["C"], [[0, 0, 0]]),
    ]
    found = []
    for _ in range(count):
        base = described_anew(bases[generator.integers(3)], generator)
        noise = generator.choice([0.0, 0.1, 0.3]) * generator.standard_normal((len(base), 3))
        found.append(
            Structure(
                base.lattice, base.species, base.cart_coords + noise, coords_are_cartesian=True
            )
        )
    return found


def partition(labels):
    return {
        frozenset(i for i, x in enumerate(labels) if x == label) for label in set(labels) - {None}
    }


def naive_partition(structures):
    """All pairs, full comparison, merged until nothing changes."""
    fit = StructureMatcher().fit
    groups = [{i} for i in range(len(structures))]
    for i, j in combinations(range(len(structures)), 2):
        if fit(structures[i], structures[j]) or fit(structures[j], structures[i]):
            one, other = (next(g for g in groups if k in g) for k in (i, j))
            if one is not other:
                one |= other
                groups.remove(other)
    return {frozenset(g) for g in groups}


def test_classes_are_those_of_all_full_comparisons():
    structures = [s for s in carbon(24) if structural_validity([s]).value == 1]
    expected = naive_partition(structures)
    assert 1 < len(expected) < len(structures)
    assert partition(classes(structures).labels) == expected


def test_novelty_is_that_of_all_full_comparisons():
    known, structures = rattled(20, deviation=0.04), rattled(20, seed=5, deviation=0.06)
    fit = StructureMatcher().fit
    expected = tuple(not any(fit(s, k) or fit(k, s) for k in known) for s in structures)
    assert len(set(expected)) == 2
    assert novelty(structures, Reference(known)).per_structure == expected


@pytest.mark.slow
def test_no_value_depends_on_order_or_description():
    """500 random crystals, each described anew and all of them shuffled."""
    generator = np.random.default_rng(3)
    structures = [
        *rattled(250, seed=1, deviation=0.03),
        *rattled(240, seed=2, deviation=0.08),
        *PROTOTYPES.values(),
        *carbon(5),
    ]
    order = generator.permutation(len(structures))
    others = [described_anew(structures[i], generator) for i in order]
    reference = Reference(rattled(10, seed=7))
    for verdicts in (structural_validity, distance_validity, lambda s: novelty(s, reference)):
        first, second = verdicts(structures), verdicts(others)
        assert first.value == second.value
        assert [first.per_structure[i] for i in order] == list(second.per_structure)
    structures, order = structures[::8], generator.permutation(len(structures[::8]))
    first, second = (
        classes(structures),
        classes([described_anew(structures[i], generator) for i in order]),
    )
    assert partition(first.labels) == {
        frozenset(int(order[i]) for i in group) for group in partition(second.labels)
    }
    groups = [s.group for s in symmetries(structures[:50], curve=())]
    assert groups == [
        s.group
        for s in symmetries([described_anew(s, generator) for s in structures[:50]], curve=())
    ]


def test_enantiomorphs_and_supercells_are_one_crystal_and_polymorphs_are_not():
    right = Structure.from_spacegroup(
        "P3_121",
        Lattice.hexagonal(4.916, 5.4054),
        ["Si", "O"],
        [[0.4697, 0, 1 / 3], [0.4135, 0.2669, 0.1191 + 1 / 3]],
    )
    left = Structure(right.lattice, right.species, right.frac_coords * [1, 1, -1])
    cristobalite = Structure.from_spacegroup(
        "Fd-3m", Lattice.cubic(7.13), ["Si", "O"], [[0, 0, 0], [0.125, 0.125, 0.125]]
    )
    assert partition(classes([right, left, right * (1, 1, 2), cristobalite, None]).labels) == {
        frozenset({0, 1, 2}),
        frozenset({3}),
    }


def test_rms_accepts_what_the_largest_displacement_does_not():
    pair = [chain(0), chain(0.4)]
    assert uniqueness(pair).value == 1
    assert len(partition(classes(pair, "rms").labels)) == 1
    assert novelty(pair[:1], Reference(pair[1:])).value == 1
    assert novelty(pair[:1], Reference(pair[1:]), "rms").value == 0
    assert classes(pair, "rms").settings["relation"].startswith("get_rms_dist")


def test_lowest_energy_represents_a_class():
    structures = [
        PROTOTYPES["Cu"],
        PROTOTYPES["Cu"] * (2, 1, 1),
        PROTOTYPES["NaCl"],
        PROTOTYPES["Cu"],
    ]
    assert uniqueness(structures).per_structure == (True, False, True, False)
    assert uniqueness(structures, [0.2, -0.1, float("nan"), -0.1]).per_structure == (
        False,
        True,
        True,
        False,
    )


def test_reduction_is_that_of_the_matcher():
    """The short cut for a single formula unit changes nothing."""
    for structure in [*rattled(10), *carbon(10)]:
        cell = structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()
        assert len(reduced(structure)) == len(cell)
        assert reduced(structure).volume == pytest.approx(cell.volume)
        assert match(reduced(structure), cell)


def test_every_pair_is_in_one_block(monkeypatch):
    monkeypatch.setattr(uniqueness_module, "BLOCK", 3)
    members = list(range(10, 21))
    pairs = [pair for block in _blocks(members) for pair in block]
    assert sorted(pairs) == sorted(combinations(members, 2))


@pytest.mark.slow
def test_other_processes_find_the_same():
    structures = [*carbon(6), *rattled(6), None]
    reference = Reference(rattled(5, seed=3))
    assert partition(classes(structures, workers=1).labels) == partition(classes(structures).labels)
    assert (
        novelty(structures, reference, workers=1).per_structure
        == novelty(structures, reference).per_structure
    )


def fails(task):
    raise ValueError("no mapping")


def test_failed_comparisons_are_counted_and_reported(monkeypatch):
    monkeypatch.setattr(uniqueness_module, "matches", fails)
    found = classes([PROTOTYPES["NaCl"]] * 3)
    assert found.settings["failed_pairs"] == 3
    assert len(partition(found.labels)) == 3
    monkeypatch.setattr("ase_crysdiff.metrics.novelty.is_among", fails)
    result = novelty([PROTOTYPES["NaCl"]], Reference([PROTOTYPES["NaCl"]]))
    assert result.value == 0
    assert "no mapping" in result.failures[0]


class OnlyCopper:
    name, digest = "copper", "0" * 64

    def __len__(self):
        return 1

    def contains(self, structure):
        return structure.composition.reduced_formula == "Cu"


def test_anything_that_contains_structures_is_a_reference():
    assert isinstance(OnlyCopper(), Known)
    assert isinstance(Reference([PROTOTYPES["Cu"]]), Known)
    result = novelty([PROTOTYPES["Cu"], PROTOTYPES["NaCl"], None], OnlyCopper())
    assert result.per_structure == (False, True, False)
    assert result.settings["reference"] == "copper"
    assert Reference([PROTOTYPES["Cu"]]).contains(PROTOTYPES["Cu"] * (2, 1, 1))


def test_classes_without_energies_are_represented_by_their_first():
    assert Classes((0, 0, None, 3)).representatives() == {0, 3}


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        (Structure(Lattice.cubic(2.2), ["Na", "Na"], [[0, 0, 0], [0.5, 0.5, 0.5]]), "closer"),
        (Structure(Lattice.cubic(1.2), ["H"], [[0, 0, 0]]), "Å³ per atom"),
        (Structure(Lattice.cubic(6), ["Na"], [[0, 0, 0]]), "Å³ per atom"),
        (PROTOTYPES["NaCl"], None),
    ],
)
def test_collapse_and_evaporation_are_seen(structure, reason):
    found = unphysical(structure)
    assert found is None if reason is None else reason in found

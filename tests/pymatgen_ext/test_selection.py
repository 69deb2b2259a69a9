"""Ranking, duplicates, symmetry."""

import math

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.potentials.base import RANK_PRIOR
from ase_crysdiff.relaxation.ranking import CONTENTION, ENERGY_CAP, rank
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.symmetry.refinement import symmetrise
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import StructureSampler
from pymatgen_ext.selection import Refinement

COPPER = prototypes()["Cu"]


def numbered(structures):
    found = [s.copy(properties={"crysdiff_index": i}) for i, s in enumerate(structures)]
    return SampleSet(found, Report("by hand", "", 0, len(found), len(found), 0))


def scaled(structure, factor):
    return Structure(
        structure.lattice.scale(structure.volume * factor**3),
        structure.species,
        structure.frac_coords,
    )


def indices(samples):
    return [s.properties["crysdiff_index"] for s in samples]


def rattled(structure, deviation, seed=0):
    generator = np.random.default_rng(seed)
    lattice = structure.lattice.matrix @ (
        np.eye(3) + deviation / 5 * generator.standard_normal((3, 3))
    )
    moved = structure.cart_coords + deviation * generator.standard_normal((len(structure), 3))
    return Structure(lattice, structure.species, moved @ np.linalg.inv(structure.lattice.matrix))


def test_ranking_is_by_energy_per_atom_and_refused_ones_come_last():
    structures = [
        scaled(COPPER, 1.1),
        scaled(COPPER * (2, 1, 1), 1.0),
        prototypes()["NaCl"],
        scaled(COPPER, 0.9),
    ]
    found = Refinement.of(EMT())(numbered(structures))
    assert indices(found) == [1, 0, 3, 2] or indices(found) == [1, 3, 0, 2]
    energies = [s.properties.get("crysdiff_energy_per_atom") for s in found]
    assert energies[3] is None
    assert energies[:3] == sorted(energies[:3])
    atoms = found.to_atoms()[0]
    atoms.calc = EMT()
    assert energies[0] == pytest.approx(atoms.get_potential_energy() / 2, abs=1e-9)
    assert set(found.report.selection["unranked"]) == {2}
    assert found.report.selection["potential"] == "emt"
    assert "1 without an energy" in str(found.report)
    assert "crysdiff_energy_per_atom" in found.to_dataframe().columns


def test_ranking_does_not_depend_on_the_company():
    structures = list(numbered([scaled(s, f) for s in prototypes().values() for f in (0.97, 1.03)]))
    together, reasons = rank(structures, PairPotential())
    assert not reasons
    for s in structures:
        (alone,), _ = rank([s], PairPotential())
        twin = next(
            x for x in together if x.properties["crysdiff_index"] == s.properties["crysdiff_index"]
        )
        energy = twin.properties["crysdiff_energy_per_atom"]
        assert alone.properties["crysdiff_energy_per_atom"] == pytest.approx(energy, abs=1e-10)


def test_the_best_of_equal_structures_is_kept():
    copper, salt = COPPER, prototypes()["NaCl"]
    samples = numbered(
        [scaled(copper, 1.02), salt, scaled(copper, 1.0), copper * (1, 1, 2), scaled(salt, 1.01)]
    )
    found = Refinement.of(PairPotential(), distinct=True)(samples)
    assert len(found) == 2
    assert found.report.made == 2
    assert len(found.report.selection["duplicates"]) == 3
    everything, _ = rank(list(samples), PairPotential())
    energy = {
        s.properties["crysdiff_index"]: s.properties["crysdiff_energy_per_atom"] for s in everything
    }
    assert energy[next(i for i in indices(found) if i in (0, 2, 3))] == min(
        energy[i] for i in (0, 2, 3)
    )
    assert indices(Refinement.of(distinct=True)(samples)) == [0, 1]


def ranked(structures):
    return [
        s.copy(properties={"crysdiff_index": 10 + k, "crysdiff_rank": k})
        for k, s in enumerate(structures)
    ]


def test_the_order_of_a_sampler_weighs_against_energies():
    structures = ranked([scaled(COPPER, f) for f in (1.02, 1.0, 0.99)])
    alone, _ = rank(structures, PairPotential(), 0.0)
    energies = [s.properties["crysdiff_energy_per_atom"] for s in alone]
    assert energies == sorted(energies)
    assert [s.properties["crysdiff_score"] for s in alone] == energies
    assert alone[0].properties["crysdiff_index"] != 10
    gap = next(
        s.properties["crysdiff_energy_per_atom"]
        for s in alone
        if s.properties["crysdiff_rank"] == 0
    ) - min(energies)
    weight = 2 * gap / math.log(2)
    kept, _ = rank(structures, PairPotential(), weight)
    assert kept[0].properties["crysdiff_rank"] == 0
    for s in kept:
        p = s.properties
        prior = weight * math.log(1 + p["crysdiff_rank"])
        assert p["crysdiff_score"] == pytest.approx(p["crysdiff_energy_per_atom"] + prior)
    weaker, _ = rank(structures, PairPotential(), 0.5 * gap / math.log(3))
    assert weaker[0].properties["crysdiff_rank"] == alone[0].properties["crysdiff_rank"]


def test_votes_weigh_more_than_the_order_and_high_energies_are_capped():
    first, second, third = ranked([scaled(COPPER, f) for f in (1.02, 1.0, 1.6)])
    first.properties["crysdiff_log_votes"] = 0.0
    second.properties["crysdiff_log_votes"] = -8.0
    third.properties["crysdiff_log_votes"] = -1.0
    found, _ = rank([first, second, third], PairPotential(), 0.05)
    score = {s.properties["crysdiff_rank"]: s.properties["crysdiff_score"] for s in found}
    energy = {
        s.properties["crysdiff_rank"]: s.properties["crysdiff_energy_per_atom"] for s in found
    }
    assert energy[2] - energy[1] > ENERGY_CAP
    assert score[1] == pytest.approx(energy[1] + 0.4)
    assert score[2] == pytest.approx(energy[1] + ENERGY_CAP + 0.05)
    alone, _ = rank([first, second, third], PairPotential(), 0.0)
    assert [s.properties["crysdiff_score"] for s in alone] == sorted(energy.values())


def test_draws_without_a_rank_have_no_prior():
    samples = numbered([scaled(COPPER, f) for f in (1.02, 1.0)])
    found = Refinement.of(PairPotential(), rank_prior=10.0)(samples)
    assert indices(found) == [1, 0]
    assert all(
        s.properties["crysdiff_score"] == s.properties["crysdiff_energy_per_atom"] for s in found
    )


def test_the_prior_is_that_of_the_potential_unless_it_is_given():
    potential = PairPotential()
    samples = SampleSet(ranked([COPPER]), numbered([COPPER]).report)
    assert Refinement.of(potential)(samples).report.selection["rank_prior"] == RANK_PRIOR
    potential.rank_prior = 0.2
    assert Refinement.of(potential)(samples).report.selection["rank_prior"] == 0.2
    found = Refinement.of(potential, rank_prior=0)(samples)
    assert found.report.selection["rank_prior"] == 0


def saddles():
    """A cubic perovskite, which falls; close-packed copper, which does not; stacked sheets
    that collapse.
    """
    sheets = Structure(
        Lattice.hexagonal(2.5, 3.2), ["B", "N"], [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]]
    )
    return numbered([prototypes()["SrTiO3"], COPPER * (1, 1, 2), sheets])


def test_relaxed_crystals_name_the_symmetry_that_they_have():
    samples = saddles()
    for structure in samples:
        structure.properties |= {"crysdiff_space_group": "Pm-3m", "crysdiff_scaffold": "as drawn"}
    copper, perovskite, sheets = Refinement.of(PairPotential(), relax=True)(samples)
    for structure in (copper, perovskite):
        scaffold = find_scaffold(structure)
        assert structure.properties["crysdiff_scaffold"] == str(scaffold)
        assert structure.properties["crysdiff_space_group"] == scaffold.space_group.symbol
    assert copper.properties["crysdiff_space_group"] == "Fm-3m"
    assert perovskite.properties["crysdiff_space_group"] != "Pm-3m"
    assert sheets.properties["crysdiff_scaffold"] == "as drawn"
    free = Refinement.of(PairPotential(), relax="free")(samples)
    assert find_scaffold(free[0]).space_group.symbol == free[0].properties["crysdiff_space_group"]


def test_relaxed_sets_tell_saddles_from_minima():
    samples = saddles()
    found = Refinement.of(PairPotential(), relax=True)(samples)
    assert indices(found) == [1, 0, 2]
    copper, perovskite, sheets = found
    assert perovskite.properties["crysdiff_fallen_from"] == "Pm-3m"
    assert perovskite.properties["crysdiff_energy_per_atom"] < -1.26 - 0.04
    assert "crysdiff_fallen_from" not in copper.properties
    assert list(sheets) == list(samples[2])  # no sound end: as it was drawn
    assert samples[2].properties == {"crysdiff_index": 2}  # and that stays as it was given
    selection = found.report.selection
    assert set(selection["unrelaxed"]) == {2}
    assert "relaxed (symmetric, then released), 1 left as drawn" in str(found.report)
    again = Refinement.of(PairPotential(), relax=True)(saddles())
    assert list(again) == list(found)
    alone = Refinement.of(PairPotential(), relax=True)(samples[:1])
    energy = perovskite.properties["crysdiff_energy_per_atom"]
    # Sums over a batch round otherwise than alone, and a path amplifies that.
    assert alone[0].properties["crysdiff_energy_per_atom"] == pytest.approx(energy, abs=1e-5)


def test_of_ranked_candidates_those_near_the_top_are_released():
    samples = saddles()
    for number, structure in enumerate(samples):
        structure.properties |= {"crysdiff_rank": number, "crysdiff_log_votes": -float(number)}
    energies = [
        s.properties["crysdiff_energy_per_atom"]
        for s in Refinement.of(PairPotential(), relax="symmetric", rank_prior=0.0)(samples)
    ]
    assert energies[1] - energies[0] > CONTENTION
    found = Refinement.of(PairPotential(), relax=True, rank_prior=1e-6)(samples)
    assert all("crysdiff_fallen_from" not in s.properties for s in found[1:])
    everybody = Refinement.of(PairPotential(), relax=True, rank_prior=1.0)(samples)
    assert any("crysdiff_fallen_from" in s.properties for s in everybody)


def test_relaxation_may_keep_the_symmetry_for_good_or_not_at_all():
    kept = Refinement.of(PairPotential(), relax="symmetric")(saddles()[:1])
    assert SpacegroupAnalyzer(kept[0], symprec=1e-3).get_space_group_symbol() == "Pm-3m"
    assert kept.report.selection["relaxed"] == "symmetric"
    free = Refinement.of(PairPotential(), relax="free")(
        numbered([rattled(COPPER * (2, 1, 1), 0.05)])
    )
    assert free[0].properties["crysdiff_energy_per_atom"] == pytest.approx(-1.718, abs=2e-3)
    fixed = Refinement.of(PairPotential(), fixed_cell=True, relax=True)(numbered([COPPER]))
    assert fixed[0].lattice == COPPER.lattice


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"relax": True}, "give a potential"),
        ({"rank_prior": 0.1}, "give a potential"),
        ({"potential": EMT(), "relax": "twice"}, "relax must be"),
        ({"potential": EMT(), "relax": [True]}, "relax must be"),
        ({"potential": EMT(), "rank_prior": -0.1}, "rank_prior must be"),
        ({"potential": EMT(), "rank_prior": math.inf}, "rank_prior must be"),
        ({"potential": EMT(), "rank_prior": "0.1"}, "rank_prior must be"),
    ],
)
def test_nonsense_about_ranking_is_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        Refinement.of(**keywords)


def test_without_wishes_the_set_is_the_same_object():
    samples = numbered([COPPER])
    assert Refinement.of()(samples) is samples
    assert list(Refinement.of(PairPotential(), True, 0.1)(numbered([]))) == []


@pytest.mark.parametrize("name", ["Cu", "NaCl", "SrTiO3", "MoS2"])
@pytest.mark.parametrize("supercell", [(1, 1, 1), (1, 1, 2)])
def test_symmetrised_structures_have_their_symmetry_in_the_same_cell(name, supercell):
    perfect = prototypes()[name] * supercell
    number = SpacegroupAnalyzer(perfect, symprec=1e-4).get_space_group_number()
    given = rattled(perfect, 0.01)
    assert SpacegroupAnalyzer(given, symprec=1e-4).get_space_group_number() < number
    found = symmetrise(given, 0.15)
    assert SpacegroupAnalyzer(found, symprec=1e-4).get_space_group_number() == number
    assert [s.specie for s in found] == [s.specie for s in given]
    assert np.abs(found.lattice.matrix - given.lattice.matrix).max() < 0.1
    away = found.frac_coords - given.frac_coords
    assert np.abs(away - np.round(away)).max() < 0.03
    assert found.properties["crysdiff_symprec"] == 0.15
    again = symmetrise(found, 0.15)
    np.testing.assert_allclose(again.lattice.matrix, found.lattice.matrix, atol=1e-6)
    assert StructureMatcher().fit(found, perfect)


def test_what_cannot_be_symmetrised_is_left_alone_and_named():
    lonely = Structure(
        Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0.02, 0, 0]]
    )  # gate refuses atoms on each other
    samples = numbered([rattled(COPPER, 0.005), lonely])
    found = Refinement.of(symprec=0.3)(samples)
    assert found[0].properties["crysdiff_space_group"] == "Fm-3m"
    assert set(found.report.selection["unsymmetrised"]) == {1}
    assert found[1].lattice == lonely.lattice
    assert "1 left as they were" in str(found.report)


def test_a_given_cell_stays():
    salt = prototypes()["NaCl"]
    shifted = Structure(
        salt.lattice, salt.species, salt.frac_coords + np.array([[0, 0, 0], [0.004, -0.003, 0.002]])
    )
    found = symmetrise(shifted, 0.1, fixed_cell=True)
    np.testing.assert_array_equal(found.lattice.matrix, salt.lattice.matrix)
    with pytest.raises(InputError, match="the given cell lacks"):
        symmetrise(rattled(salt, 0.01), 0.2, fixed_cell=True)


@pytest.mark.parametrize("symprec", [0, -0.1, 2, math.nan, "0.1", True])
def test_tolerances_that_mean_nothing_are_refused(symprec):
    with pytest.raises(InputError, match="symprec"):
        Refinement.of(symprec=symprec)


def test_other_wishes_that_mean_nothing_are_refused_before_anything_is_drawn(toy_miad):
    miad = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    with pytest.raises(UnknownNameError, match="nonsense"):
        miad.sample(1, potential="nonsense")
    with pytest.raises(InputError, match="instance"):
        miad.sample(1, potential=EMT)
    with pytest.raises(InputError, match="distinct"):
        miad.sample(1, distinct=2)


def test_a_sampler_ranks_its_draws(toy_miad):
    miad = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    how = {"seed": 0, "redraws": 30, "progress": False, "num_atoms": 3}
    plain, ranked = (
        miad.sample(5, **how),
        miad.sample(5, potential=LennardJones(sigma=2.0, rc=5.0), **how),
    )
    assert sorted(indices(ranked)) == indices(plain)
    by_index = {s.properties["crysdiff_index"]: s for s in plain}
    for s in ranked:
        drawn = by_index[s.properties["crysdiff_index"]]
        assert (s.lattice, s.sites) == (drawn.lattice, drawn.sites)
    energies = [s.properties["crysdiff_energy_per_atom"] for s in ranked]
    assert energies == sorted(energies)


def test_a_sampler_relaxes_its_draws_before_it_ranks_them(toy_miad):
    miad = StructureSampler("miad", weights=str(toy_miad), device="cpu")
    how = {"seed": 0, "redraws": 30, "progress": False, "num_atoms": 2}
    potential = PairPotential()
    plain = miad.sample(3, potential=potential, **how)
    relaxed = miad.sample(3, potential=potential, relax=True, rank_prior=0.0, **how)
    assert sorted(indices(relaxed)) == sorted(indices(plain))
    before = {
        s.properties["crysdiff_index"]: s.properties["crysdiff_energy_per_atom"] for s in plain
    }
    lost = relaxed.report.selection["unrelaxed"]
    assert len(lost) < 3
    for s in relaxed:
        p = s.properties
        drop = before[p["crysdiff_index"]] - p["crysdiff_energy_per_atom"]
        assert drop == 0 if p["crysdiff_index"] in lost else drop > 0.01
    salt = prototypes()["NaCl"]
    varied = miad.vary(salt, strength=0.05, potential=potential, relax="free", seed=0)
    assert varied.report.selection["relaxed"] == "free"

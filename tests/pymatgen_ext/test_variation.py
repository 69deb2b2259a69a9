"""Neighbours of a given crystal."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff import registry
from ase_crysdiff.crystal.convert import structure_to_atoms
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.symmetry.own_cell import operations_of
from ase_crysdiff.symmetry.refinement import space_group
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import StructureSampler

ROCK_SALT, LAYERS, CHAIN = (prototypes()[n] for n in ("NaCl", "MoS2", "chain"))
PEROVSKITE = prototypes()["SrTiO3"]


def vary(sampler, structure, count=4, **constraints):
    return sampler.vary(
        structure, num_samples=count, **{"seed": 0, "redraws": 30, "progress": False} | constraints
    )


def skewed(structure):
    """The same crystal in another cell, turned, its sites in another order."""
    other = structure.copy()
    other.make_supercell([[1, 1, 0], [0, 1, 2], [0, 0, 1]], to_unit_cell=True)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    order = np.random.default_rng(1).permutation(len(other))
    return Structure(
        other.lattice.matrix @ turn, [other[i].specie for i in order], other.frac_coords[order]
    )


@pytest.mark.parametrize("structure", [ROCK_SALT, LAYERS, CHAIN, skewed(CHAIN), skewed(PEROVSKITE)])
def test_almost_no_strength_gives_the_structure_back(miad, csp, structure):
    """To single precision; cell, orientation and order of sites included."""
    for sampler in (miad, csp):
        (found,) = vary(sampler, structure, 1, strength=1e-4)
        np.testing.assert_allclose(found.lattice.matrix, structure.lattice.matrix, atol=2e-5)
        assert [s.specie.Z for s in found] == [s.specie.Z for s in structure]
        away = found.frac_coords - structure.frac_coords
        np.testing.assert_allclose(away - np.round(away), 0, atol=2e-5)


def test_a_small_strength_stays_near_and_a_large_one_goes_away(csp):
    def distance(strength):
        found = vary(csp, CHAIN, 6, strength=strength)
        return np.mean(
            [abs(np.log(s.volume / CHAIN.volume)) + s.lattice.angles[0] / 1e3 for s in found]
        )

    start = CHAIN.lattice.angles[0] / 1e3
    assert distance(0.01) - start < 0.1 < distance(1.0) - start


def test_composition_is_kept_where_the_sampler_does_not_find_it(csp):
    for s in vary(csp, skewed(PEROVSKITE), strength=0.6):
        assert s.composition == Composition("SrTiO3")
        assert [x.specie.Z for x in s] == [x.specie.Z for x in skewed(PEROVSKITE)]


def test_species_may_change_where_the_sampler_finds_them(miad):
    found = vary(miad, PEROVSKITE, 6, strength=0.9)
    assert len({s.composition.formula for s in found}) > 1
    for s in vary(miad, PEROVSKITE, 3, strength=0.9, elements="Na-Cl", num_atoms=3):
        assert len(s) == 3
        assert {e.symbol for e in s.elements} <= {"Na", "Cl"}


def test_batches_and_seeds(miad, csp):
    for sampler, structure in ((miad, ROCK_SALT), (csp, LAYERS)):
        one = vary(sampler, structure, 5)
        assert list(one) == list(vary(sampler, structure, 5, batch_size=2))
        assert list(one)[:2] == list(vary(sampler, structure, 2))
        assert list(one) != list(vary(sampler, structure, 5, seed=1))
        assert one[0] != one[1]


def test_the_plan_is_the_share_of_the_card(csp):
    evaluations = {
        s: vary(csp, ROCK_SALT, 1, strength=s).report.evaluations for s in (1e-4, 0.3, 1.0)
    }
    whole = csp.sample(
        1, composition="NaCl", formula_units=1, seed=0, redraws=9, progress=False
    ).report.evaluations
    assert evaluations[1e-4] == 0
    assert 0 < evaluations[0.3] <= 0.35 * whole
    assert evaluations[1.0] == whole
    assert vary(csp, ROCK_SALT, 1, strength=0.3, steps=7).report.evaluations >= 7


def test_atoms_of_ase_are_taken(csp):
    assert list(vary(csp, structure_to_atoms(CHAIN), 2)) == list(vary(csp, CHAIN, 2))


def broken(**change):
    place = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return Structure(
        change.get("lattice", Lattice.cubic(4)),
        change.get("species", ["Na", "Cl"]),
        change.get("coords", place),
    )


@pytest.mark.parametrize(
    ("structure", "constraints", "message"),
    [
        (ROCK_SALT, {"strength": 0}, "above 0"),
        (ROCK_SALT, {"strength": -0.1}, "got -0.1"),
        (ROCK_SALT, {"strength": 1.01}, "at most 1"),
        (ROCK_SALT, {"strength": float("nan")}, "got nan"),
        (ROCK_SALT, {"strength": "much"}, "'much'"),
        (ROCK_SALT, {"strength": True}, "got True"),
        (ROCK_SALT, {"steps": 0}, "steps"),
        (ROCK_SALT, {"symprec": -1}, "symprec"),
        ("NaCl", {}, "got str"),
        (broken(species=[{"Na": 0.5}, "Cl"]), {}, "disordered"),
        (broken(coords=[[0, 0, 0], [0, 0, 0.01]]), {}, "closer than 0.5"),
        (broken(coords=[[0, 0, 0], [0, 0, np.nan]]), {}, "not finite"),
        (broken(species=["Na", "U"]), {}, "not seen these elements in training: U"),
        (broken(lattice=Lattice.cubic(1e-3)), {}, "cannot be varied"),
    ],
)
def test_nonsense_is_refused(miad, structure, constraints, message):
    with pytest.raises(InputError, match=message):
        vary(miad, structure, **constraints)


def test_too_many_atoms_are_refused_with_the_limit(miad, csp):
    large = ROCK_SALT * (4, 4, 1)
    for sampler, limit in ((miad, 20), (csp, 6)):
        with pytest.raises(IncompatibleError, match=f"32 atoms per cell; .* holds at most {limit}"):
            vary(sampler, large)
    with pytest.raises(IncompatibleError, match="nothing for"):
        vary(csp, ROCK_SALT, elements="Na-Cl")


SYMMETRIC = {
    "rock salt": (ROCK_SALT, 0),
    "perovskite": (PEROVSKITE, 0),
    "rutile": (
        Structure.from_spacegroup(
            "P4_2/mnm",
            Lattice.tetragonal(4.59, 2.96),
            ["Ti", "O"],
            [[0, 0, 0], [0.305, 0.305, 0]],
        ),
        1,
    ),
    "wurtzite": (
        Structure.from_spacegroup(
            "P6_3mc",
            Lattice.hexagonal(3.81, 6.26),
            ["Mg", "S"],
            [[1 / 3, 2 / 3, 0.02], [1 / 3, 2 / 3, 0.39]],
        ),
        2,
    ),
}


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("strength", [0.1, 0.9])
def test_the_symmetry_of_the_seed_is_kept_in_its_own_setting(csp, name, strength):
    seed, free = SYMMETRIC[name]
    seed = skewed(seed.copy().perturb(0.01))
    (found,) = vary(csp, seed, 1, strength=strength, keep_symmetry=True, redraws=200)
    refined = operations_of(seed)
    assert refined.operations.deviation(found.frac_coords, found.lattice.matrix) < 1e-3
    assert [s.specie for s in found] == [s.specie for s in seed]
    assert found.properties["crysdiff_space_group"] == refined.symbol
    away = found.frac_coords - refined.structure.frac_coords
    assert (np.abs(away - np.round(away)).max() > 1e-4) == (free > 0)


def test_equivalent_atoms_stay_of_one_species(miad):
    seed = prototypes()["MoS2"]
    orbits = operations_of(seed).operations.orbits
    for s in vary(miad, seed, 6, strength=0.9, keep_symmetry=True):
        assert space_group(s, 1e-3)[1] > 1
        assert len(s.composition) <= len(set(orbits))
        assert len(s) in {0, *np.cumsum(np.bincount(orbits)), *np.bincount(orbits)}


def test_symmetry_that_cannot_be_kept_is_refused(miad):
    with pytest.raises(InputError, match="cannot be given num_atoms=7"):
        vary(miad, ROCK_SALT, keep_symmetry=True, num_atoms=7)


def test_samplers_that_know_no_start_are_named():
    class Elsewhere(Sampler):
        def sample(self, request, streams):
            raise AssertionError("asked for a crystal that it cannot give")

    registry.register(registry.SAMPLERS, "elsewhere", lambda weights, device: Elsewhere())
    try:
        with pytest.raises(IncompatibleError, match="cannot start from this structure"):
            vary(StructureSampler("elsewhere", device="cpu"), ROCK_SALT)
    finally:
        registry.unregister(registry.SAMPLERS, "elsewhere")


def test_neighbours_can_be_symmetrised_and_freed_of_duplicates(csp):
    found = vary(csp, PEROVSKITE, 4, strength=1e-4, distinct=True, symprec=0.05)
    assert len(found) == 1
    assert found[0].properties["crysdiff_space_group"] == "Pm-3m"
    assert StructureMatcher().fit(found[0], PEROVSKITE)
    assert found.report.selection["duplicates"] == (1, 2, 3)

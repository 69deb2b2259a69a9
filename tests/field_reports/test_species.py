"""Shared sites, decorated structures, formulas and refusals: what users of other tools reported."""

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff.data.table import shortest_distance
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import StructurePredictor, StructureSampler, from_disordered, parsing
from pymatgen_ext.ordering import orderings


def rock(cation) -> Structure:
    places = [[0, 0, 0], [0.5] * 3]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), [cation, "O"], places)


ENTROPY = rock(dict.fromkeys(("Mg", "Co", "Ni", "Cu", "Zn"), 0.2))
IRON_COBALT = rock({"Fe": 0.5, "Co": 0.5}).get_primitive_structure()
NMC = Structure.from_spacegroup(
    "R-3m",
    Lattice.hexagonal(2.86, 14.2),
    ["Li", {"Ni": 0.8, "Mn": 0.1, "Co": 0.1}, "O"],
    [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.26]],
)
PEROVSKITE = Structure.from_spacegroup(
    "Pm-3m",
    Lattice.cubic(3.9),
    [{"La": 0.5, "Sr": 0.5}, {"Fe": 1 / 3, "Co": 1 / 3, "Ni": 1 / 3}, "O"],
    [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]],
)
LITHIUM = Structure.from_spacegroup(
    "R-3m",
    Lattice.hexagonal(2.816, 14.05),
    ["Co", {"Li": 0.5}, "O"],
    [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.2605]],
)
MIXED = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(4.3), [{"Fe2+": 0.5, "Fe3+": 0.5}, "O2-"], [[0, 0, 0], [0.5] * 3]
)


# Shared sites into whole numbers (item 26)


@pytest.mark.parametrize(
    ("structure", "gone", "supercell"),
    [
        (ENTROPY, "0.8 Zn", (1, 1, 2)),
        (IRON_COBALT, "0.5 Co", (1, 1, 2)),
        (NMC, "0.3 Mn, 0.3 Co", (1, 3, 1)),
        (PEROVSKITE, "0.5 Sr, 0.333 Co, 0.333 Ni", (1, 1, 3)),
    ],
)
def test_elements_that_vanish_are_named_with_the_supercell_that_holds_them(
    structure, gone, supercell
):
    with pytest.raises(InputError) as caught:
        from_disordered(structure)
    assert f"holds {gone}, which rounds to no atoms" in str(caught.value)
    assert f"{supercell} is the smallest" in str(caught.value)
    host, guests = from_disordered(structure, supercell)
    wanted = structure.composition.element_composition * int(np.prod(supercell))
    assert len(host) + sum(guests.values()) == round(wanted.num_atoms)
    assert {e.symbol for e in wanted} == set(guests) | {s.symbol for s in host.elements}


@pytest.mark.parametrize("supercell", [(1, 1, 2), 2, (3, 1, 1)])
def test_sites_are_neither_overfull_nor_left_empty(supercell):
    size = int(np.prod(np.broadcast_to(supercell, 3)))
    _, guests = from_disordered(ENTROPY, supercell)
    assert sum(guests.values()) == 4 * size
    assert max(guests.values()) - min(guests.values()) <= 1


def test_sums_are_kept_for_each_kind_of_site():
    _, guests = from_disordered(PEROVSKITE, (1, 1, 3))
    assert guests["La"] + guests["Sr"] == 3
    assert guests == {"La": 2, "Sr": 1, "Fe": 1, "Co": 1, "Ni": 1}


def test_half_a_site_rounds_towards_atoms():
    assert from_disordered(LITHIUM)[1] == {"Li": 2}
    assert from_disordered(LITHIUM, (2, 1, 1))[1] == {"Li": 3}


# Orderings on the given sites (new user, U5)


def test_orderings_lie_on_the_given_sites():
    found = orderings(LITHIUM, (2, 1, 1))
    sites = {tuple(np.round(site.frac_coords % 1, 4)) for site in LITHIUM * (2, 1, 1)}
    assert len(found) == 3
    assert uniqueness(found).value == 1.0
    for ordered in found:
        assert ordered.formula == "Li3 Co6 O12"
        assert ordered.is_ordered
        assert {tuple(np.round(s.frac_coords % 1, 4)) for s in ordered} <= sites


def test_all_orderings_are_found_up_to_symmetry():
    """Two of four sites of a face-centred cell: all six pairs are equal by symmetry."""
    (ordered,) = orderings(rock({"Fe": 0.5, "Co": 0.5}))
    assert ordered.formula == "Fe2 Co2 O4"


def test_orderings_by_energy_and_at_random():
    potential = PairPotential()
    ranked = orderings(LITHIUM, (2, 2, 1), most=3, potential=potential)
    energies = [s.properties["crysdiff_energy_per_atom"] for s in ranked]
    assert energies == sorted(energies)
    first, again = (orderings(LITHIUM, (4, 2, 1), most=4, seed=3) for _ in range(2))
    assert first == again
    assert len(first) == 4


def test_what_is_ordered_has_no_orderings():
    with pytest.raises(InputError, match="is ordered as it is"):
        orderings(rock("Mg"))


def test_orderings_are_a_keyword_of_what_is_public():
    found = from_disordered(LITHIUM, (2, 1, 1), orderings=2)
    assert found == orderings(LITHIUM, (2, 1, 1), most=2)
    with pytest.raises(InputError, match="say how many"):
        from_disordered(LITHIUM, (2, 1, 1), potential=PairPotential())


# One element in two oxidation states (item 27)


def test_mixed_valence_is_not_disordered():
    with pytest.raises(InputError, match="has no partially occupied site"):
        from_disordered(MIXED)
    plain = rock("Fe")
    plain.lattice = MIXED.lattice
    value, same = StructurePredictor("formation-energy").predict([MIXED, plain])
    assert value == pytest.approx(same, abs=1e-6)
    heavy = rock({"H": 0.5, "D": 0.5})
    assert uniqueness([heavy, rock("H")]).value == 0.5


# Decorated hosts (items 28 and 34)


@pytest.fixture(scope="module")
def sampler(toy_miad):
    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


def decorated() -> Structure:
    host = Structure(Lattice.cubic(5.0), ["Ti3+", "O2-"], [[0, 0, 0], [0.5] * 3], labels=["T", "O"])
    host.add_site_property("magmom", [1.0, 0.0])
    return host


def test_hosts_keep_what_they_say_of_their_sites(sampler):
    (filled,) = sampler.inpaint(decorated(), {"Na": 1}, seed=0)
    assert [str(site.specie) for site in filled] == ["Ti3+", "O2-", "Na"]
    assert filled.labels == ["T", "O", "Na"]
    assert filled.site_properties["magmom"][:2] == [1.0, 0.0]
    assert filled.site_properties["crysdiff_role"] == ["host", "host", "guest"]
    assert np.array_equal(filled.frac_coords[:2], decorated().frac_coords)


def test_filled_decorated_hosts_can_be_written(sampler, tmp_path):
    samples = sampler.inpaint(decorated(), {"Na": 1}, num_samples=2, seed=0)
    for name in ("all.extxyz", "all.json", "all.db", "all.csv", "cifs"):
        samples.write(tmp_path / name)
    assert samples.to_dataframe()["formula"].nunique() == 1


def test_ase_atoms_as_a_host(sampler):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    (filled,) = sampler.inpaint(atoms, {"Na": 1}, seed=0)
    assert filled.formula == "Na2 Cl1"
    assert np.allclose(filled.lattice.matrix, atoms.cell.array)


def test_what_a_mask_takes_out_is_placed_again(sampler):
    (filled,) = sampler.inpaint(decorated(), mask="Ti", seed=0)
    assert filled.composition.element_composition == Composition("TiO")
    with pytest.raises(InputError, match="Nothing says what to place"):
        sampler.inpaint(decorated())


def test_a_disordered_host_is_filled_by_itself(sampler):
    disordered = Structure(
        Lattice.cubic(6.0), [{"Na": 0.6}, "Cl", "Cl"], [[0.5] * 3, [0, 0, 0], [0, 0.5, 0]]
    )
    (filled,) = sampler.inpaint(disordered, seed=0)
    assert filled.formula == "Na1 Cl2"


def test_isotopes_are_said_to_be_drawn_as_elements():
    samples = StructureSampler("prototypes").sample(1, composition="LiD")
    assert samples[0].composition.reduced_formula == "LiH"
    assert "D drawn as H" in str(samples.report)
    assert parsing.isotope_note("DyTiO3", "Te-Tl") == ()
    assert parsing.isotope_note("LiD", ["T"])[0].startswith("D and T drawn as H")


# Formulas (item 29)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SrTiO₃", "SrTiO3"),
        ("CuSO4·5H2O", "CuSO4(H2O)5"),
        ("CuSO4.5H2O", "CuSO4(H2O)5"),
        ("CuSO4*5H2O", "CuSO4(H2O)5"),
        ("MgO.Al2O3", "MgAl2O4"),
        ("3CaO·Al2O3", "Ca3Al2O6"),
        ("K2Mg(SO4)2 · 6 H2O", "K2Mg(SO4)2(H2O)6"),
        ("Co", "Co"),
        ("CO", "CO"),
        ("NaN", "NaN"),
        ("D2O", "H2O"),
        ("Mg(Al(OH)4)2", "MgAl2O8H8"),
        ("C60", "C60"),
        ("Fe10O12", "Fe10O12"),
    ],
)
def test_formulas_as_people_write_them(text, expected):
    wanted = {e.Z: n for e, n in Composition(expected).items()}
    assert dict(parsing.composition(text)) == wanted


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Fe0O2", "an amount of zero .Fe0.. Leave that element out"),
        ({"Fe": 0, "O": 2}, "an amount of zero .Fe.. Leave it out"),
        ("Li0.5CoO2", "Write LiCo2O4"),
        ("Ni0.8Mn0.1Co0.1O", "Write Ni8MnCoO10"),
        ("Na2O.2", "0.2 O per formula unit"),
        ("Na+Cl-", "cannot be read as a composition"),
        ("", "cannot be read as a composition"),
    ],
)
def test_formulas_that_cannot_be_served_say_what_to_write(formula, message):
    with pytest.raises(InputError, match=message):
        parsing.composition(formula)


# Refusals (item 30) and distances (item 40)


def test_refusals_name_elements_by_symbols():
    americium = Structure(Lattice.cubic(5.0), ["Am", "O"], [[0, 0, 0], [0.5] * 3])
    predictor = StructurePredictor("formation-energy")
    with pytest.raises(InputError, match=r"\bAm\b"):
        predictor.predict([americium])


def test_the_shortest_distance_of_a_skewed_cell_is_that_of_its_lattice():
    skewed = Structure(Lattice([[4, 0, 0], [3.9, 2.6, 0], [0, 0, 4]]), ["Cu"], [[0, 0, 0]])
    assert shortest_distance(skewed) == pytest.approx(np.hypot(0.1, 2.6))
    sheared = Structure(Lattice([[4, 0, 0], [28.1, 4, 0], [9, -36, 4]]), ["Cu"], [[0, 0, 0]])
    assert shortest_distance(sheared) == pytest.approx(4.0, abs=0.1)

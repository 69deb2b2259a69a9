"""Formation energies and hulls: closed forms, the convex hull itself as the twin, and the Materials
Project's own table.
"""

import csv
import gzip
import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from ase.data import chemical_symbols
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.formation import (
    energies_above_hull,
    energies_per_atom,
    formation_energies,
    hull_of,
)
from ase_crysdiff.metrics.formulas import amounts, fractions
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.base import Evaluation, Potential
from ase_crysdiff.potentials.checks import check
from ase_crysdiff.potentials.chgnet import CHGNetPotential
from ase_crysdiff.potentials.element_references import fit_element_references, formation_energy
from ase_crysdiff.testing.crystals import prototypes, rattled
from ase_crysdiff.testing.pair_potential import PairPotential


def read_table(path):
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


class Additive(Potential):
    """Each atom has the energy of its element; atoms of compounds are bound by the same amount."""

    name = "additive"
    elements = frozenset(range(1, 90))
    dtype, device = torch.float64, torch.device("cpu")
    own = {1: -3.4, 3: -1.9, 11: -1.3, 17: -1.8}

    def __init__(self, bond: float = 0.0) -> None:
        self.bond = bond

    def evaluate(self, configurations):
        check(configurations, self.elements, self.name)
        energies = torch.tensor(
            [self.own.get(z, -1.0) for z in configurations.species.tolist()], dtype=torch.float64
        )
        mixed = [
            len(set(part.tolist())) > 1
            for part in configurations.species.split(configurations.num_atoms.tolist())
        ]
        energies = energies + self.bond * torch.tensor(mixed)[configurations.index]
        total = torch.zeros(len(configurations), dtype=torch.float64).index_add(
            0, configurations.index, energies
        )
        nothing = torch.full((len(configurations), 3, 3), torch.nan, dtype=torch.float64)
        return Evaluation(
            energies, total, torch.zeros(len(energies), 3, dtype=torch.float64), nothing
        )


BY_SYMBOL = {chemical_symbols[z]: energy for z, energy in Additive.own.items()}


def crystal(formula: str) -> Structure:
    species = [el for el, n in Composition(formula).items() for _ in range(int(n))]
    coords = [[i / len(species), 0.3 * i % 1, 0.7 * i % 1] for i in range(len(species))]
    return Structure(Lattice.cubic(3 * len(species) ** (1 / 3)), species, coords)


def test_hull_of_the_textbook():
    hull = Hull({"Li": 0.0, "Cl2": 0.0, "LiCl": -1.0})
    assert hull.energy("Li3Cl") == pytest.approx(-0.5, abs=1e-12)
    assert (
        hull.energy("Li6Cl2")
        == hull.energy({"Li": 3, "Cl": 1})
        == hull.energy(Composition("Li3Cl"))
    )
    assert hull.energy("Cl") == hull.energy("Cl2") == 0
    assert hull.is_listed("Li2Cl2")
    assert not hull.is_listed("Li3Cl")
    assert len(hull) == 3


def test_hull_of_total_energies():
    """Na -1.3, Cl -1.8, NaCl -5.1 eV: Na2Cl at -5.9 eV lies 1/6 eV/atom above, at -6.8 eV 2/15
    below.
    """
    hull = Hull({"Na": -1.3, "Cl": -1.8, "NaCl": -5.1 / 2}, scale="total")
    assert hull.energy("Na2Cl") == pytest.approx(-2.1333333, abs=1e-6)
    assert -5.9 / 3 - hull.energy("Na2Cl") == pytest.approx(0.1666667, abs=1e-6)
    assert -6.8 / 3 - hull.energy("Na2Cl") == pytest.approx(-0.1333333, abs=1e-6)
    assert formation_energy(
        -5.1 / 2, {"Na": 1, "Cl": 1}, {"Na": -1.3, "Cl": -1.8}
    ) == pytest.approx(-1.0)


def test_hull_agrees_with_a_linear_programme():
    """Hull energy = least Σ w E with Σ w x = x: the definition, solved without any geometry."""
    generator = np.random.default_rng(0)
    elements = ["Li", "Mn", "O", "F"]
    table = dict.fromkeys(elements, 0.0)
    while len(table) < 40:
        counts = generator.integers(0, 5, 4)
        if (counts > 0).sum() > 1:
            formula = Composition(dict(zip(elements, counts.tolist(), strict=True))).reduced_formula
            table[formula] = float(generator.normal(-0.5, 0.5))
    hull = Hull(table)
    for counts in generator.integers(0, 6, (40, 4)):
        if counts.sum():
            formula = {e: int(n) for e, n in zip(elements, counts, strict=True) if n}
            diagram = hull.diagram(frozenset(formula))
            lowest = diagram.get_hull_energy_per_atom(Composition(formula))
            assert hull.energy(formula) == pytest.approx(lowest, abs=1e-7)


def test_many_elements_and_degenerate_compounds():
    """The construction of a whole hull gives up on compounds that nearly lie in one plane."""
    elements = chemical_symbols[3:15]
    table = {e: 0.0 for e in elements}
    pairs = [(a, b) for a in elements for b in elements if a < b]
    table |= {f"{a}{n}{b}": -1.0 + 1e-13 * n for a, b in pairs for n in (1, 2, 3)}
    assert Hull(table).energy("".join(elements)) == pytest.approx(-1.0, abs=1e-9)
    deeper = f"{elements[0]}{elements[1]}{elements[2]}"
    expected = -0.75 - 2.0 * 0.25  # a quarter of the atoms are in the deeper compound
    assert Hull({**table, deeper: -2.0}).energy("".join(elements)) == pytest.approx(expected)


def test_adding_a_compound_never_raises_the_hull_and_a_linear_shift_changes_no_distance():
    table = {"Na": 0.0, "Cl": 0.0, "NaCl": -1.0}
    assert Hull({**table, "Na3Cl": -0.7}).energy("Na2Cl") <= Hull(table).energy("Na2Cl")
    shift = {"Na": 0.4, "Cl": -0.9}
    moved = {f: e + sum(shift[s] * x for s, x in fractions(f)) for f, e in table.items()}
    assert Hull(moved).energy("Na2Cl") - Hull(table).energy("Na2Cl") == pytest.approx(
        (2 * 0.4 - 0.9) / 3
    )


def test_missing_elements_are_named_and_bad_tables_refused(tmp_path):
    hull = Hull({"Li": 0.0, "LiClO": -1.0}, name="table")
    with pytest.raises(InputError, match="'table' has no entry for the elements Cl, O;"):
        hull.energy("LiClO")
    with pytest.raises(InputError, match="for the element Na;"):
        hull.energy("Na")
    with pytest.raises(InputError, match="energy of LiCl is nan"):
        Hull({"Li": 0.0, "LiCl": float("nan")})
    with pytest.raises(InputError, match="there are none"):
        Hull({})
    with pytest.raises(InputError, match="cannot be read as a composition"):
        Hull({"Xy2": 0.0})
    with pytest.raises(InputError, match="'formation' or 'total'"):
        Hull({"Li": 0.0}, scale="eV")
    (tmp_path / "a.csv").write_text("formula,energy\nLi,0\n")
    for path in (tmp_path / "a.csv", tmp_path / "none.csv"):
        with pytest.raises(InputError, match="cannot be read as a hull"):
            Hull.read(path)
    (tmp_path / "b.csv").write_text("reduced_formula,hull_energy_per_atom\nNa,0\nN2,0\nNaN,-0.5\n")
    read = Hull.read(tmp_path / "b.csv")
    assert read.energy("NaN") == -0.5  # sodium nitride, not a missing value
    assert read.settings["hull"] == "b.csv"
    assert len(read.settings["hull_sha256"]) == 64


def test_decorations_are_no_part_of_a_composition():
    assert amounts(Composition({"Na+": 2, "Cl-": 2})) == {"Na": 2, "Cl": 2}
    assert amounts("D2O") == {"H": 2, "O": 1}
    with pytest.raises(InputError, match="is empty"):
        amounts({})


def test_references_are_recovered_by_least_squares():
    generator = np.random.default_rng(1)
    truth = {"Li": -1.9, "O": -4.9, "Mn": -9.1}
    compositions = [
        dict(zip(truth, row.tolist(), strict=True)) for row in generator.integers(1, 6, (40, 3))
    ]
    formed = generator.normal(-1, 0.5, 40)
    energies = [
        f + sum(truth[s] * n for s, n in c.items()) / sum(c.values())
        for c, f in zip(compositions, formed, strict=True)
    ]
    rare = [{"Xe": 1, "Li": 2}] * 4
    found = fit_element_references(
        [*compositions, *rare], [*energies, 7.0, 7.0, 7.0, 7.0], [*formed, 0.0, 0.0, 0.0, 0.0]
    )
    assert found == pytest.approx(truth, abs=1e-6)  # four crystals with xenon leave no trace
    for composition, energy, expected in zip(compositions, energies, formed, strict=True):
        assert formation_energy(energy, composition, found) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="some elements always occur together"):
        fit_element_references([{"Na": 1, "Cl": 1}] * 6, [-3.0] * 6, [-2.0] * 6)
    with pytest.raises(InputError, match="2 energies are not finite"):
        fit_element_references(compositions[:3], [np.nan, np.inf, -1.0], [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="needs one of each"):
        fit_element_references(compositions, energies[1:], formed)
    with pytest.raises(InputError, match="no reference energy for Cl, K"):
        formation_energy(-3.0, {"K": 1, "Cl": 1, "Li": 1}, truth)


def test_failures_stay_alone_and_keep_their_place():
    broken = crystal("NaCl")
    broken.translate_sites([0], [float("nan")] * 3)
    disordered = Structure(Lattice.cubic(3), [{"Na": 0.5, "Li": 0.5}], [[0, 0, 0]])
    given = [
        crystal("NaCl"),
        None,
        broken,
        crystal("Na2Cl"),
        disordered,
        crystal("KCl"),
        crystal("AmCl"),
        crystal("LiH"),
    ]
    references = {"Na": -1.3, "Cl": -1.8, "Li": -1.9, "K": -1.0, "H": -3.4}
    found = energies_above_hull(
        given, Additive(-1.0), Hull({"Na": 0, "Cl": 0, "NaCl": -1.0, "K": 0, "H": 0}), references
    )
    assert set(found.failures) == {1, 2, 4, 6, 7}
    assert "no structure" in found.failures[1]
    assert "not finite" in found.failures[2]
    assert "disordered" in found.failures[4]
    assert "does not know Am" in found.failures[6]
    assert "no entry for the element Li" in found.failures[7]
    assert np.isnan(found.energy_above_hull[[1, 2, 4, 6, 7]]).all()
    assert found.energy_above_hull[[0, 3, 5]] == pytest.approx([0.0, -1 + 2 / 3, -1.0])
    assert found.is_listed.tolist() == [True, False, False, False, False, False, False, False]
    assert found.settings["potential"] == "additive"
    assert found.settings["hull_entries"] == 5


def test_a_candidate_never_enters_its_hull():
    """A compound below the hull is negative, alone or together with others below it."""
    hull = Hull({"Na": 0, "Cl": 0})
    alone = energies_above_hull([crystal("NaCl")], Additive(-1.0), hull, BY_SYMBOL)
    together = energies_above_hull(
        [crystal("NaCl"), crystal("NaCl"), crystal("Na2Cl")], Additive(-1.0), hull, BY_SYMBOL
    )
    assert alone.energy_above_hull == pytest.approx([-1.0])
    assert together.energy_above_hull == pytest.approx([-1.0] * 3)
    assert hull.energy("NaCl") == 0


def test_references_lie_on_their_own_hull_in_any_cell():
    structures = [crystal("Na2"), crystal("Cl4"), crystal("NaCl"), crystal("Na2Cl")]
    potential = Additive(-0.3)
    hull = hull_of(structures, potential, "mine")
    assert hull.scale == "total"
    large = [s * (2, 1, 1) for s in structures]
    found = energies_above_hull([*structures, *large], potential, hull)
    assert found.energy_above_hull == pytest.approx(np.zeros(8), abs=1e-9)
    assert np.isnan(found.formation_energy).all()
    with pytest.raises(
        InputError, match="1 reference structures have no energy; number 1: .*disordered"
    ):
        hull_of(
            [crystal("Na"), Structure(Lattice.cubic(3), [{"Na": 0.5, "Li": 0.5}], [[0, 0, 0]])],
            potential,
        )


def test_elements_have_no_formation_energy():
    found = formation_energies([crystal("Na4"), crystal("Cl2")], Additive(), BY_SYMBOL)
    assert found.formation_energy == pytest.approx([0, 0], abs=1e-12)
    assert np.isnan(found.energy_above_hull).all()
    with pytest.raises(InputError, match="additive comes without reference energies"):
        formation_energies([crystal("Na")], Additive())


def test_batches_do_not_change_energies(monkeypatch):
    structures = [*rattled(12), prototypes()["SrTiO3"] * (2, 2, 1)]
    together, failures = energies_per_atom(structures, PairPotential())
    monkeypatch.setattr("ase_crysdiff.metrics.formation.ATOMS_PER_CALL", 7)
    apart, _ = energies_per_atom(structures, PairPotential())
    assert failures == {}
    assert together == pytest.approx(apart, abs=1e-10)


def test_chgnet_brings_references_with_their_credit():
    table = json.loads((files("ase_crysdiff.resources") / "chgnet_references.json").read_text())
    assert "CC BY 4.0" in table["source"]
    assert len(table["energies"]) == 84
    # Close to the energies of the elements' own crystals (MP-PBE minima), from which the fit knew
    # nothing.
    for symbol, energy in {
        "Li": -1.909,
        "O": -4.948,
        "Na": -1.323,
        "Cl": -1.849,
        "Si": -5.425,
        "Ti": -7.895,
        "Mg": -1.600,
    }.items():
        assert table["energies"][symbol] == pytest.approx(energy, abs=0.04)


@pytest.mark.data
def test_the_table_of_the_materials_project_reproduces_its_distances(data):
    """Formation energy minus hull height is the published E_hull at the listed formulas."""
    hull = Hull.read(data / "mp" / "hull.csv.gz")
    assert len(hull) == 17222
    frame = read_table(data / "mp" / "test_mp20_biternary.csv.gz")
    rows = [r for r in frame if r["e_above_hull"]][:1000]
    assert all(hull.is_listed(r["pretty_formula"]) for r in rows)
    error = np.array(
        [
            float(r["formation_energy_per_atom"])
            - hull.energy(r["pretty_formula"])
            - float(r["e_above_hull"])
            for r in rows
        ]
    )
    assert np.median(np.abs(error)) < 1e-6
    assert (np.abs(error) < 1e-4).mean() > 0.99


@pytest.mark.data
@pytest.mark.slow
def test_chgnet_with_fitted_references_meets_its_known_accuracy(data):
    """On held-out crystals, as given: MAE of the formation energy 0.022 eV/atom over the whole
    set.
    """
    rows = read_table(data / "mp" / "test_mp20_biternary.csv.gz")[::90]
    structures = [Structure.from_str(row["cif"], fmt="cif") for row in rows]
    found = energies_above_hull(
        structures, CHGNetPotential(), Hull.read(data / "mp" / "hull.csv.gz")
    )
    ok = np.isfinite(found.formation_energy)
    error = found.formation_energy - np.array([float(r["formation_energy_per_atom"]) for r in rows])
    assert ok.mean() > 0.97
    print(f"n = {ok.sum()}, MAE {np.abs(error[ok]).mean():.4f} eV/atom, failures {found.failures}")
    assert np.abs(error[ok]).mean() < 0.035
    above = found.energy_above_hull - np.array([float(r["e_above_hull"]) for r in rows])
    assert np.abs(above[ok]).mean() == pytest.approx(np.abs(error[ok]).mean(), abs=2e-3)

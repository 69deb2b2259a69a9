"""What nobody can predict is refused before anything is drawn; what fails for one sample costs that
sample only.
"""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from pymatgen.core import Composition, Lattice, Structure

from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import StructureSampler
from pymatgen_ext.cells import CellMap
from pymatgen_ext.selection import Refinement

SALT = prototypes()["NaCl"]


class Moody(LennardJones):
    """Fails for cells of one volume, as a DFT code does that finds no ground state."""

    def calculate(self, atoms=None, *arguments, **keywords):
        if atoms.get_volume() > 60:
            raise RuntimeError("no ground state")
        super().calculate(atoms, *arguments, **keywords)


@pytest.mark.parametrize(
    ("composition", "message"),
    [
        ("Xx2O", "no chemical element"),
        ("", "cannot be read as a composition"),
        ("Na+", "without charges"),
        ({"Na+": 1}, r"carries a charge of \+1"),
        (Composition({"Ti4+": 1, "O2-": 3}), "carries a charge of -2"),
        ("Sr0.5TiO3", "must be whole numbers"),
        ("Sr100Ti100O300", "500 atoms"),
        ({}, "cannot be read|empty composition"),
    ],
)
def test_compositions_of_no_crystal_are_refused(composition, message, toy_csp):
    with pytest.raises(InputError, match=message):
        StructureSampler("dao-g-perov5", weights=str(toy_csp), device="cpu").sample(
            1, composition=composition
        )


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("energy_above_hull", "maps names to numbers"),
        ({1: 0.0}, "maps names to numbers"),
        ({"energy_above_hull": [0.1]}, "must be a finite number, or a window of two"),
        ({"energy_above_hull": float("nan")}, "must be a finite number"),
        ({"band_gap": (2.5, 1.5)}, "the smaller one first"),
        ({"space_group": "Fm-3n"}, "Fm-3n"),
    ],
)
def test_properties_that_are_none_are_refused(properties, message, toy_csp):
    csp = StructureSampler("dao-g-perov5", weights=str(toy_csp), device="cpu")
    with pytest.raises(InputError, match=message):
        csp.sample(1, composition="NaCl", properties=properties)


def test_a_property_that_nobody_knows_is_refused(toy_csp):
    csp = StructureSampler("dao-g-perov5", weights=str(toy_csp), device="cpu")
    with pytest.raises(IncompatibleError, match="takes no property.*No installed sampler can"):
        csp.sample(1, composition="NaCl", properties={"magnetisation": 0.0})


def test_oxidation_states_that_balance_are_left_out(toy_csp):
    csp = StructureSampler("dao-g-perov5", weights=str(toy_csp), device="cpu")
    request, _ = csp.request(composition={"Na+": 1, "Cl-": 1})
    assert dict(request.task.composition) == {11: 1, 17: 1}


@pytest.mark.parametrize(
    "lattice",
    [
        *[np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones((3, 3)), 0.01 * np.eye(3), "cubic"],
        *[4.0, (4, 4, 4), np.arange(9), [[4, 0, 0], [0, 4]]],
    ],
)
def test_impossible_lattices_are_refused(lattice, toy_csp):
    with pytest.raises(InputError, match="lattice"):
        StructureSampler("dao-g-perov5", weights=str(toy_csp), device="cpu").sample(
            1, composition="NaCl", lattice=lattice
        )


def test_six_numbers_are_a_lattice():
    cell = (4.0, 4.5, 5.0, 90.0, 90.0, 100.0)
    assert CellMap.of(cell).given == CellMap.of(np.array(cell)).given
    assert CellMap.of(cell).given == Lattice.from_parameters(*cell)
    for impossible in [(4, 4, 4, 30, 30, 150), (4, 4, -4, 90, 90, 90), (4, 4, np.nan, 90, 90, 90)]:
        with pytest.raises(InputError, match="No cell has the lengths"):
            CellMap.of(impossible)


def test_a_potential_that_fails_for_one_sample_ranks_the_others():
    structures = [
        Structure(
            Lattice(SALT.lattice.matrix * f),
            SALT.species,
            SALT.frac_coords,
            properties={"crysdiff_index": i},
        )
        for i, f in enumerate((1.0, 1.2, 0.98))
    ]
    found = Refinement.of(Moody(sigma=2.2, rc=6.0), distinct=False, symprec=0.05)(
        SampleSet(structures, Report("by hand", "", 0, 3, 3, 0))
    )
    assert [s.properties["crysdiff_index"] for s in found][2] == 1
    assert set(found.report.selection["unranked"]) == {1}
    assert "no ground state" in found.report.selection["unranked"][1]
    # Whoever reads a structure or the report knows how far the symmetry was helped along.
    assert {s.properties["crysdiff_symprec"] for s in found} == {0.05}
    assert {s.properties["crysdiff_space_group"] for s in found} == {"Fm-3m"}
    assert "symmetrised within 0.05 Å" in str(found.report)

"""A library gives back its crystals, through a file too, and tells which elements are alike."""

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from textbook import TEXTBOOK, packed

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.metrics.matching import reduced, rms_distance
from ase_crysdiff.prototypes.building import build
from ase_crysdiff.prototypes.library import Library, reduced_formula
from ase_crysdiff.prototypes.quantised import primitive_cell, quantised_cell
from ase_crysdiff.symmetry.scaffold import Scaffold


@pytest.fixture(scope="module")
def library():
    data = packed()
    energies = data.values["e_above_hull"].tolist()
    return build(data.scaffolds, data.names, energies, largest_energy=0.5)


def structure_of(crystal):
    return Structure(crystal.lattice, crystal.species.tolist(), crystal.frac_coords)


def test_crystals_come_back(library):
    again = Library.of(library.tensors())
    assert sorted(again.names) == sorted(TEXTBOOK)
    for row, name in enumerate(again.names):
        energy, structure = TEXTBOOK[name]
        found = structure_of(again.crystal(row))
        assert again.scaffold(row) == again.crystal(row).scaffold
        distance = rms_distance(reduced(found), reduced(structure.get_primitive_structure()))
        assert distance is not None
        assert distance < 2e-5  # free numbers are kept to 1/65536
        assert found.volume / len(found) == pytest.approx(
            structure.volume / len(structure), rel=1e-3
        )
        assert again.energy[row] == pytest.approx(energy, abs=1e-4)


@pytest.mark.parametrize(
    ("group", "lattice"),
    [
        (2, Lattice.from_parameters(5.1234, 6.2, 7.3, 81.234, 95.4, 102.3)),
        (14, Lattice.from_parameters(5.1234, 6.2, 7.3, 90, 103.456, 90)),
        (62, Lattice.orthorhombic(10.3312, 6.0101, 4.6925)),
        (136, Lattice.tetragonal(4.5937, 2.9587)),
        (166, Lattice.hexagonal(4.3831, 30.4872)),
        (225, Lattice.cubic(5.6402)),
    ],
)
def test_cells_are_kept_to_a_thousandth(group, lattice):
    from ase_crysdiff.symmetry.tables import space_group

    kept = quantised_cell(group, np.array(lattice.matrix))
    back = Lattice(np.linalg.inv(space_group(group).primitive) @ primitive_cell(group, kept))
    np.testing.assert_allclose(back.abc, lattice.abc, atol=1e-3)
    np.testing.assert_allclose(back.angles, lattice.angles, atol=2e-3)


def test_cells_beyond_the_numbers_are_left_out():
    assert quantised_cell(221, np.eye(3) * 70.0) is None


def test_elements_that_exchange_are_near(library):
    distance = library.distance
    assert (distance == distance.T).all()
    assert (np.diag(distance) == 0).all()
    assert distance[56, 38] < distance[56, 22]  # Ba for Sr, not for Ti
    assert distance[19, 11] < distance[19, 17]  # K for Na, not for Cl


def test_high_crystals_are_left_out():
    data = packed()
    energies = [0.9, *data.values["e_above_hull"].tolist()[1:]]
    found = build(data.scaffolds, data.names, energies, largest_energy=0.5)
    assert set(TEXTBOOK) - set(found.names) == {"halite"}
    with pytest.raises(InputError, match="No crystal is left"):
        build(data.scaffolds, data.names, [9.0] * len(data), largest_energy=0.5)


def test_prototypes_and_formulas(library):
    row = library.names.index("rutile")
    rutile = Scaffold.parse("P4_2/mnm: Ti a, O f").prototype
    assert library.prototype(row) == rutile.canonical()
    assert ((8, 2), (22, 1)) in library.formulas
    assert reduced_formula([(22, 4), (8, 8)]) == ((8, 2), (22, 1))
    assert library.num_atoms[row] == 6
    assert sorted(library.species_of(row)) == [8, 22]


def test_a_file_that_lacks_a_tensor_is_refused(library):
    tensors = library.tensors()
    del tensors["group"]
    with pytest.raises(CheckpointError, match=r"lacks the tensors \['group'\]"):
        Library.of(tensors)


def test_names_stay_with_packed_crystals(tmp_path):
    data = packed()
    data.save(tmp_path / "packed.safetensors")
    again = PackedCrystals.load(tmp_path / "packed.safetensors")
    assert again.names == tuple(TEXTBOOK)
    chosen = again.select(torch.arange(len(again)) % 2 == 1)
    assert chosen.names == tuple(TEXTBOOK)[1::2]

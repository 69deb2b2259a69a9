"""Descriptors: the same for any cell of a crystal, and what they say of crystals that one knows."""

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure, SymmOp

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.predictors.descriptors import composition, elasticity, trunks
from ase_crysdiff.predictors.descriptors.describing import (
    BLOCKS,
    USUAL,
    check_digests,
    describe,
    describe_once,
    digests,
)
from ase_crysdiff.predictors.descriptors.geometry import geometry
from ase_crysdiff.testing.crystals import prototypes

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
BLENDE = Structure.from_spacegroup(
    "F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25] * 3]
)
LAYERS = Structure.from_spacegroup(
    "P6_3/mmc",
    Lattice.hexagonal(3.16, 12.3),
    ["Mo", "S"],
    [[1 / 3, 2 / 3, 0.25], [1 / 3, 2 / 3, 0.621]],
)


def row(structure: Structure) -> dict[str, float]:
    table = geometry(from_structures([structure]))
    return dict(zip(table.names, table.rows[0], strict=True))


def test_known_crystals():
    salt, blende = row(SALT.get_primitive_structure()), row(BLENDE.get_primitive_structure())
    # A sodium atom has 6 chlorine atoms and, large as it is, 12 sodium atoms within reach.
    assert (salt["least neighbours"], salt["largest neighbours"]) == (6, 18)
    assert blende["mean neighbours"] == 4
    assert salt["density"] == pytest.approx(2.16, abs=0.02)
    assert salt["mean nearest neighbour"] == pytest.approx(2.82, abs=1e-3)
    assert (salt["space group"], blende["space group"]) == (225, 216)
    assert (salt["has inversion"], blende["has inversion"]) == (1, 0)
    assert (salt["point operations"], blende["point operations"]) == (48, 24)
    assert salt["largest contrast of bonds"] == pytest.approx(3.16 - 0.93)


def test_layers_show_an_empty_slab():
    layers = row(LAYERS)
    assert layers["empty slab"] > 0.5
    assert row(SALT.get_primitive_structure())["empty slab"] < 0.5


@pytest.mark.parametrize("crystal", [SALT, BLENDE, LAYERS, *prototypes().values()])
def test_the_widest_slab_is_the_same_in_any_cell_of_the_lattice(crystal):
    """Sheared cells have their widest planes under other indices, atoms on either side of a
    border.
    """
    generator = np.random.default_rng(0)
    widths = []
    for number in range(6):
        shear = np.eye(3, dtype=int)
        for _ in range(number):
            i, j = generator.choice(3, 2, replace=False)
            shear[i] += generator.choice([-1, 1]) * shear[j]
        frac = crystal.frac_coords @ np.linalg.inv(shear)
        other = Structure(Lattice(shear @ crystal.lattice.matrix), crystal.species, frac)
        widths.append(row(other)["empty slab"])
    assert widths == pytest.approx([widths[0]] * 6, abs=1e-4)


def test_an_atom_on_the_border_of_the_cell_is_on_both():
    """Heights a hair below 0 and 0 are the same; a large atom behind a small one covers its gap."""
    perovskite = prototypes()["SrTiO3"].get_primitive_structure()
    for shift in (1e-7, -1e-7, 0.3):
        moved = perovskite.copy()
        moved.translate_sites(range(len(moved)), [shift] * 3)
        for name, value in row(moved).items():
            assert value == pytest.approx(row(perovskite)[name], abs=1e-4), name


def test_statistics_of_elements_by_hand():
    names, table = composition.names(), composition.composition(from_structures([SALT]))
    found = dict(zip(names, table[0], strict=True))
    assert found["mean Z"] == (11 + 17) / 2
    assert found["range X"] == pytest.approx(3.16 - 0.93)
    assert found["deviation Z"] == 3
    assert found["number of elements"] == 2
    assert found["2-norm of shares"] == pytest.approx(np.sqrt(0.5))
    properties, elements = composition.element_table()
    assert elements[8][properties.index("X")] == 3.44
    assert elements[26][properties.index("valence_d")] == 6


def test_a_batch_says_the_same_as_each_alone(tmp_path):
    crystals = from_structures([LAYERS, SALT.get_primitive_structure(), BLENDE])
    assert list(describe(crystals).blocks) == list(USUAL)
    together = describe(crystals, tuple(BLOCKS))
    for i, one in enumerate(crystals.split()):
        alone = describe(one, tuple(BLOCKS))
        for name in BLOCKS:
            assert np.allclose(alone.blocks[name][0], together.blocks[name][i], atol=1e-4), name
    path = tmp_path / "kept.npz"
    kept, again = describe_once(crystals, path), describe_once(crystals, path)
    assert np.array_equal(kept.all, again.all, equal_nan=True)
    more = describe_once(crystals, path, (*USUAL, "elasticity"))
    assert np.array_equal(more.blocks["elasticity"], together.blocks["elasticity"])
    assert together.select([1]).all.shape == (1, sum(together.widths))


def test_elements_that_a_network_does_not_know_are_nan():
    strange = CrystalBatch(
        4.0 * torch.eye(3)[None], torch.zeros(1, 3), torch.tensor([86]), torch.tensor([1])
    )
    described = describe(strange, tuple(BLOCKS))
    assert np.isfinite(described.blocks["composition"]).all()
    assert np.isnan(described.blocks["potential"]).all()
    assert np.isnan(described.blocks["answers"]).all()
    assert np.isnan(described.blocks["elasticity"]).all()


def test_other_weights_are_refused():
    known = digests(tuple(BLOCKS))
    check_digests(tuple(BLOCKS), known, "mine")
    with pytest.raises(CheckpointError, match="has learned from what dao-p"):
        check_digests(("potential",), {**known, "dao-p": "0" * 64}, "mine")


def moduli(structure: Structure) -> dict[str, float]:
    crystals = from_structures([structure])
    (found,) = elasticity.elasticity(crystals, trunks.potential())
    return dict(zip(elasticity.NAMES, found, strict=True))


def test_stiffness_does_not_depend_on_the_cell():
    primitive = LAYERS.get_primitive_structure()
    turned = primitive.copy()
    turned.apply_operation(SymmOp.from_axis_angle_and_translation((1, 2, 3), 40))
    here, twice = moduli(primitive), moduli(primitive * (2, 1, 1))
    assert moduli(turned) == pytest.approx(here, abs=0.05)
    for name in elasticity.NAMES[:5]:
        assert twice[name] == pytest.approx(here[name], abs=0.02)
    for name in elasticity.NAMES[5:]:  # forces are summed, the volume is twice as large
        assert np.expm1(twice[name]) == pytest.approx(np.expm1(here[name]) / np.sqrt(2), rel=0.02)


def test_stiffness_is_that_of_the_equation_of_state():
    """Of rock salt, whose atoms rest by symmetry: the slope of the pressure, and Reuss = Voigt."""
    cell = SALT.get_primitive_structure()
    found = moduli(cell)
    pressures = []
    for change in (0.998, 1.002):
        squeezed = cell.copy()
        squeezed.scale_lattice(cell.volume * change)
        systems = Configurations.from_crystals(from_structures([squeezed]))
        stress = trunks.potential().evaluate(systems).stress[0]
        pressures.append(-float(stress.trace()) / 3 * 160.21766208)
    slope = (pressures[0] - pressures[1]) / 0.004
    assert np.exp(found["bulk modulus, Voigt"]) == pytest.approx(slope, rel=0.05)
    assert found["bulk modulus, Reuss"] == pytest.approx(found["bulk modulus, Voigt"], abs=0.01)
    assert found["shear modulus, Reuss"] <= found["shear modulus, Voigt"] + 1e-6
    assert found["give of atoms under pressure"] == pytest.approx(0.0, abs=0.05)
    assert moduli(BLENDE)["give of atoms under shear"] > 1.0  # sulfur moves when it is sheared

"""CIF files that users of other tools reported as read wrongly, each with the right value."""

import pytest

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.errors import InputError

_TAGS = [*(f"_cell_length_{x}" for x in "abc"), *(f"_cell_angle_{x}" for x in ("alpha", "beta"))]
CUBIC = (4.21, 4.21, 4.21, 90, 90, 90)
MGO = "Mg1 Mg 0 0 0\nO1 O 0.5 0.5 0.5\n"


def cif(
    symmetry: str, cell: tuple, sites: str, columns: str = "type_symbol", head: str = ""
) -> str:
    """A data block; `columns` stand between the labels and the coordinates, or behind them."""
    tags = "".join(
        f"{tag} {value}\n" for tag, value in zip([*_TAGS, "_cell_angle_gamma"], cell, strict=True)
    )
    before = [c for c in columns.split() if c == "type_symbol"]
    names = ["label", *before, "fract_x", "fract_y", "fract_z"]
    names += [c for c in columns.split() if c not in before]
    loop = "loop_\n" + "".join(f"_atom_site_{name}\n" for name in names)
    return f"data_x\n{head}{symmetry}{tags}{loop}{sites}"


def hm(symbol: str) -> str:
    return f"_symmetry_space_group_name_H-M '{symbol}'\n"


def formula(text: str) -> str:
    return f"_chemical_formula_sum '{text}'\n"


READ = {
    "hexagonal axes": (
        cif(
            formula("Al2 O3") + hm("R -3 c :H"),
            (4.759, 4.759, 12.991, 90, 90, 120),
            "Al1 Al 0 0 0.3523\nO1 O 0.3064 0 0.25\n",
        ),
        "Al12 O18",
    ),
    "rhombohedral axes of ICSD": (
        cif(
            hm("R -3 c RS"),
            (5.128, 5.128, 5.128, 55.29, 55.29, 55.29),
            "Al1 Al 0.3523 0.3523 0.3523\nO1 O 0.5564 0.9436 0.25\n",
        ),
        "Al4 O6",
    ),
    "symbol of before 1983": (cif(hm("Fm3m"), CUBIC, MGO), "Mg4 O4"),
    "first origin": (cif(hm("F d -3 m :1"), (5.43,) * 3 + (90,) * 3, "Si1 Si 0 0 0\n"), "Si8"),
    "Hall symbol alone": (
        cif("_symmetry_space_group_name_Hall '-F 4 2 3'\n", CUBIC, MGO),
        "Mg4 O4",
    ),
    "rhombohedral cell": (
        cif(
            hm("R -3 m"),
            (4.99, 4.99, 4.99, 32.8, 32.8, 32.8),
            "Li1 Li 0 0 0\nCo1 Co 0.5 0.5 0.5\nO1 O 0.26 0.26 0.26\n",
        ),
        "Li1 Co1 O2",
    ),
    "second origin of ICSD": (
        cif(
            "_symmetry_Int_Tables_number 227\n" + hm("F d -3 m Z"),
            (5.43,) * 3 + (90,) * 3,
            "Si1 Si 0.125 0.125 0.125\n",
        ),
        "Si8",
    ),
    "anatase with Z": (
        cif(
            hm("I 41/a m d Z"),
            (3.785, 3.785, 9.514, 90, 90, 90),
            "Ti1 Ti 0 0.75 0.125\nO1 O 0 0.25 0.0816\n",
        ),
        "Ti4 O8",
    ),
    "unknown occupancy": (
        cif(hm("F m -3 m"), CUBIC, "Mg1 Mg 0 0 0 1\nO1 O 0.5 0.5 0.5 .\n", "type_symbol occupancy"),
        "Mg4 O4",
    ),
    "occupancies near one": (
        cif(
            hm("F m -3 m"),
            CUBIC,
            "Mg1 Mg 0 0 0 1.004(3)\nO1 O 0.5 0.5 0.5 0.9998\n",
            "type_symbol occupancy",
        ),
        "Mg4 O4",
    ),
    "hydrogen of an oxygen": (
        cif(
            hm("P -3 m 1"),
            (3.15, 3.15, 4.77, 90, 90, 120),
            "Mg1 0 0 0\nO1 0.33333 0.66667 0.2203\nHO1 0.33333 0.66667 0.42\n",
            "",
        ),
        "Mg1 H2 O2",
    ),
    "three digits of a third": (
        cif(
            hm("P 6/m m m"),
            (3.08, 3.08, 3.52, 90, 90, 120),
            "Mg1 Mg 0 0 0\nB1 B 0.333 0.667 0.5\n",
        ),
        "Mg1 B2",
    ),
    "wurtzite with two digits": (
        cif(
            hm("P 63 m c"),
            (3.25, 3.25, 5.207, 90, 90, 120),
            "Zn1 Zn 0.33 0.67 0\nO1 O 0.33 0.67 0.382\n",
        ),
        "Zn2 O2",
    ),
    "data_ in a text field": (
        cif(
            hm("F m -3 m"), CUBIC, MGO, head="_refine_details\n;\ndata_ were collected\nloop_\n;\n"
        ),
        "Mg4 O4",
    ),
    "operators beside names that contradict each other": (
        cif(
            "_symmetry_Int_Tables_number 1\n" + hm("F m -3 m")
            + "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'1/2+x,.5+y,z'\n",
            CUBIC,
            MGO,
        ),
        "Mg2 O2",
    ),
    "an origin of its own": (
        cif(
            "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x+31/432,-y+0.123456,-z'\n",
            CUBIC,
            "Mg1 Mg 0.035880 0.061728 0\nO1 O 0.535880 0.561728 0.5\nN1 N 0.2 0.3 0.4\n",
        ),
        "Mg1 N2 O1",
    ),
    "values without quotes": (
        cif("_symmetry_space_group_name_H-M F m -3 m\n", CUBIC, MGO),
        "Mg4 O4",
    ),
    "deuterium": (
        cif(
            formula("D2 O2 Mg") + hm("P -3 m 1"),
            (3.15, 3.15, 4.77, 90, 90, 120),
            "Mg1 Mg 0 0 0\nO1 O 0.33333 0.66667 0.2203\nD1 D 0.33333 0.66667 0.42\n",
        ),
        "Mg1 H2 O2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_read_right(case):
    text, contents = READ[case]
    found = structure_from_cif(text)
    assert found.composition.formula == contents
    distances = found.distance_matrix + 10 * (found.distance_matrix == 0)
    assert distances.min() > 0.9


REFUSED = {
    "hydrogen that was not located": (
        cif(
            formula("H4 Cl N") + hm("P -4 3 m"),
            (3.866,) * 3 + (90,) * 3,
            "N1 N 0 0 0\nCl1 Cl 0.5 0.5 0.5\n",
        ),
        "'N1 Cl1', the formula is 'H4 Cl N': H missing",
    ),
    "a count that is wrong": (
        cif(formula("Si O2") + hm("P 1"), CUBIC, "Si1 Si 0 0 0\nO1 O 0.5 0.5 0.5\n"),
        "the sites hold 'O1 Si1', the formula is 'Si O2'",
    ),
    "hydrogen without coordinates": (
        cif(hm("P 1"), CUBIC, "O1 O 0 0 0\nH1 H ? ? ?\n"),
        "Coordinate x of site H1 is missing",
    ),
    "water without hydrogen": (
        cif(hm("P 1"), CUBIC, "Na1 0 0 0\nWat1 0.5 0.5 0.5\n", ""),
        "Wat1 stands for hydrogen",
    ),
    "attached hydrogen": (
        cif(
            hm("P 1"),
            CUBIC,
            "N1 N 0 0 0 4\nCl1 Cl 0.5 0.5 0.5 0\n",
            "type_symbol attached_hydrogens",
        ),
        "stands for hydrogen",
    ),
    "operators of another cell": (
        cif(
            "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-y,x-y,z\n-x+y,-x,z\n",
            (4.99, 4.99, 4.99, 32.8, 32.8, 32.8),
            "Li1 Li 0 0 0\n",
        ),
        "no symmetry of the cell",
    ),
    "operators that break off": (
        cif("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-y,x,z\n", CUBIC, MGO),
        "not complete",
    ),
    "a group in no table": (cif(hm("F 99 m"), CUBIC, MGO), "'F 99 m' is in no table"),
    "name against number": (
        cif("_symmetry_Int_Tables_number 221\n" + hm("F m -3 m"), CUBIC, MGO),
        "number 225, and the file says 221",
    ),
    "an open origin": (
        cif(hm("F d -3 m"), (5.43,) * 3 + (90,) * 3, "Si1 Si 0.125 0.125 0.125\n"),
        "read in 2 ways",
    ),
    "a label of two elements": (
        cif(hm("P 1"), CUBIC, "CO1 0 0 0\nO1 0.5 0.5 0.5\n", ""),
        "'CO1' may mean Co or C",
    ),
    "capitals beside small letters": (
        cif(hm("P 1"), CUBIC, "CL1 0 0 0\nNa1 0.5 0.5 0.5\n", ""),
        "'CL1' may mean Cl or C",
    ),
    "too much on a site": (
        cif(hm("P 1"), CUBIC, "O1 O 0 0 0 1.2\n", "type_symbol occupancy"),
        "occupancy 1.2; expected 0 to 1",
    ),
    "two atoms on a place": (
        cif(hm("P 1"), CUBIC, "O1 O 0 0 0\nN1 N 0 0 0\n"),
        "O1 and N1 are on the same place",
    ),
    "near a special position": (
        cif(hm("P -1"), CUBIC, "O1 O 0.02000 0 0\n"),
        "images of site O1 are 0.17 Å apart",
    ),
    "too few formula units": (
        cif("_cell_formula_units_Z 8\n" + formula("Mg O") + hm("F m -3 m"), CUBIC, MGO),
        "the sites are 8 atoms, and 8 formula units",
    ),
    "a row that is not complete": (
        cif(hm("P 1"), CUBIC, "O1 O 0 0 0\nN1 N 0 0\n"),
        "no whole rows",
    ),
    "an interrupted loop": (
        cif(hm("P 1"), CUBIC, "O1 O 0 0 0\n_cell_volume 74.6\nN1 N 0.5 0.5 0.5\n"),
        "begins with 'N1', a value that belongs to no tag",
    ),
    "a text field without an end": ("data_x\n_a\n;\nfor ever\n", "has no end"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case):
    text, reason = REFUSED[case]
    with pytest.raises(InputError) as caught:
        structure_from_cif(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "stated", "contents"),
    [
        (("CO1", "O1"), "Co O", "Co1 O1"),
        (("CO1", "O1"), "C O", "C1 O1"),
        (("CO1", "MG1"), None, "Mg1 Co1"),
        (("OW1", "HW1"), None, "H1 O1"),
        (("Na1", "CL1"), "Na Cl", "Na1 Cl1"),
        (("HO1", "O1"), "H O", "H1 O1"),
        (("D1", "Li1"), None, "Li1 H1"),
    ],
)
def test_labels_mean_what_formula_and_other_labels_say(labels, stated, contents):
    sites = f"{labels[0]} 0 0 0\n{labels[1]} 0.5 0.5 0.5\n"
    head = formula(stated) if stated else ""
    assert structure_from_cif(cif(head + hm("P 1"), CUBIC, sites, "")).formula == contents


def test_occupancies_that_make_up_one_crystal():
    """Shared sites and different states of one element stay what the file says."""
    sites = "Fe1 Fe3+ 0 0 0 0.5\nFe2 Fe2+ 0 0 0 0.5\nO1 O 0.5 0.5 0.5 1\n"
    mixed = structure_from_cif(cif(hm("F m -3 m"), CUBIC, sites, "type_symbol occupancy"))
    assert mixed.formula == "Fe4 O4"
    assert mixed.is_ordered
    alloy = structure_from_cif(
        cif(hm("F m -3 m"), CUBIC, sites.replace("Fe2+", "Co2+"), "type_symbol occupancy")
    )
    assert alloy.composition.as_dict() == {"Fe": 2.0, "Co": 2.0, "O": 4.0}
    assert not alloy.is_ordered


def test_magnetic_moments_turn_with_their_sites():
    """An antiferromagnet of a magnetic CIF: the operator that maps one iron on the other reverses
    its moment.
    """
    text = cif(
        "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,+1\n"
        "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx+1/2,y+1/2,z+1/2,-1\n",
        (4, 4, 4, 90, 90, 90),
        "Fe1 Fe 0 0 0\n",
    )
    moments = (
        "loop_\n"
        + "".join(f"_atom_site_moment.{x}\n" for x in ("label",))
        + "".join(f"_atom_site_moment.crystalaxis_{x}\n" for x in "xyz")
    )
    found = structure_from_cif(text + moments + "Fe1 0 0 3.5\n")
    assert found.formula == "Fe2"
    assert sorted(m[2] for m in found.site_properties["magmom"]) == [-3.5, 3.5]

"""Tables of tasks: read from a folder of data packs, split as published or by groups."""

import gzip
import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.tasks import TASKS, task, tasks
from ase_crysdiff.tasks.base import GROUPED, OFFICIAL, PUBLISHED, SPLITS

CRYSTALS = [
    Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(4.0), [metal, "O"], [(0, 0, 0), (0.5, 0.5, 0.5)]
    )
    for metal in ("Mg", "Ca", "Sr", "Ba", "Ni", "Co")
]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


@pytest.fixture
def packs(tmp_path):
    """A folder with two small tables in the layout of the packs."""
    (tmp_path / "tasks").mkdir()
    lines = ["material_id,formula,n_atoms,value,split_4,split_3,split_2,split_1,split_0,cif"]
    parts = ["train", "train", "train", "val", "test", ""]
    for i, crystal in enumerate(CRYSTALS):
        name = "" if i == 0 else f"mp-{i}"
        rolled = [parts[(i + k) % 6] for k in (4, 3, 2, 1, 0)]
        cif = quoted(crystal.to(fmt="cif"))
        formula = crystal.composition.reduced_formula
        lines.append(",".join([name, formula, str(len(crystal)), f"{i + 0.5}", *rolled, cif]))
    with gzip.open(tmp_path / "tasks/poisson_ratio.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    (tmp_path / "superconductors").mkdir()
    rows = [
        ("Nb1", 0),
        ("Nb0.5Ti0.5", 0),
        ("Nb1Ti1", 1),
        ("V3Si1", 2),
        ("Pb1", 3),
        ("Sn1", 4),
        ("Al1", 5),
    ]
    lines = ["formula_sc,material_id,synth_doped,tc_kelvin,ordered,n_sites,cif"]
    for formula, i in rows:
        cif = quoted(CRYSTALS[i].to(fmt="cif"))
        lines.append(f"{formula},mp-{i},False,{i}.0,True,{len(CRYSTALS[i])},{cif}")
    with gzip.open(tmp_path / "superconductors/3dsc_mp_ordered.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    return tmp_path


def test_there_are_many_and_each_says_what_it_is():
    names = [one.name for one in TASKS]
    assert len(names) == len(set(names)) >= 20
    assert len(tasks(PUBLISHED)) == 11
    assert {one.splits for one in TASKS} == set(SPLITS)
    for one in TASKS:
        assert one.unit
        assert one.about
        assert one.source
        assert one.licence
        assert one.files
        json.dumps(one.as_plain())


def test_published_partitions_are_kept(packs):
    table = task("poisson-ratio").table(packs, progress=False)
    assert list(table.values) == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert table.names[:2] == ["0", "mp-1"]
    assert [s.composition for s in table.structures] == [s.composition for s in CRYSTALS]
    found = [[part.tolist() for part in fold] for fold in table.folds()]
    assert found[0] == [[0, 1, 2], [3], [4]]  # row 5 is left out
    assert found[1] == [[0, 1, 5], [2], [3]]
    assert len(found) == 5


def test_rows_that_hang_together_are_not_split(packs):
    """A crystal of two measured formulas ties them, and a formula of two crystals ties those."""
    table = task("tc_measured").table(packs, progress=False)
    first, second, third, *others = table.groups.tolist()
    assert first == second == third
    assert len({first, *others}) == 5
    tested = []
    for train, val, test in table.folds():
        parts = [set(table.groups[part].tolist()) for part in (train, val, test)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        tested += test.tolist()
    assert sorted(tested) == list(range(7))
    assert np.allclose(table.learned, np.log1p(table.values))


def test_a_limit_draws_the_same_rows_again(packs):
    one = task("poisson_ratio")
    few, again = (one.table(packs, limit=3, seed=1, progress=False) for _ in range(2))
    assert few.names == again.names
    assert len(few) == 3


def test_a_crystal_that_cannot_be_read_costs_its_row_only(packs):
    path = packs / "tasks/poisson_ratio.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    broken = text.replace("_cell_length_a ", "_cell_length_of_nothing ", 1)
    assert broken != text
    path.write_bytes(gzip.compress(broken.encode()))
    table = task("poisson_ratio").table(packs, progress=False)
    assert (len(table), len(table.structures), len(table.values)) == (5, 5, 5)
    assert table.names[0] == "mp-1"
    assert list(table.left_out) == ["0"]
    assert next(table.folds())[0].tolist() == [0, 1]


def test_what_is_missing_is_named(packs, monkeypatch):
    with pytest.raises(InputError, match=r"tasks/dielectric_2d\.csv\.gz"):
        task("dielectric_2d").table(packs)
    monkeypatch.delenv("CRYSDIFF_DATA", raising=False)
    with pytest.raises(InputError, match="CRYSDIFF_DATA"):
        task("poisson_ratio").table()
    with pytest.raises(UnknownNameError, match="Did you mean 'poisson_ratio'"):
        task("poison_ratio")
    assert not task("poisson_ratio").is_here()
    assert task("poisson_ratio").is_here(packs)


def test_errors_are_given_in_what_is_learned():
    assert task("phonon_peak").learned_unit == "ln(1/cm)"
    assert task("eps_electronic").learned_unit == "ln"
    assert task("tc_measured").learned_unit == "ln(1 + x / K)"
    assert task("poisson_ratio").learned_unit == "1"
    assert task("phonon_peak").learned(np.array([np.e])) == pytest.approx([1.0])


@pytest.mark.data
@pytest.mark.parametrize("one", [t for t in TASKS if t.rows < 4000], ids=lambda one: one.name)
def test_real_tables_have_their_rows(one, data):
    table = one.table(data, limit=20, progress=False)
    assert len(table) == 20
    assert np.isfinite(table.learned).all()
    entries = list(one.read(data))
    assert len(entries) == one.rows
    if one.splits != GROUPED:
        assert {len(entry.parts) for entry in entries} == {1 if one.splits == OFFICIAL else 5}

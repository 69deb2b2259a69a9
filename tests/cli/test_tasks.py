"""`crysdiff tasks`."""

import gzip
import json

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.cli.main import main
from ase_crysdiff.data.property_tables import labelled, read_rows
from ase_crysdiff.tasks import TASKS


def test_every_task_has_a_line(capsys):
    assert main(["tasks"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["task", "learned", "in", "rows", "splits", "here"]
    assert [line.split()[0] for line in lines] == [one.name for one in TASKS]


def test_programs_get_sources_too(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CRYSDIFF_DATA", str(tmp_path))
    assert main(["tasks", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["unit"] for one in content} == {t.name: t.unit for t in TASKS}
    assert not any(one["is_here"] for one in content)
    assert all(one["source"] and one["licence"] for one in content)


def test_rows_of_tasks_are_written_as_one_table(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data/potentials"
    folder.mkdir(parents=True)
    entries = []
    for name, modulus, edge in (("mp-1", 23.5, 5.64), ("mp-2", -1.0, 5.7), ("mp-3", 34.5, 5.4)):
        salt = Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(edge), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
        entries.append(
            {
                "mp_id": name,
                "formula": "NaCl",
                "bulk_modulus_vrh": modulus,
                "structure": salt.as_dict(),
            }
        )
    with gzip.open(folder / "elasticity_binary.json.gz", "wt") as file:
        json.dump(entries, file)
    monkeypatch.setenv("CRYSDIFF_DATA", str(tmp_path / "data"))
    path = tmp_path / "bulk.csv.gz"
    assert main(["tasks", "bulk_modulus", "-o", str(path)]) == 0
    assert "2 rows, bulk_modulus in GPa" in capsys.readouterr().out
    data, report = labelled(read_rows(path, "bulk_modulus", "GPa"))
    assert report.read == 2  # a negative modulus is none
    assert dict(zip(data.names, data.values.tolist(), strict=True)) == {"mp-1": 23.5, "mp-3": 34.5}
    first = path.read_bytes()
    assert main(["tasks", "bulk_modulus", "-o", str(path)]) == 0
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "a.csv"], "Name the tasks"),
        (["bulk_modulus", "heat_capacity", "-o", "a.csv"], "bulk_modulus in GPa, heat_capacity in"),
        (["bulk_modulus", "-o", "a.json"], "ends with .csv or .csv.gz"),
        (["bulk_modulos"], "Did you mean 'bulk_modulus'"),
    ],
)
def test_what_cannot_be_a_table_is_refused(words, said, capsys):
    assert main(["tasks", *words]) != 0
    assert said in capsys.readouterr().err

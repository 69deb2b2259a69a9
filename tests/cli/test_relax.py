"""`crysdiff relax` as a user types it, with CHGNet, which needs no download."""

import json

import ase.io
import pandas as pd
import pytest
from pymatgen.core import Structure

from ase_crysdiff.cli.main import main
from ase_crysdiff.data.folder import CrystalFolder


@pytest.fixture
def files(crystal_files):
    return crystal_files(3, deviation=0.01, broken=True)


def words(files, out, *more):
    return ["relax", str(files), "--potential", "chgnet", "-o", str(out), *map(str, more)]


def test_relax_writes_and_continues(files, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    add, added = CrystalFolder.add, []

    def interrupted(self, accepted):
        add(self, accepted)
        added.extend(accepted)
        if len(added) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(CrystalFolder, "add", interrupted)
    assert main(words(files, out)) == 130
    assert "give the same command again" in capsys.readouterr().err
    assert len((out / "journal.jsonl").read_text().splitlines()) == 1

    assert main(words(files, out)) == 0
    streams = capsys.readouterr()
    assert "1 structures are already in" in streams.out
    assert "3 of 4 structures relaxed with chgnet: 3 converged, 3 accepted, 1 failed" in streams.out
    assert "failed: broken: unreadable" in streams.err
    assert len(added) == 3  # nothing was done twice
    assert len(list(out.glob("*.cif"))) == 3
    frames = ase.io.read(out / "crystals.extxyz", ":")
    assert [f.info["crysdiff_index"] for f in frames] == [0, 1, 2]
    assert all(f.info["crysdiff_converged"] and f.info["crysdiff_fmax"] < 0.05 for f in frames)
    table = pd.read_csv(out / "table.csv")
    assert table["formula"].tolist() == ["Cu", "NaCl", "SrTiO3"]
    assert table["crysdiff_source"].astype(str).tolist() == ["0", "1", "2"]
    assert table["crysdiff_energy_per_atom"].tolist() == pytest.approx(
        [-4.083, -3.668, -8.424], abs=0.01
    )
    assert "accepted" in streams.out
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["fmax"] == 0.05
    assert record.keys() == {"settings", "asked", "failed"}  # nothing was drawn: no seed

    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert main(words(files, out, "--fmax", 0.02)) == 1
    assert "(fmax differ)" in capsys.readouterr().err
    (files / "2.cif").unlink()
    assert main(words(files, out)) == 1
    assert "(inputs differ)" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_fixed_cell(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            [
                "relax",
                str(files / "1.cif"),
                "--potential",
                "chgnet",
                "-o",
                str(out),
                "--fixed-cell",
                "--optimizer",
                "fire",
            ]
        )
        == 0
    )
    (path,) = out.glob("*.cif")
    assert Structure.from_file(path).volume == pytest.approx(
        Structure.from_file(files / "1.cif").volume, rel=1e-5
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--fmax", "0"], "fmax must be a positive force"),
        (["--steps", "-1"], "steps must be"),
        (["--max-atoms", "0"], "max_atoms must be"),
        (["--optimizer", "newton"], "optimizer must be one of"),
    ],
)
def test_nonsense_is_explained_before_any_work(change, message, files, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(words(files, out, *change)) == 1
    streams = capsys.readouterr()
    assert streams.err.startswith("crysdiff relax: ")
    assert message in streams.err
    assert not out.exists()


def test_absent_files_and_nothing_readable(files, tmp_path, capsys):
    assert main(words(tmp_path / "absent.cif", tmp_path / "out")) == 1
    assert "absent.cif does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(words(files / "broken.cif", tmp_path / "out")) == 1
    assert "0 of 1 structures relaxed" in capsys.readouterr().out

"""`crysdiff evaluate` as a user types it."""

import json

import pytest

from ase_crysdiff.cli.main import main
from ase_crysdiff.testing.crystals import prototypes


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("Cu", "NaCl", "SrTiO3"):
        prototypes()[name].to(filename=str(folder / f"{name}.cif"))
    (folder / "broken.cif").write_text("data_nothing\n")
    return folder


def test_evaluate_offline(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(files), "-o", str(out), "--potential", "none"]) == 0
    streams = capsys.readouterr()
    assert "a partial list of known crystals" in streams.out
    assert "0.75 [" in streams.out
    assert "lost: broken (read): unreadable" in streams.err
    assert json.loads((out / "results.json").read_text())["requested"] == 4
    assert "a partial list of known crystals" in (out / "report.html").read_text()

    assert (
        main(["evaluate", str(files), "-o", str(out), "--potential", "none", "--profile", "miad"])
        == 1
    )
    assert "(profile differ)" in capsys.readouterr().err


def test_nothing_to_score(files, tmp_path, capsys):
    assert (
        main(
            [
                "evaluate",
                str(files / "broken.cif"),
                "-o",
                str(tmp_path / "out"),
                "--potential",
                "none",
            ]
        )
        == 1
    )
    assert (
        main(
            [
                "evaluate",
                str(files),
                "-o",
                str(tmp_path / "two"),
                "--hull",
                str(files / "absent.csv"),
            ]
        )
        == 1
    )
    assert "cannot be read as a hull" in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_none_means_without(files, tmp_path, capsys):
    out = tmp_path / "out"
    without = ["--potential", "none", "--reference", "none", "--hull", "none", "--workers", "0"]
    assert main(["evaluate", str(files), "-o", str(out), *without]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["reference"] == {}
    assert "novelty" not in results["metrics"]
    assert results["notes"] == []

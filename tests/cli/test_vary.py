"""`crysdiff vary`, and the options that select from a finished set."""

import json

import ase.io
import numpy as np
import pytest
from pymatgen.core import Structure

from ase_crysdiff import registry
from ase_crysdiff.cli.main import main
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture
def pair_potential():
    registry.register(
        registry.POTENTIALS, "toy-pairs", lambda weights, device, dtype: PairPotential()
    )
    yield "toy-pairs"
    registry.unregister(registry.POTENTIALS, "toy-pairs")


@pytest.fixture
def seed_file(tmp_path):
    path = tmp_path / "seed.cif"
    prototypes()["SrTiO3"].to(str(path), fmt="cif")
    return path


def words(toy, file, folder, *more):
    common = ["--redraws", "30", "--device", "cpu", "--seed", "3", "--strength", "0.4"]
    return ["vary", str(file), "--weights", str(toy), "-o", str(folder), *common, *map(str, more)]


def journal(folder):
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return {e["index"]: Structure.from_dict(e["structure"]) for e in entries}


def test_vary_draws_and_goes_on(toy_miad, seed_file, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(words(toy_miad, seed_file, folder, "-n", 2)) == 0
    before = journal(folder)
    assert main(words(toy_miad, seed_file, folder, "-n", 3)) == 0
    assert "2 crystals are already in" in capsys.readouterr().out
    after = journal(folder)
    assert {i: after[i] for i in before} == before
    assert len(after) == 3
    assert len(list(folder.glob("*.cif"))) == 3
    assert main(words(toy_miad, seed_file, folder, "-n", 3, "--strength", 0.5)) == 1
    assert "other settings (strength differ)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--strength", 0], "strength must be above 0"),
        (["--strength", 2], "at most 1"),
        (["--symprec", -1], "symprec must be"),
        (["--potential", "nothing"], "nothing"),
        (["-n", 0], "num-samples"),
    ],
)
def test_bad_options_leave_no_folder(more, message, toy_miad, seed_file, tmp_path, capsys):
    assert main(words(toy_miad, seed_file, tmp_path / "out", *more)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_single_crystal_are_explained(toy_miad, seed_file, tmp_path, capsys):
    assert main(words(toy_miad, tmp_path / "none.cif", tmp_path / "out")) == 1
    assert "does not exist" in capsys.readouterr().err
    seed_file.write_text("data_x\n_cell_length_a nonsense\n")
    assert main(words(toy_miad, seed_file, tmp_path / "out")) == 1
    assert "seed.cif" in capsys.readouterr().err


def test_selection_is_made_anew_from_the_finished_set(toy_miad, pair_potential, tmp_path, capsys):
    folder = tmp_path / "out"
    sample = [
        "sample",
        "miad",
        "--weights",
        str(toy_miad),
        "-o",
        str(folder),
        "-n",
        "5",
        "--num-atoms",
        "3",
        "--seed",
        "3",
    ]
    sample += ["--redraws", "30", "--device", "cpu"]
    assert main([*sample, "--potential", pair_potential, "--distinct"]) == 0
    out = capsys.readouterr().out
    assert "eV/atom" in out
    assert "selected.extxyz and selected.csv" in out
    frames = ase.io.read(folder / "selected.extxyz", ":")
    energies = [f.info["crysdiff_energy_per_atom"] for f in frames]
    assert energies == sorted(energies)
    drawn = journal(folder)
    assert "crysdiff_energy_per_atom" not in drawn[0].properties
    for frame in frames:
        np.testing.assert_allclose(
            frame.cell.volume, drawn[frame.info["crysdiff_index"]].volume, rtol=1e-6
        )
    assert main([*sample, "--symprec", "0.2"]) == 0
    assert "5 crystals are already in" in capsys.readouterr().out
    assert journal(folder) == drawn
    assert [f.info["crysdiff_index"] for f in ase.io.read(folder / "selected.extxyz", ":")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    capsys.readouterr()
    relaxed = ["--potential", pair_potential, "--relax", "--rank-prior", "0"]
    assert main([*sample, *relaxed]) == 0
    assert "relaxed (symmetric, then released)" in capsys.readouterr().out
    assert journal(folder) == drawn
    frames = ase.io.read(folder / "selected.extxyz", ":")
    scores = [f.info["crysdiff_score"] for f in frames if "crysdiff_score" in f.info]
    assert scores
    assert scores == sorted(scores)
    assert min(scores) < min(energies)
    assert main([*sample, "--relax"]) == 1
    assert "give a potential" in capsys.readouterr().err
    record = json.loads((folder / "run.json").read_text())
    assert set(record["settings"]).isdisjoint({"potential", "distinct", "symprec", "relax"})

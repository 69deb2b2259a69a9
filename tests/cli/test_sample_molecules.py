"""Molecules on the command line: drawn into a folder, drawn on, scored."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read

from ase_crysdiff.cli.main import main


def sample(folder, *more):
    return main(["sample", "geobfn", "--steps", "8", "--seed", "3", "-o", str(folder), *more])


def test_a_folder_is_filled_and_goes_on(tmp_path, capsys):
    folder = tmp_path / "molecules"
    assert sample(folder, "-n", "2", "--composition", "C3H8O") == 0
    first = read(folder / "0000-C3H8O.xyz")
    assert "2 of 2 molecules by geobfn (seed 3)" in capsys.readouterr().out
    assert sample(folder, "-n", "3", "--composition", "C3H8O") == 0
    assert len(list(folder.glob("*.xyz"))) == 3
    assert np.array_equal(read(folder / "0000-C3H8O.xyz").positions, first.positions)
    assert [len(a) for a in read(folder / "molecules.extxyz", ":")] == [12] * 3
    assert sample(folder, "-n", "3", "--composition", "C4H10") != 0
    assert "composition" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--relax"], "concerns crystals"),
        (["--space-group", "14"], "concerns crystals"),
        (["--composition", "C6H5"], "radical"),
        (["--elements", "Fe"], "does not know Fe"),
        (["-n", "0"], "num-samples"),
    ],
)
def test_bad_options_leave_no_folder(options, message, tmp_path, capsys):
    assert sample(tmp_path / "molecules", *options) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "molecules").exists()


def test_the_benchmark(tmp_path, capsys):
    atoms = [molecule(name) for name in ("CH3CH2OH", "CH3OCH3", "C3H8", "CH3")]
    np.savez(
        tmp_path / "some.npz",
        num_atoms=[len(a) for a in atoms],
        atomic_numbers=np.concatenate([a.numbers for a in atoms]),
        positions=np.concatenate([a.positions for a in atoms]),
    )
    output = tmp_path / "scores.json"
    words = ["benchmark", "molecules", "geobfn", "-n", "3", "--steps", "8", "--output", str(output)]
    targets = ["--targets", str(tmp_path / "some.npz"), "--keep", str(tmp_path / "kept")]
    assert main([*words, *targets]) == 0
    found = json.loads(output.read_text())
    assert found["formulas"] == 2  # of an ethanol and its ether one, of the radical none
    assert 0 <= found["results"]["formulas_with_stable"]["value"] <= 1
    assert found["results"]["atoms_stable"]["value"] > 0.3
    assert found["evaluations_per_sample"] == 8
    assert "atoms_stable" in capsys.readouterr().out
    kept = {int(path.name[:4]) for path in (tmp_path / "kept").glob("*.xyz")}
    assert kept <= set(range(6))
    assert len(kept) >= 4  # of six; eight steps may lose one


def test_a_doubt_is_a_sentence(tmp_path):
    words = ["sample", "geobfn", "--composition", "CH2O", "-n", "1", "--steps", "4", "--seed", "0"]
    command = [
        sys.executable,
        "-m",
        "ase_crysdiff.cli",
        *words,
        "--output",
        str(tmp_path / "drawn"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    (warned,) = [line for line in ran.stderr.splitlines() if "heavy" in line]
    assert warned.startswith("warning: geobfn has learnt from no molecules of 2 heavy atoms, so")
    assert "UserWarning" not in ran.stderr

"""`crysdiff label`, with calculators that cost nothing."""

import re

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from pymatgen.core import Lattice, Structure

from ase_crysdiff.cli.main import main
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.testing.crystals import prototypes

WORDS = ["--calculator", "ase.calculators.lj:LennardJones", "--ways", "as-is,rattled,doubled"]


@pytest.fixture
def folder(crystal_files):
    return crystal_files(20)


def test_labels_are_those_of_the_calculator_and_can_be_packed(folder, tmp_path, capsys):
    output = tmp_path / "labels.npz"
    (folder / "bad.cif").write_text("data_nothing\n")
    assert main(["label", str(folder), "-o", str(output), *WORDS, "--max-force", "1e9"]) == 0
    text = capsys.readouterr().out
    assert "1 refused: unreadable CIF, no crystal in it" in text
    data = np.load(output)
    assert sorted(set(data["kind"].tolist())) == [0, 1, 16]
    assert data["num_atoms"].sum() == len(data["forces"])
    starts = np.cumsum(data["num_atoms"]) - data["num_atoms"]
    for i in (0, 7, 20):
        rows = slice(starts[i], starts[i] + data["num_atoms"][i])
        structure = Structure(
            Lattice(data["lattice"][i]), data["atomic_numbers"][rows], data["frac_coords"][rows]
        )
        atoms = structure.to_ase_atoms()
        atoms.calc = LennardJones()
        assert atoms.get_potential_energy() / len(atoms) == pytest.approx(
            data["energy_per_atom"][i], rel=1e-4
        )
        np.testing.assert_allclose(atoms.get_forces(), data["forces"][rows], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            atoms.get_stress(voigt=False), data["stress"][i], rtol=1e-3, atol=1e-5
        )
    packed = tmp_path / "labels.safetensors"
    assert main(["pack", str(output), "-o", str(packed)]) == 0
    assert len(Labels.load(packed)) == len(data["kind"])


def test_interrupted_run_goes_on_and_equals_a_whole_one(folder, tmp_path, capsys):
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    main(["label", str(folder), "-o", str(whole), *WORDS])
    main(["label", str(folder), "-o", str(parts), *WORDS])
    pieces = sorted((tmp_path / "parts.npz.parts").glob("part-*.npz"))
    assert len(pieces) == 2
    kept = pieces[0].stat().st_mtime_ns
    pieces[1].unlink()
    parts.unlink()
    capsys.readouterr()
    assert main(["label", str(folder), "-o", str(parts), *WORDS]) == 0
    assert "1 of 2 pieces are already there" in capsys.readouterr().out
    assert pieces[0].stat().st_mtime_ns == kept
    a, b = np.load(whole), np.load(parts)
    assert all(np.array_equal(a[name], b[name]) for name in a.files)


def test_other_settings_do_not_continue_a_run(folder, tmp_path, capsys):
    output = str(tmp_path / "labels.npz")
    assert main(["label", str(folder), "-o", output, *WORDS]) == 0
    assert main(["label", str(folder), "-o", output, *WORDS, "--seed", "1"]) == 1
    assert "seed was 0, is now 1" in capsys.readouterr().err


def test_bad_labels_are_refused_with_their_reason(folder, tmp_path, capsys):
    output = str(tmp_path / "labels.npz")
    code = main(
        ["label", str(folder), "-o", output, *WORDS, "--max-force", "1e-7", "--max-atoms", "5"]
    )
    text = capsys.readouterr().out
    assert "refused: a force above 1e-07 eV/Å" in text
    assert "4 refused: more than 5 atoms" in text
    assert code == 0  # symmetric crystals have no forces


@pytest.mark.slow
def test_workers_do_the_same(folder, tmp_path):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    assert main(["label", str(folder), "-o", str(one), *WORDS]) == 0
    assert main(["label", str(folder), "-o", str(two), *WORDS, "--workers", "2"]) == 0
    a, b = np.load(one), np.load(two)
    assert all(np.array_equal(a[name], b[name]) for name in a.files)


FRAGILE = """
import os
from pathlib import Path
from ase.calculators.lj import LennardJones

class Once(LennardJones):
    def calculate(self, atoms, *args, **kwargs):
        mark = Path({mark!r})
        if not mark.exists():
            mark.touch()
            os._exit(9)
        super().calculate(atoms, *args, **kwargs)

class Always(LennardJones):
    def calculate(self, atoms, *args, **kwargs):
        if len(atoms) == 5:
            os._exit(9)
        super().calculate(atoms, *args, **kwargs)
"""


@pytest.mark.slow
def test_death_of_a_process_costs_time_only(tmp_path, monkeypatch, capsys):
    (tmp_path / "fragile.py").write_text(FRAGILE.format(mark=str(tmp_path / "mark")))
    monkeypatch.syspath_prepend(tmp_path)
    source, whole, torn = tmp_path / "SrTiO3.cif", tmp_path / "whole.npz", tmp_path / "torn.npz"
    prototypes()["SrTiO3"].to(filename=str(source))
    assert main(["label", str(source), "-o", str(whole), *WORDS]) == 0
    words = [*WORDS, "--workers", "2", "--calculator"]
    assert main(["label", str(source), "-o", str(torn), *words, "fragile:Once"]) == 0
    assert (tmp_path / "mark").exists()
    a, b = np.load(whole), np.load(torn)
    assert all(np.array_equal(a[name], b[name]) for name in a.files)
    capsys.readouterr()
    assert (
        main(["label", str(source), "-o", str(tmp_path / "none.npz"), *words, "fragile:Always"])
        == 1
    )
    assert "1 of 1 pieces failed (part-0000000.npz: the process ended)" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ways", "as-is,upside-down"], "There is no perturbation .*upside-down"),
        (["--calculator", "ase.calculators.nothing:X"], "gives no ASE calculator"),
        (["--potential", "chgnett"], "Did you mean 'chgnet'"),
        (["--workers", "-1"], "at least 0"),
        (["-o", "labels.foo"], r"ends in \.npz, got labels\.foo"),
    ],
)
def test_wrong_words_are_explained_before_any_work(words, message, folder, tmp_path, capsys):
    assert main(["label", str(folder), "-o", str(tmp_path / "x.npz"), *words]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert not (tmp_path / "x.npz.parts").exists()

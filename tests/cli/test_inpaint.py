"""`crysdiff inpaint` as a user types it, with an untrained toy."""

import json

import ase.io
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.cli.inpaint import parse_guests
from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import InputError


@pytest.fixture
def host(tmp_path):
    structure = Structure(
        Lattice.orthorhombic(5.0, 5.5, 6.0),
        ["Ti", "O", "O"],
        [[0, 0, 0], [0.4, 0.4, 0.1], [0.5, 0.1, 0.6]],
    )
    path = tmp_path / "host.cif"
    structure.to(str(path))
    return path


def words(host, toy, folder, *more):
    common = [
        "--sampler",
        "miad",
        "--weights",
        str(toy),
        "--seed",
        "3",
        "--redraws",
        "30",
        "--device",
        "cpu",
        "--steps",
        "5",
    ]
    return ["inpaint", str(host), "-o", str(folder), *common, *map(str, more)]


@pytest.mark.parametrize(
    ("text", "guests"),
    [(["Li=3"], {"Li": 3}), (["Li=0..6", "Na=1"], {"Li": (0, 6), "Na": 1}), ([" O=2 "], {"O": 2})],
)
def test_guests_are_read(text, guests):
    assert parse_guests(text) == guests


@pytest.mark.parametrize(
    "text", [["Li"], ["Li=-1"], ["Li=1.5"], ["Li=1..", "Na=1"], ["=3"], ["Li=3", "Li=4"]]
)
def test_guests_that_cannot_be_read_are_refused(text):
    with pytest.raises(InputError, match=r"written Li=3 or Li=0\.\.6|given twice"):
        parse_guests(text)


def test_host_is_filled_and_the_run_goes_on(host, toy_miad, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(words(host, toy_miad, out, "-g", "Na=1..2", "-n", 2)) == 0
    assert "2 CIF files" in capsys.readouterr().out
    start = (out / "journal.jsonl").read_text()
    assert main(words(host, toy_miad, out, "-g", "Na=1..2", "-n", 3)) == 0
    assert "2 crystals are already in" in capsys.readouterr().out
    text = (out / "journal.jsonl").read_text()
    assert text.startswith(start)
    known = Structure.from_file(host)
    for line in text.splitlines():
        found = Structure.from_dict(json.loads(line)["structure"])
        np.testing.assert_allclose(found.frac_coords[:3], known.frac_coords, atol=1e-8)
        assert found.site_properties["crysdiff_role"][:4] == ["host", "host", "host", "guest"]
    assert len(ase.io.read(out / "crystals.extxyz", ":")) == 3
    assert main(words(host, toy_miad, out, "-g", "Na=2", "-n", 3)) == 1
    assert "guests differ" in capsys.readouterr().err


def test_filled_hosts_are_ranked(host, toy_miad, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            words(host, toy_miad, out, "-g", "Na=1", "-n", 3, "--potential", "dao-p", "--distinct")
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "ranked by dao-p" in text
    found = ase.io.read(out / "selected.extxyz", ":")
    energies = [atoms.info["crysdiff_energy_per_atom"] for atoms in found]
    assert energies == sorted(energies)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-g", "Na=30"], "at most"),
        (["-g", "Qq=1"], "no chemical element"),
        (["-g", "Na=1", "--mask", "O", "--mask-sites", "1"], "exclude each other"),
        (["-g", "Na=1", "-n", "0"], "num-samples"),
        (["-g", "Na=1", "--mask", "Fe"], "does not have"),
        (["-g", "Na=1", "--symprec", "0"], "symprec"),
        (["-g", "Na=1", "--potential", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_done_leaves_no_folder(more, message, host, toy_miad, tmp_path, capsys):
    assert main(words(host, toy_miad, tmp_path / "out", *more)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_file_that_is_no_structure_is_refused(toy_miad, tmp_path, capsys):
    (tmp_path / "host.cif").write_text("nothing")
    assert main(words(tmp_path / "host.cif", toy_miad, tmp_path / "out", "-g", "Na=1")) == 1
    assert "cannot be read as a structure" in capsys.readouterr().err

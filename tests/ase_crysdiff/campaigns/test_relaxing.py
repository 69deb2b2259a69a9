"""Relaxing files into a folder, as Python calls it."""

from dataclasses import replace

import pytest

from ase_crysdiff import registry
from ase_crysdiff.campaigns.relaxing import RelaxOptions, relax_files
from ase_crysdiff.errors import InputError
from ase_crysdiff.testing.pair_potential import PairPotential


@pytest.fixture
def options(tmp_path):
    registry.register(registry.POTENTIALS, "pairs", lambda weights, device, dtype: PairPotential())
    yield RelaxOptions(output=tmp_path / "out", potential="pairs", steps=3)
    registry.unregister(registry.POTENTIALS, "pairs")


@pytest.fixture
def files(crystal_files):
    return crystal_files(3, deviation=0.01, broken=True)


def test_crystals_and_losses_are_told_apart(files, options, capsys):
    found = relax_files([files], options)
    assert found.requested == 4
    assert [s.properties["crysdiff_source"] for s in found.structures] == ["0", "1", "2"]
    assert [reason.split(":")[0] for reason in found.failed.values()] == ["broken"]
    assert str(found).startswith("3 of 4 structures relaxed with ")
    assert "1 failed" in str(found)
    lines = found.table().splitlines()
    assert len(lines) == 2 + 3
    assert lines[0].endswith("eV/atom    fmax eV/Å  steps  verdict")
    energy = found.structures[0].properties["crysdiff_energy_per_atom"]
    assert f"{energy:.4f}" in lines[2]
    assert {"crystals.extxyz", "table.csv", "run.json"} <= {p.name for p in found.output.iterdir()}
    assert capsys.readouterr().out == ""


def test_a_second_call_relaxes_nothing(files, options, caplog):
    first = relax_files([files], options)
    journal = (options.output / "journal.jsonl").read_bytes()
    with caplog.at_level("INFO", logger="ase_crysdiff.campaigns"):
        again = relax_files([files], options)
    assert "3 structures are already in" in caplog.text
    assert (options.output / "journal.jsonl").read_bytes() == journal
    assert list(again.structures) == list(first.structures)


def test_what_a_kill_left_is_completed(files, options):
    whole = relax_files([files], options)
    journal = options.output / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-100])
    assert len(journal.read_bytes().splitlines()) == 3
    again = relax_files([files], options)
    assert len(journal.read_bytes().splitlines()) == 3
    for one, other in zip(again.structures, whole.structures, strict=True):
        assert one.properties["crysdiff_source"] == other.properties["crysdiff_source"]
        assert one == other  # relaxed beside the same others again
        assert one.properties["crysdiff_energy"] == other.properties["crysdiff_energy"]


def test_other_settings_are_another_run(files, options):
    relax_files([files], options)
    with pytest.raises(InputError, match=r"\(steps differ\): steps was 3, is now 4"):
        relax_files([files], replace(options, steps=4))
    with pytest.raises(InputError, match=r"\(relax_cell differ\)"):
        relax_files([files], replace(options, fixed_cell=True))


def test_symmetry_is_kept_then_released_and_the_files_say_what_fell(files, options):
    options = replace(options, steps=200, symmetric=True, release=0.03)
    found = relax_files([files], options)
    copper, _, perovskite = found.structures
    assert copper.properties["crysdiff_first_space_group"] == "Fm-3m"
    assert copper.properties["crysdiff_kept_symmetry"] is True
    assert perovskite.properties["crysdiff_kept_symmetry"] is False
    lost = perovskite.properties["crysdiff_symmetric_energy"]
    assert perovskite.properties["crysdiff_energy"] < lost - 0.1
    lines = found.table().splitlines()[2:]
    assert lines[0].endswith("accepted")
    group = perovskite.properties["crysdiff_first_space_group"]
    assert lines[2].endswith(f"accepted; left {group}")
    # Random moves depend on the position in the files, so a resumed run makes the same.
    journal = options.output / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(True)[:1]))
    again = relax_files([files], options)
    for one, other in zip(again.structures, found.structures, strict=True):
        assert one.properties["crysdiff_energy"] == other.properties["crysdiff_energy"]
    with pytest.raises(InputError, match="symmetric"):
        relax_files([files], replace(options, symmetric=False, release=None))


def test_nonsense_leaves_no_folder(files, options):
    with pytest.raises(InputError, match="max_atoms must be"):
        relax_files([files], replace(options, max_atoms=0))
    with pytest.raises(InputError, match="symmetric=True"):
        relax_files([files], replace(options, release=0.03))
    assert not options.output.exists()

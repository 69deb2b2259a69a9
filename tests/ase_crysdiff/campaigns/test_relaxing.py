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
        # Relaxed alone and with others: the same but for rounding.
        energies = [s.properties["crysdiff_energy"] for s in (one, other)]
        assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_other_settings_are_another_run(files, options):
    relax_files([files], options)
    with pytest.raises(InputError, match=r"\(steps differ\): steps was 3, is now 4"):
        relax_files([files], replace(options, steps=4))
    with pytest.raises(InputError, match=r"\(relax_cell differ\)"):
        relax_files([files], replace(options, fixed_cell=True))


def test_nonsense_leaves_no_folder(files, options):
    with pytest.raises(InputError, match="max_atoms must be"):
        relax_files([files], replace(options, max_atoms=0))
    assert not options.output.exists()

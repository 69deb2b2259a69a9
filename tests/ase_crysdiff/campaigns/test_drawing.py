"""Drawing into a folder, as Python calls it."""

import json

import pytest

from ase_crysdiff.campaigns.drawing import draw_into
from ase_crysdiff.errors import InputError
from pymatgen_ext.samplers import StructureSampler

SETTINGS = {"sampler": "miad", "steps": 5}


@pytest.fixture
def sampler(toy_miad):
    return StructureSampler("miad", str(toy_miad), "cpu")


def draw(sampler, folder, count, **more):
    request, _ = sampler.request(num_atoms=2, steps=5)
    options = {"num_samples": count, "redraws": 30, **more}
    return draw_into(folder, sampler, request, SETTINGS, **options)


def test_folder_holds_what_sample_gives(sampler, tmp_path, caplog, capsys):
    expected = sampler.sample(3, num_atoms=2, steps=5, seed=4, redraws=30)
    assert list(draw(sampler, tmp_path, 2, seed=4)) == list(expected)[:2]
    with caplog.at_level("INFO", logger="ase_crysdiff.campaigns"):
        assert list(draw(sampler, tmp_path, 3)) == list(expected)  # the seed of the folder
    assert "2 crystals are already in" in caplog.text
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["redraws"] == 30


def test_notes_are_in_the_report(sampler, tmp_path):
    samples = draw(sampler, tmp_path, 1, seed=4, notes=("charges were guessed",))
    assert samples.report.notes == ("charges were guessed",)


def test_other_redraws_are_another_run(sampler, tmp_path):
    draw(sampler, tmp_path, 1, seed=4)
    with pytest.raises(InputError, match="redraws was 30, is now 29"):
        draw(sampler, tmp_path, 1, seed=4, redraws=29)

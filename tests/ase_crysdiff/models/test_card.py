"""Cards: typed settings, one upgrade for all earlier formats, kinds."""

import json
from importlib import resources
from pathlib import Path

import pytest

from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import FORMAT, Card, Kind, SamplingSettings, upgrade

SHIPPED = sorted((Path(str(resources.files("ase_crysdiff"))) / "weights").glob("*/card.json"))


def content(**changes):
    return {
        "format": 1,
        "name": "toy",
        "config": {"recipe": "miad"},
        "sampling": {"steps": 10},
        "training": {},
        "measured": {},
        "elements": [1, 8],
        "licence": "MIT",
        "sha256": "0" * 64,
    } | changes


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.parent.name)
def test_every_shipped_card_is_of_todays_format_and_goes_round(path):
    raw = json.loads(path.read_text())
    assert raw["format"] == FORMAT
    card = weights.read_card(path.parent)
    assert card.kind == raw["config"].get("kind", "sampler")
    assert (card.sampling is not None) == (card.kind in (Kind.SAMPLER, Kind.MOLECULE_SAMPLER))
    assert json.loads(json.dumps(card.as_dict())) == raw


def test_a_card_of_format_1_says_the_same_in_todays_words():
    old = content(
        sampling={
            "steps": 100,
            "solver": "euler",
            "start": 0.9,
            "corrections": {"frac_coords": 0.1},
            "hurry": {"frac_coords": 4.0},
            "species_temperature": 0.45,
            "species_spared": [0],
            "atom_count_odds": [0.0, 0.25, 0.75],
            "closest_approach": {"fraction": 0.5},
        }
    )
    new = upgrade(old)
    card = Card.of({n: v for n, v in new.items() if n != "format"})
    assert new["format"] == FORMAT
    assert card.sampling == SamplingSettings(
        steps=100,
        solver="euler",
        start=0.9,
        corrections={"frac_coords": 0.1},
        velocity_annealing={"frac_coords": 4.0},
        species_temperature=0.45,
        excluded_classes=(0,),
        atom_count_prior=(0.0, 0.25, 0.75),
        closest_approach=0.5,
    )
    assert old["format"] == 1  # what was given stays as it was
    encoder = upgrade(content(config={"kind": "backbone"}))
    assert Card.of({n: v for n, v in encoder.items() if n != "format"}).sampling is None


@pytest.mark.parametrize(
    ("entry", "meant"),
    [("step", "steps"), ("velocity_anealing", "velocity_annealing"), ("hurry", None)],
)
def test_a_misspelt_setting_is_an_error_that_names_the_right_one(entry, meant):
    with pytest.raises(InputError, match=f"no sampling setting '{entry}'") as caught:
        SamplingSettings.of({"steps": 10, entry: 1})
    assert ("Did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"Did you mean '{meant}'" in str(caught.value)


def test_sites_may_have_steps_of_their_own():
    own = SamplingSettings.of({"steps": 50, "symmetric_steps": 10, "solver": "euler"})
    assert own.on_sites == SamplingSettings.of({**own.as_dict(), "steps": 10})
    same = SamplingSettings.of({"steps": 50})
    assert same.on_sites == same
    assert "symmetric_steps" not in same.as_dict()


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"symmetric_steps": 0},
        {"start": 1.5},
        {"species_temperature": 0.0},
        {"closest_approach": -0.1},
        {"closest_approach": "x"},
        {"species_temperature": float("nan")},
        {"corrections": {"lattice": "x"}},
        {"velocity_annealing": 4.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        SamplingSettings.of(settings)


def test_a_file_with_a_misspelt_setting_names_the_file(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps(content(sampling={"steps": 3, "sover": "heun"})))
    with pytest.raises(CheckpointError, match=r"card\.json holds a sampling setting.*'solver'"):
        weights.read_card(tmp_path)


def test_later_formats_and_unknown_kinds_say_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="Install a matching release"):
        upgrade(content(format=FORMAT + 1))
    foreign = {n: v for n, v in content(config={"kind": "oracle"}).items() if n != "format"}
    with pytest.raises(CheckpointError, match=r"kind 'oracle'.*predictor"):
        Card.of(foreign)


def test_weights_with_a_misspelt_setting_are_not_written(tmp_path):
    entries = content(sampling={"stepz": 3})
    del entries["format"]
    with pytest.raises(InputError, match="no sampling setting"):
        weights.save(tmp_path / "new", {}, entries)
    assert not (tmp_path / "new").exists()

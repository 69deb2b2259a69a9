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
def test_every_shipped_card_is_read_and_says_the_same_as_before(path):
    raw = json.loads(path.read_text())
    card = weights.read_card(path.parent)
    assert card.kind == raw["config"].get("kind", "sampler")
    assert (card.sampling is not None) == (card.kind == Kind.SAMPLER)
    if card.sampling is None:
        return
    old = raw["sampling"]
    assert card.sampling.steps == old["steps"]
    for was, now in {
        "hurry": card.sampling.velocity_annealing,
        "species_spared": card.sampling.excluded_classes,
        "atom_count_odds": card.sampling.atom_count_prior,
        "solver": card.sampling.solver,
        "start": card.sampling.start,
        "species_temperature": card.sampling.species_temperature,
    }.items():
        if was in old:
            assert (list(now) if isinstance(now, tuple) else now) == old[was]
    if "closest_approach" in old and isinstance(old["closest_approach"], dict):
        assert card.sampling.closest_approach == old["closest_approach"]["fraction"]
    again = upgrade(json.loads(json.dumps(card.as_dict())))
    assert again["format"] == FORMAT
    assert Card.of({n: v for n, v in again.items() if n != "format"}) == card


@pytest.mark.parametrize(
    ("entry", "meant"),
    [("step", "steps"), ("velocity_anealing", "velocity_annealing"), ("hurry", None)],
)
def test_a_misspelt_setting_is_an_error_that_names_the_right_one(entry, meant):
    with pytest.raises(InputError, match=f"no sampling setting '{entry}'") as caught:
        SamplingSettings.of({"steps": 10, entry: 1})
    assert ("Did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"Did you mean '{meant}'" in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"start": 1.5},
        {"species_temperature": 0.0},
        {"closest_approach": -0.1},
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

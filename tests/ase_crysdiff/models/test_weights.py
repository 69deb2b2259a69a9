import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import load
from ase_crysdiff.sampling.loading import load_sampler


@pytest.fixture
def folder(toy_miad, tmp_path):
    return shutil.copytree(toy_miad, tmp_path / "miad")


def test_weights_load(folder):
    model, card = load(folder)
    assert card.name == "miad"
    assert not any(p.requires_grad for p in model.denoiser.parameters())


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "absent"])
def test_damaged_weights_are_refused(folder, damage):
    path = folder / weights.WEIGHTS
    content = bytearray(path.read_bytes())
    if damage == "absent":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"truncated": content[:1000], "flipped": content, "empty": b""}[damage])
    with pytest.raises(
        CheckpointError,
        match="cannot be read" if damage == "absent" else "does not belong to its card",
    ):
        load(folder)


def with_matching_digest(folder, tensors):
    import hashlib

    save_file(tensors, folder / weights.WEIGHTS)
    card = json.loads((folder / weights.CARD).read_text())
    card["sha256"] = hashlib.sha256((folder / weights.WEIGHTS).read_bytes()).hexdigest()
    (folder / weights.CARD).write_text(json.dumps(card))


def test_foreign_weights_are_refused_with_the_differences(folder):
    with_matching_digest(folder, {"layer.weight": torch.ones(3)})
    with pytest.raises(CheckpointError, match=r"differences\): .*is missing"):
        load(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    tensors = load_file(folder / weights.WEIGHTS)
    next(iter(tensors.values())).fill_(float("nan"))
    with_matching_digest(folder, tensors)
    with pytest.raises(CheckpointError, match="not finite"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=99), "format 99"),
        (lambda c: c.pop("config"), r"missing: \['config'\]"),
        (lambda c: c.update(extra=1), r"not known: \['extra'\]"),
    ],
)
def test_cards_of_other_versions_are_refused(folder, change, message):
    card = json.loads((folder / weights.CARD).read_text())
    change(card)
    (folder / weights.CARD).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_card_that_is_no_json_is_refused(folder):
    (folder / weights.CARD).write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as a card"):
        load(folder)


def test_weights_are_found_in_order(folder, toy_csp, monkeypatch):
    assert weights.find("miad", folder) == folder
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(folder.parent))
    assert weights.find("miad") == folder
    with pytest.raises(CheckpointError, match="CRYSDIFF_WEIGHTS"):
        weights.find("nothing")
    with pytest.raises(CheckpointError, match="holds no weights"):
        weights.find("miad", folder.parent)


def test_weights_by_name_or_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = weights.find("geobfn")
    assert weights.find_named("geobfn") == shipped
    assert weights.find_named(str(shipped)) == shipped
    assert weights.find_named(shipped) == shipped
    (tmp_path / "geobfn").mkdir()  # of a training, without a card
    assert weights.find_named("geobfn") == shipped
    with pytest.raises(CheckpointError, match="runs/geobfn holds no weights: card.json is"):
        weights.find_named("runs/geobfn")
    with pytest.raises(CheckpointError, match="geobfn holds no weights"):
        weights.find_named(tmp_path / "geobfn")
    with pytest.raises(CheckpointError, match="There are no weights for 'nothing'"):
        weights.find_named("nothing")
    shutil.copy(shipped / "card.json", tmp_path / "geobfn")
    assert weights.find_named("geobfn") == Path("geobfn")


def test_sampler_of_a_path(toy_csp):
    sampler = load_sampler("dao-g", toy_csp)
    assert not sampler.capabilities.finds_species


def test_settings_of_a_component_that_there_is_not_are_refused(folder):
    card = json.loads((folder / weights.CARD).read_text())
    card["sampling"]["corrections"] = {"lattise": 0.1}
    (folder / weights.CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"corrections of \['lattise'\].*'lattice'"):
        load_sampler("miad", folder)

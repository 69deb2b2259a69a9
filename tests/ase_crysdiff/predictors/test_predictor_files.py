"""Predictors on disk: what is stored, what is refused, and what stands behind them."""

import json

import numpy as np
import pytest
import torch
from toys import write_encoder

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import by_shares
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError, UnknownNameError
from ase_crysdiff.metrics import fingerprints
from ase_crysdiff.metrics.fingerprints import open_hull
from ase_crysdiff.metrics.formation import energies_above_hull, formation_energies
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.models import weights
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.loading import load_predictor, save
from ase_crysdiff.predictors.measuring import calibration
from ase_crysdiff.predictors.network import features
from ase_crysdiff.testing.crystals import prototypes, rattled

ELEMENTS = [3, 8, 11, 12, 13, 14, 15, 16, 17, 22, 29, 38, 42]
FEW = FinetuneSettings(epochs=2, members=2, seed=3)
VOLUME = PropertyTarget("volume_per_atom", "Å³")


@pytest.fixture(scope="module")
def data():
    structures = rattled(30, deviation=0.03)
    values = torch.tensor([s.volume / len(s) for s in structures], dtype=torch.float64)
    return LabelledCrystals(tuple(map(str, range(30))), from_structures(structures), values)


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path))
    write_encoder(tmp_path, ELEMENTS)
    return tmp_path


def tuned(data, folder, settings=FEW, origin="toy-encoder"):
    split = by_shares(list(range(len(data))), 0.2, 0.2, 0)
    found = InitialWeights.of(origin) if isinstance(origin, str) else origin
    return finetune(
        data, split, VOLUME, found, settings, folder, name="volume", progress=False
    ), split


def test_saved_predictors_say_the_same(data, encoders, tmp_path):
    predictor, split = tuned(data, tmp_path / "run")
    card = save(predictor, tmp_path / "out")
    again = load_predictor(tmp_path / "out")
    one, other = predictor.predict(data.crystals), again.predict(data.crystals)
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.uncertainty, other.uncertainty)
    assert bool((one.uncertainty > 0).all())
    assert (again.target, again.unit) == ("volume_per_atom", "Å³")
    assert card.training["split"] == split.digests(data.names)
    result = card.measured["results"]["test MAE"]
    errors = (one.values - data.values).abs()[list(split.test)]
    assert result["value"] == pytest.approx(float(errors.mean()), abs=1e-5)
    assert result["interval"][0] < result["value"] < result["interval"][1]
    assert again.elements == set(ELEMENTS)


def test_predictions_do_not_depend_on_the_company(data, encoders, tmp_path):
    predictor, _ = tuned(data, tmp_path / "run")
    together = predictor.predict(data.crystals).values
    alone = torch.cat([predictor.predict(c).values for c in data.crystals.split()])
    assert torch.allclose(together, alone, atol=1e-4)
    assert features(predictor.backbone, data.crystals).shape == (30, 32)


def test_adapters_are_small_and_belong_to_their_encoder(data, encoders, tmp_path):
    predictor, _ = tuned(data, tmp_path / "run", FinetuneSettings(epochs=2, members=2, adapter=4))
    save(predictor, tmp_path / "out")
    whole, _ = tuned(data, tmp_path / "run2")
    save(whole, tmp_path / "out2")
    sizes = [(tmp_path / out / weights.WEIGHTS).stat().st_size for out in ("out", "out2")]
    assert sizes[0] < 0.7 * sizes[1]
    assert not [
        n
        for n in predictor.tensors
        if n.startswith("backbone.") and ".parametrizations.weight.0." not in n
    ]
    again = load_predictor(tmp_path / "out")
    assert torch.equal(again.predict(data.crystals).values, predictor.predict(data.crystals).values)
    # Adapters leave the encoder as it is, and do something.
    start = InitialWeights.of("toy-encoder").tensors["layers.0.join.linear.weight"]
    assert not torch.equal(
        dict(again.backbone.named_parameters())["layers.0.join.linear.weight"], start
    )
    card = encoders / "toy-encoder" / weights.CARD
    content = json.loads(card.read_text())
    (encoders / "toy-encoder").rename(encoders / "gone")
    with pytest.raises(CheckpointError, match="no weights for 'toy-encoder'"):
        load_predictor(tmp_path / "out")
    tensors = {n: t + 1 for n, t in weights.read(encoders / "gone")[1].items()}
    weights.save(
        encoders / "toy-encoder",
        tensors,
        {k: v for k, v in content.items() if k not in ("format", "sha256")},
    )
    with pytest.raises(CheckpointError, match="now stands for"):
        load_predictor(tmp_path / "out")


def test_size_of_adapters_of_a_backbone_as_it_ships():
    from ase_crysdiff.networks.adapters import adapter_tensors, attach
    from ase_crysdiff.networks.property_network import PropertyNetwork
    from ase_crysdiff.networks.registry import make_backbone

    network = PropertyNetwork(make_backbone({"name": "pddformer"}), 4)
    heads = sum(p.numel() for p in network.heads.parameters())
    attach(network.backbone, 8)
    stored = heads + sum(
        t.numel() for t in adapter_tensors(dict(network.named_parameters())).values()
    )
    assert 4 * stored < 2**20


def test_training_goes_on_and_other_settings_are_refused(data, encoders, tmp_path):
    first, _ = tuned(data, tmp_path / "run")
    again, _ = tuned(data, tmp_path / "run")
    assert torch.equal(first.predict(data.crystals).values, again.predict(data.crystals).values)
    with pytest.raises(InputError, match="began otherwise: config backbone.hidden: 32"):
        tuned(
            data,
            tmp_path / "run",
            origin=InitialWeights.scratch({"name": "crystal-graph", "hidden": 16, "layers": 1}),
        )


def test_what_a_predictor_can_begin_with(data, encoders, tmp_path):
    """An encoder, another predictor or nothing; adapters need an encoder that can be found
    again.
    """
    first, _ = tuned(data, tmp_path / "run")
    save(first, tmp_path / "volume")
    second, _ = tuned(
        data,
        tmp_path / "second",
        FinetuneSettings(epochs=1, members=1),
        InitialWeights.of("volume"),
    )
    assert torch.isnan(second.predict(data.crystals).uncertainty).all()
    scratch = InitialWeights.scratch({"name": "crystal-graph", "hidden": 16, "layers": 1})
    third, _ = tuned(data, tmp_path / "third", FinetuneSettings(epochs=1), scratch)
    assert third.elements == set(ELEMENTS)  # those of its training rows
    with pytest.raises(IncompatibleError, match="pretrained encoder"):
        tuned(data, tmp_path / "fourth", FinetuneSettings(adapter=2), scratch)
    with pytest.raises(IncompatibleError, match="asks a potential"):
        InitialWeights.of("formation-energy")
    with pytest.raises(CheckpointError, match="no weights for"):
        InitialWeights.of("no-such-encoder")
    with pytest.raises(InputError, match="members must be at least 1"):
        FinetuneSettings(members=0)


def test_cards_that_do_not_say_enough_are_refused(data, encoders, tmp_path):
    predictor, _ = tuned(data, tmp_path / "run")
    save(predictor, tmp_path / "out")
    path = tmp_path / "out" / weights.CARD
    whole = json.loads(path.read_text())
    for entry, match in {"scale": "lacks \\['scale'\\]", "unit": "lacks \\['unit'\\]"}.items():
        config = {k: v for k, v in whole["config"].items() if k != entry}
        path.write_text(json.dumps({**whole, "config": config}))
        with pytest.raises(CheckpointError, match=match):
            load_predictor(tmp_path / "out")
    with pytest.raises(CheckpointError, match="predicts nothing"):
        load_predictor(encoders / "toy-encoder")
    with pytest.raises(UnknownNameError, match="Did you mean 'formation-energy'"):
        load_predictor("formation-enrgy")


def test_formation_energy_is_what_the_potential_says(tmp_path):
    structures = [prototypes()[name] for name in ("NaCl", "SrTiO3", "MoS2")]
    found = load_predictor("formation-energy").predict(from_structures(structures))
    expected = formation_energies(structures, load_potential("dao-p")).formation_energy
    assert np.allclose(found.values.numpy(), expected, atol=1e-5)
    assert not found.failures
    with pytest.raises(InputError, match="nothing to save"):
        save(load_predictor("formation-energy"), tmp_path)


def test_energy_above_hull_is_measured_from_the_open_hull(monkeypatch):
    structures = [prototypes()[name] for name in ("NaCl", "SrTiO3", "MoS2")]
    predictor = load_predictor("energy-above-hull")
    found = predictor.predict(from_structures(structures))
    expected = energies_above_hull(
        structures, load_potential("dao-p"), open_hull()
    ).energy_above_hull
    assert np.allclose(found.values.numpy(), expected, atol=1e-5)
    assert not found.failures
    monkeypatch.setattr(
        fingerprints, "open_hull", lambda: Hull({"Na": 0, "Cl": 0, "Mo": 0, "S": 0})
    )
    partial = predictor.predict(from_structures(structures))
    assert torch.isnan(partial.values).all()
    assert "2.10 eV/atom below a hull 'given' that lacks NaCl" in partial.failures[0]
    assert "no entry for the elements O, Sr, Ti" in partial.failures[1]
    hull = Hull({"Na": 0, "Cl": 0, "Na2Cl": -3.0, "NaCl2": -3.0})
    monkeypatch.setattr(fingerprints, "open_hull", lambda: hull)
    bound = predictor.predict(from_structures(structures[:1]))
    formed = load_predictor("formation-energy").predict(from_structures(structures[:1]))
    assert bound.values[0] == pytest.approx(formed.values[0] + 3.0)
    assert "lower bound: NaCl" in bound.remarks[0]


def test_calibration_covers_two_thirds():
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(2000, generator=generator).double() + 0.1
    errors = (3 * spread * torch.randn(2000, generator=generator)).abs()
    assert calibration(errors, spread) == pytest.approx(3, rel=0.08)
    assert calibration(errors[:3], spread[:3]) == pytest.approx(
        float((errors / spread)[:3].max()), rel=1e-4
    )


def test_what_was_measured_with_other_weights_of_the_potential_is_not_said(tmp_path, monkeypatch):
    """The card names the digest of the potential it was measured with; older ones at `sha256`."""
    shipped = weights.find("formation-energy")
    known = load_predictor("formation-energy")
    digest = weights.read_card(weights.find("dao-p")).sha256
    assert known.card.config["potential_sha256"] == digest
    assert known.card.sha256 == known.card.version == ""
    assert known.version == f"(dao-p {digest[:12]})"
    assert known.card.measured["results"]

    content = json.loads((shipped / weights.CARD).read_text())
    former = {k: v for k, v in content["config"].items() if k != "potential_sha256"}
    for number, (config, own) in enumerate(
        [(former, digest), (former, "0" * 64), ({**former, "potential_sha256": "0" * 64}, "")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        card = {**content, "config": config, "sha256": own}
        (folder / weights.CARD).write_text(json.dumps(card))
        found = load_predictor(folder)
        assert bool(found.card.measured) == (number == 0)
        assert found.version == known.version

"""Averages of a network, a forest and a kernel regression: fitted, stored, asked again."""

import numpy as np
import pytest
import torch
from toys import write_encoder

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import by_shares
from ase_crysdiff.errors import IncompatibleError, InputError, MissingExtraError
from ase_crysdiff.predictors.averaging import AveragedPredictor
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.loading import load_predictor, save
from ase_crysdiff.predictors.network import NetworkPredictor
from ase_crysdiff.predictors.teaching import teach
from ase_crysdiff.testing.crystals import rattled

ELEMENTS = [3, 8, 11, 12, 13, 14, 15, 16, 17, 22, 29, 38, 42]
VOLUME = PropertyTarget("volume_per_atom", "Å³")


@pytest.fixture(scope="module")
def data():
    structures = rattled(60, deviation=0.03)
    values = torch.tensor([s.volume / len(s) for s in structures], dtype=torch.float64)
    return LabelledCrystals(tuple(map(str, range(60))), from_structures(structures), values)


@pytest.fixture(scope="module")
def split(data):
    return by_shares(range(len(data)), 0.2, 0.2, 0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return InitialWeights.of(write_encoder(tmp_path_factory.mktemp("encoders"), ELEMENTS))


def taught(data, split, encoder, folder, **settings):
    return teach(
        data,
        split,
        VOLUME,
        encoder,
        FinetuneSettings(**{"epochs": 2, "members": 2, **settings}),
        folder,
        name="volume",
        progress=False,
    )


@pytest.fixture(scope="module")
def frozen(data, split, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    return taught(data, split, encoder, folder, models=("forest", "kernel"), transform="log")


def test_it_is_measured_beside_what_costs_nothing(frozen, data, split):
    results = frozen.card.measured["results"]
    for part in ("validation", "test"):
        plain = results[f"{part} error of a forest on composition and density"]["value"]
        constant = results[f"{part} error of the median"]["value"]
        assert results[f"{part} MAE"]["value"] < constant
        assert 0 < plain < constant
        assert results[f"{part} MAE"]["unit"] == "Å³"
        assert {f"{part} MAE of the {model} alone" for model in ("forest", "kernel")} <= set(
            results
        )
        assert 0.3 <= results[f"{part} within one standard deviation"]["value"] <= 1
    assert sum(frozen.weights.values()) == pytest.approx(1)
    # What answers knows the validation rows, too; what was measured did not.
    known = frozen.predict(data.crystals.select(torch.tensor(split.validation)))
    errors = (known.values - data.values[list(split.validation)]).abs()
    assert float(errors.mean()) < results["validation MAE"]["value"]
    assert bool((known.uncertainty > 0).all())


def test_it_travels_without_scikit_learn(frozen, data, tmp_path, monkeypatch):
    import sys

    save(frozen, tmp_path / "volume")
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    again = load_predictor(tmp_path / "volume")
    assert isinstance(again, AveragedPredictor)
    first, second = frozen.predict(data.crystals), again.predict(data.crystals)
    assert torch.equal(first.values, second.values)
    assert torch.equal(first.uncertainty, second.uncertainty)
    one = again.predict(data.crystals.select(torch.tensor([7])))
    assert torch.allclose(one.values, first.values[7:8], rtol=1e-5)


def test_a_small_forest_alone_is_as_sure_as_its_trees(data, split, encoder, tmp_path):
    """It keeps no kernel regression, rests on `dao-p` alone, and doubts some crystals more."""
    kinds = ("composition", "geometry", "elasticity")
    found = taught(
        data, split, encoder, tmp_path, models=("forest",), descriptors=kinds, small=True
    )
    about = found.card.config["average"]
    assert found.kernel is None
    assert found.weights == {"forest": 1.0}
    assert tuple(about["blocks"]) == kinds
    assert set(about["digests"]) == {"dao-p"}
    assert len(found.forest.roots) == 40
    said = found.predict(data.crystals)
    assert float(said.uncertainty.max()) > 2 * float(said.uncertainty.min()) > 0
    assert data.values.min() <= said.values.min()
    assert said.values.max() <= data.values.max()
    save(found, tmp_path / "volume")
    again = load_predictor(tmp_path / "volume").predict(data.crystals)
    assert torch.equal(again.values, said.values)
    assert torch.equal(again.uncertainty, said.uncertainty)


def test_a_network_joins_where_it_helps(data, split, encoder, tmp_path):
    """After two epochs it does not; trained for long, in place of the others, it stands alone."""
    found = taught(data, split, encoder, tmp_path / "all")
    assert isinstance(found, AveragedPredictor)
    assert "test MAE of the network alone" in found.card.measured["results"]
    alone = taught(data, split, encoder, tmp_path / "alone", models=("network",))
    assert isinstance(alone, NetworkPredictor)
    assert "test error of a forest on composition and density" in alone.card.measured["results"]


def test_nobody_waits_for_descriptors_that_nobody_reads():
    assert FinetuneSettings(models=("network",)).read == ("composition", "geometry")
    assert FinetuneSettings(models=("network", "kernel")).read == FinetuneSettings().descriptors


def test_the_network_of_an_average_can_be_taught_again(data, split, encoder, tmp_path):
    """Whatever the weights are, a network with some is stored with the rest."""
    found = taught(data, split, encoder, tmp_path / "long", epochs=40, learning_rate=1e-2)
    if isinstance(found, AveragedPredictor) and found.network is None:
        with pytest.raises(IncompatibleError, match="no encoder to fine-tune"):
            InitialWeights.of_predictor(found)
        return
    save(found, tmp_path / "volume")
    again = load_predictor(tmp_path / "volume")
    assert torch.equal(again.predict(data.crystals).values, found.predict(data.crystals).values)
    assert InitialWeights.of_predictor(again).backbone == encoder.backbone


def test_wrong_models_and_missing_scikit_learn(data, split, encoder, tmp_path, monkeypatch, caplog):
    import sys

    with pytest.raises(InputError, match="some of network, forest, kernel"):
        FinetuneSettings(models=("tree",))
    for kinds in (("composition", "geometry", "smell"), ("composition", "elasticity")):
        with pytest.raises(InputError, match="composition and geometry among them"):
            FinetuneSettings(descriptors=kinds)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        taught(data, split, encoder, tmp_path, models=("forest",))
    found = taught(data, split, encoder, tmp_path / "network")
    assert isinstance(found, NetworkPredictor)
    assert "stands alone" in caplog.text
    assert np.isfinite(found.predict(data.crystals).values.numpy()).all()


def test_where_many_values_are_0_that_is_told_apart_first(data, split, encoder, tmp_path):
    """Crystals with copper have none of it, the others their volume."""
    owner = torch.arange(len(data)).repeat_interleave(data.crystals.num_atoms)
    copper = torch.bincount(owner, data.crystals.species == 29, len(data)) > 0
    values = torch.where(copper, 0.0, data.values)
    assert 0.1 < float(copper.double().mean()) < 0.9
    table = LabelledCrystals(data.names, data.crystals, values)
    found = taught(table, split, encoder, tmp_path, models=("forest", "kernel"))
    assert isinstance(found, AveragedPredictor)
    assert found.card.config["average"]["hurdle"]
    said = found.predict(data.crystals)
    assert torch.equal(said.values == 0, copper)
    assert set(said.remarks) == set(torch.nonzero(copper).flatten().tolist())
    assert "volume_per_atom is 0 with a probability of" in next(iter(said.remarks.values()))
    save(found, tmp_path / "volume")
    assert torch.equal(
        load_predictor(tmp_path / "volume").predict(data.crystals).values, said.values
    )

"""Scales, heads on resamples, the weights that are kept, and runs that go on where they were."""

import json
import math
from dataclasses import replace

import pytest
import torch
from lightning.fabric import Fabric

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import InputError, ShapeError
from ase_crysdiff.networks.property_network import PropertyNetwork
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.training.graph_crystals import GraphCrystals
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.regression import (
    PropertyObjective,
    bootstrap_counts,
    regression_task,
)
from ase_crysdiff.training.settings import TrainSettings

BACKBONE = {"name": "crystal-graph", "hidden": 32, "layers": 1}


@pytest.fixture(scope="module")
def data():
    """Volume per atom: a property that a small network learns from few crystals."""
    structures = rattled(40, deviation=0.03)
    values = torch.tensor([s.volume / len(s) for s in structures], dtype=torch.float64)
    return LabelledCrystals(tuple(map(str, range(40))), from_structures(structures), values)


def make(data, folder, patience=1000, seed=0, objective=lambda found: found, **settings):
    train, validation = data.select(range(30)), data.select(range(30, 40))
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = PropertyNetwork(make_backbone(BACKBONE), 3)
    config = {"backbone": BACKBONE, "scale": TargetScale.of(train.values).as_dict(), "loss": "l1"}
    knobs = {
        "steps": 30,
        "batch_size": 10,
        "warmup": 3,
        "validate_every": 3,
        "checkpoint_every": 5,
        "ema_decay": 0.9,
        "learning_rate": 3e-3,
    }
    settings = TrainSettings(**{**knobs, **settings}, seed=seed)
    fabric = Fabric(accelerator="cpu", devices=1)
    task = regression_task(network, config, train, validation, settings, fabric.device, patience)
    task = replace(task, objective=objective(task.objective))
    return Loop(task, folder, settings, fabric)


def test_scale_round_trip_and_error_in_the_unit():
    values = torch.tensor([1.0, 10.0, 100.0, 1000.0]).double()
    for transform in (None, "log", "log1p"):
        scale = TargetScale.of(values, transform)
        known = scale.forward(values)
        assert torch.allclose(scale.inverse(known), values)
        assert abs(float(known.mean())) < 1e-12
        assert abs(float(known.std(unbiased=False)) - 1) < 1e-12
        assert TargetScale.of_card(json.loads(json.dumps(scale.as_dict()))) == scale
    assert TargetScale.of(values, "log").mean == pytest.approx(1.5 * math.log(10))
    with pytest.raises(InputError, match="do not differ"):
        TargetScale.of(torch.ones(3).double())
    with pytest.raises(InputError, match="not above 0 and have no log"):
        TargetScale.of(torch.tensor([1.0, -1.0]).double(), "log")
    with pytest.raises(InputError, match="one of None, 'log', 'log1p', not 'ln'"):
        TargetScale.of(values, "ln")


def test_older_cards_learned_decimal_logarithms():
    values = torch.tensor([1.0, 10.0, 100.0, 1000.0]).double()
    older = TargetScale.of_card({"mean": 1.5, "std": math.sqrt(1.25), "log": True})
    assert torch.allclose(older.forward(values), TargetScale.of(values, "log").forward(values))
    assert torch.allclose(older.inverse(older.forward(values)), values)
    assert TargetScale.of_card({"mean": 1.5, "std": 2.0, "log": False}) == TargetScale(1.5, 2.0)


def test_objective_is_what_a_hand_computes(data):
    """Weighted absolute errors on the scale of the network; the logged error is in the unit."""
    network = PropertyNetwork(make_backbone(BACKBONE), 2)
    batch = next(
        GraphCrystals(
            data.crystals, network.backbone.neighborhood, 10, torch.device("cpu"), data.values
        ).everything()
    )
    scale = TargetScale(20.0, 5.0)
    counts = bootstrap_counts(len(data), 2, 0)
    total, parts = PropertyObjective(scale, "l1", counts).loss(network, batch, torch.Generator())
    estimates = network(batch.graph).detach().double()
    wanted = (data.values[batch.rows] - 20) / 5
    by_hand = 0.0
    for i, row in enumerate(batch.rows.tolist()):
        by_hand += sum(
            float(counts[row, k]) * abs(float(estimates[i, k] - wanted[i])) for k in (0, 1)
        ) / (2 * len(batch))
    assert float(total.detach()) == pytest.approx(by_hand, rel=1e-5)
    error = sum(
        abs(float(estimates[i].mean()) * 5 + 20 - float(data.values[row]))
        for i, row in enumerate(batch.rows.tolist())
    )
    assert float(parts["mae"]) == pytest.approx(error / len(batch), rel=1e-5)
    with pytest.raises(InputError, match="l1, huber, mse"):
        PropertyObjective(scale, "l2", None)


def test_resamples_count_every_row_once_on_average():
    counts = bootstrap_counts(4000, 3, 0)
    assert counts.shape == (4000, 3)
    assert torch.allclose(counts.mean(0), torch.ones(3), atol=4 / 4000**0.5)
    assert not torch.equal(counts[:, 0], counts[:, 1])
    assert bootstrap_counts(10, 1, 0) is None


class KilledError(Exception):
    """Stands for SIGKILL: nothing is saved after it."""


def test_a_killed_run_repeats_the_whole_one(data, tmp_path):
    whole = make(data, tmp_path / "whole")
    whole.run(progress=False)
    assert whole.finished
    assert not whole.interrupted

    def kill(progress):
        if progress.step == 4:  # after a validation and before the first checkpoint
            raise KilledError

    first = make(data, tmp_path / "killed")
    with pytest.raises(KilledError):
        first.run(progress=False, stop=kill)
    assert [p.name for p in (tmp_path / "killed").glob("*.safetensors")] == ["best.safetensors"]
    again = make(data, tmp_path / "killed")
    assert again.progress.step == 0
    assert again.best.best is not None
    again.run(progress=False)
    assert again.best.best == whole.best.best
    for name, tensor in whole.best_weights().items():
        assert torch.equal(again.best_weights()[name], tensor)


class Scripted:
    """An objective whose validation errors are given; the loss is the true one."""

    def __init__(self, objective, errors):
        self.objective, self.errors = objective, iter(errors)

    def loss(self, network, batch, generator):
        total, parts = self.objective.loss(network, batch, generator)
        return total, parts if total.requires_grad else {"mae": torch.tensor(next(self.errors))}


def test_the_best_weights_are_kept_and_a_rising_error_ends_the_run(data, tmp_path):
    errors = [3.0, 2.0, 2.5, 1.9, 2.0, 1.9, 2.2, 2.2, 2.2, 2.2]
    loop = make(
        data,
        tmp_path,
        patience=6,
        steps=3000,
        learning_rate=1e-2,
        validate_every=3,
        objective=lambda found: Scripted(found, errors),
    )
    kept = {}

    def watch(progress):
        kept[progress.step] = {n: t.clone() for n, t in loop.average.weights.items()}
        return False

    loop.run(progress=False, stop=watch)
    assert loop.best.best == (12, pytest.approx(1.9))
    # 6 steps after the best, the equal error at 18 being no better.
    assert loop.progress.step == 18
    assert loop.finished
    for name, tensor in loop.best_weights().items():
        assert torch.equal(tensor, kept[12][name])


def test_the_validation_set_and_the_patience_belong_to_the_run(data, tmp_path):
    make(data, tmp_path, steps=3).run(progress=False)
    with pytest.raises(InputError, match=r"patience: 1000 \(the run\) against 50 \(now\)"):
        make(data, tmp_path, steps=3, patience=50)
    with pytest.raises(InputError, match=r"validate_every: 3 \(the run\) against 2 \(now\)"):
        make(data, tmp_path, steps=3, validate_every=2)
    moved = LabelledCrystals(
        data.names,
        data.crystals,
        data.values.index_add(0, torch.tensor([35]), torch.ones(1, dtype=torch.float64)),
    )
    with pytest.raises(InputError, match="validation: "):
        make(moved, tmp_path, steps=3)


def test_training_learns(data, tmp_path):
    loop = make(data, tmp_path, steps=150, learning_rate=1e-2, ema_decay=0.95)
    before = loop.validation_errors()["mae"]
    loop.run(progress=False)
    assert loop.best.best[1] < 0.5 * before


def test_labelled_crystals_fit_together(data):
    with pytest.raises(ShapeError, match="different ones"):
        LabelledCrystals(("a",) * 40, data.crystals, data.values)
    few = data.select([3, 1])
    assert few.names == ("3", "1")
    assert few.values.tolist() == data.values[[3, 1]].tolist()

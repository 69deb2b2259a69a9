"""Joint pretraining on many properties: what labels weigh, what is not known, what is learnt."""

import json
from dataclasses import replace

import pytest
import torch
from lightning.fabric import Fabric

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.target_scale import TargetScale
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.pretrained import load_backbone
from ase_crysdiff.recipes.jmp import RECIPE
from ase_crysdiff.training.export import export
from ase_crysdiff.training.graph_crystals import GraphBatch, GraphCrystals
from ase_crysdiff.training.joint import JointObjective, targets, weights
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.settings import TrainSettings

BACKBONE = {"name": "crystal-graph", "hidden": 16, "layers": 1}


@pytest.fixture(scope="module")
def labelled(crystals):
    """Volumes of all crystals and mean atomic numbers of every third."""
    batch = crystals.batch
    volumes = torch.linalg.det(batch.lattice).abs() / batch.num_atoms
    index = torch.arange(len(batch)).repeat_interleave(batch.num_atoms)
    sums = torch.zeros(len(batch)).index_add(0, index, batch.species.float())
    charges = (sums / batch.num_atoms).where(torch.arange(len(batch)) % 3 == 0, torch.nan)
    values = {"volume": volumes, "charge": charges, "n_atoms": batch.num_atoms.float()}
    return replace(crystals, values=values)


def test_labels_weigh_one_in_all_and_small_tables_more_by_the_temperature():
    for temperature, ratio in ((1.0, 1.0), (2.0, 10.0), (1e9, 100.0)):
        found = weights(1000, (1000, 10), temperature)
        assert found[1] / found[0] == pytest.approx(ratio, rel=1e-3)
        assert found[0] * 1000 + found[1] * 10 == pytest.approx(1000, rel=1e-5)


def test_the_loss_is_that_of_known_values_alone(labelled):
    names = ("charge", "volume")
    columns = targets(names, labelled)
    known = columns[:, 0].isfinite()
    scales = [TargetScale(2.0, 4.0), TargetScale(1.0, 0.5)]
    objective = JointObjective(names, scales, (60, (int(known.sum()), 60)), 1.0)
    graph = next(
        GraphCrystals(labelled, neighborhood(), 60, torch.device("cpu"), columns).epoch(0, 0)
    )
    estimates = torch.randn(len(graph), 2, requires_grad=True)
    total, errors = objective.loss(lambda _: estimates, graph, torch.Generator())
    wanted = (graph.targets - torch.tensor([2.0, 1.0])) / torch.tensor([4.0, 0.5])
    off, there = estimates - wanted, wanted.isfinite()
    huber = torch.where(off.abs() < 1, 0.5 * off**2, off.abs() - 0.5)[there]
    share = 60 / (60 + int(known.sum()))  # every label weighs as much at a temperature of 1
    torch.testing.assert_close(total, share * huber.sum() / len(graph))
    torch.testing.assert_close(errors["charge"], off[:, 0][there[:, 0]].abs().mean().detach())
    total.backward()
    assert bool((estimates.grad[~there] == 0).all())
    assert bool(estimates.grad.isfinite().all())


def test_a_batch_without_a_property_says_nothing_of_it(labelled):
    columns = torch.full((60, 2), torch.nan)
    graph = next(
        GraphCrystals(labelled, neighborhood(), 60, torch.device("cpu"), columns).epoch(0, 0)
    )
    assert isinstance(graph, GraphBatch)
    objective = JointObjective(("a", "b"), [TargetScale(0.0, 1.0)] * 2, (60, (60, 60)), 2.0)
    total, errors = objective.loss(
        lambda _: torch.randn(len(graph), 2, requires_grad=True), graph, torch.Generator()
    )
    assert float(total.detach()) == 0.0
    assert errors == {}


def test_columns_that_say_something_are_learnt(labelled):
    config = {**RECIPE.configure(labelled), "backbone": BACKBONE}
    assert list(config["properties"]) == ["volume", "charge"]
    assert config["properties"]["charge"]["rows"] == 20
    with pytest.raises(InputError, match="no column of a property"):
        RECIPE.configure(PackedCrystals(labelled.batch, {"same": torch.ones(60)}))
    with pytest.raises(InputError, match="temperature"):
        RECIPE.objective(RECIPE.build(config), {**config, "temperature": 0.0})


def test_training_lowers_every_error_and_the_backbone_ships(labelled, tmp_path):
    config = {**RECIPE.configure(labelled), "backbone": BACKBONE}
    torch.manual_seed(0)
    network = RECIPE.build(config)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    course = TrainSettings(
        steps=120, batch_size=16, learning_rate=5e-3, warmup=2, ema_decay=0.9, validate_every=40
    )
    task = RECIPE.task(network, config, labelled, course, fabric.device, labelled)
    run = tmp_path / "run"
    Loop(task, run, course, fabric).run(progress=False)
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    last = [r for r in records if "val_volume" in r][-1]
    assert last["val_volume"] < 0.5
    assert last["val_charge"] < 0.5
    export(run, tmp_path / "toy-joint", "toy-joint")
    backbone, card = load_backbone(tmp_path / "toy-joint")
    assert backbone.hidden == 16
    assert card.config["recipe"] == "jmp"


def neighborhood():
    return RECIPE.build(
        {"backbone": BACKBONE, "properties": {"a": {}, "b": {}}}
    ).backbone.neighborhood

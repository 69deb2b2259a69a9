"""Pretraining: masks, losses, no collapse of the latents, displacements, and runs that go on where
they were.
"""

import json

import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file
from torch.nn import functional

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.networks.graph import MASKED, build_graph
from ase_crysdiff.networks.latent.decoders import Decoded
from ase_crysdiff.recipes.crysldnet import RECIPE as CRYSLDNET
from ase_crysdiff.recipes.denoising import RECIPE as DENOISING
from ase_crysdiff.testing.crystals import prototype_batch
from ase_crysdiff.training.graph_crystals import GraphCrystals
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.masking import draw_masks
from ase_crysdiff.training.pretraining import displaced, pretraining_task, reconstruction
from ase_crysdiff.training.settings import TrainSettings

TINY = {"name": "crystal-graph", "hidden": 32, "layers": 2, "neighbors": 6}
PROFILED = {"name": "pddformer", "hidden": 32, "layers": 2, "profile": 8}
CPU = torch.device("cpu")


def built(made, data, **changes):
    """Network, objective and config of a recipe at toy size."""
    config = {**made.configure(data), "backbone": TINY}
    if made is CRYSLDNET:
        config |= {
            "latent": {**config["latent"], "width": 16},
            "denoiser": {"name": "dit", "width": 32, "layers": 2, "heads": 2},
        }
    config |= changes
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = made.build(config)
    return network, made.objective(network, config), config


def whole(data, network):
    """All crystals as one batch."""
    (batch,) = GraphCrystals(data, network.backbone.neighborhood, len(data), CPU).everything()
    return batch


def test_masks_hide_a_share_of_every_crystal(generator):
    num_atoms = torch.tensor([1, 2, 3, 4, 10, 20, 25])
    hidden = draw_masks(num_atoms, 0.3, generator)
    counts = [int(part.sum()) for part in hidden.split(num_atoms.tolist())]
    assert counts == [1, 1, 1, 2, 3, 6, 8]  # ceil(0.3 N); 0.3 * 10 is 3
    again = draw_masks(num_atoms, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(hidden, again)
    assert not torch.equal(hidden, draw_masks(num_atoms, 0.3, generator))


def test_masks_hide_every_atom_equally_often(generator):
    often = (
        torch.stack([draw_masks(torch.tensor([3, 5]), 0.4, generator) for _ in range(2000)])
        .double()
        .mean(0)
    )
    torch.testing.assert_close(
        often, torch.tensor([2 / 3] * 3 + [2 / 5] * 5, dtype=torch.float64), atol=0.05, rtol=0
    )


def test_network_never_sees_hidden_elements(crystals, generator):
    network, objective, _ = built(CRYSLDNET, crystals)
    batch = whole(crystals, network)
    seen = []

    def watching(graph, t, draws):
        seen.append((graph.crystals.species, t))
        return network(graph, t, draws)

    for _ in range(2):
        objective.loss(watching, batch, generator)
    truth = batch.graph.crystals.species
    for species, t in seen:
        hidden = species == MASKED
        assert int(hidden.sum()) == int(torch.ceil(batch.graph.crystals.num_atoms * 0.3).sum())
        assert torch.equal(species[~hidden], truth[~hidden])
        assert 0.01 < float(t.min()) < 0.05 < 0.95 < float(t.max()) <= 0.99
    assert not torch.equal(seen[0][0], seen[1][0])  # drawn anew


def test_flow_alone_sees_whole_crystals(crystals, generator):
    network, objective, _ = built(CRYSLDNET, crystals, stage="flow")
    batch = whole(crystals, network)

    def watching(graph, t, draws):
        assert bool((graph.crystals.species > 0).all())
        return network(graph, t, draws)

    _, parts = objective.loss(watching, batch, generator)
    assert set(parts) == {"flow", "latent_std", "latent_std_min"}
    assert not any(name.startswith("decoders") for name, _ in network.named_parameters())
    assert not any(
        name.startswith("denoiser")
        for name, _ in built(CRYSLDNET, crystals, stage="vae")[0].named_parameters()
    )


def test_only_hidden_elements_count(crystals, generator):
    network, _, _ = built(CRYSLDNET, crystals)
    graph = whole(crystals, network).graph
    species = graph.crystals.species
    hidden = draw_masks(graph.crystals.num_atoms, 0.3, generator)
    right = 20.0 * functional.one_hot(species, 101).float()
    logits = torch.where(hidden.unsqueeze(-1), right, -right)
    targets = network.decoders.geometry.targets(graph.crystals)
    losses, errors = reconstruction(network.decoders, Decoded(logits, targets), graph, hidden)
    assert float(losses["elements"]) < 1e-5
    assert (float(losses["geometry"]), float(errors["accuracy"])) == (0, 1)
    moved = {
        **targets,
        "distances": targets["distances"] + 0.25,
        "lengths": targets["lengths"] - 0.5,
    }
    losses, errors = reconstruction(network.decoders, Decoded(-logits, moved), graph, hidden)
    assert float(losses["geometry"]) == pytest.approx(0.75, abs=1e-5)
    assert float(errors["accuracy"]) == 0
    assert float(losses["elements"]) > 20


def test_every_crystal_has_the_same_share_of_the_flow_loss(crystals, generator):
    """Mean over atoms and numbers of a crystal first, then over crystals, with the weight of its
    time.
    """
    network, objective, _ = built(
        CRYSLDNET, crystals, stage="flow", loss_weights={"flow": 1.0, "spread": 0.0}
    )
    batch, outputs = whole(crystals, network), []

    def watching(graph, t, draws):
        outputs.append((network(graph, t, draws), t))
        return outputs[-1][0]

    total, _ = objective.loss(watching, batch, generator)
    (output, t), sizes = outputs[0], batch.graph.crystals.num_atoms.tolist()
    squares = (output.denoised.estimate - output.denoised.target).square().mean(-1)
    each = torch.stack([part.mean() for part in squares.split(sizes)])
    torch.testing.assert_close(total, (each * t.clamp_min(0.1) ** -2).mean())
    assert not output.denoised.target.requires_grad
    assert output.denoised.noisy.requires_grad  # through which the encoder learns


def spread(data, stage, latent, weights, steps=45):
    """Per-dimension spread of the latents before and after training."""
    network, objective, _ = built(
        CRYSLDNET, data, stage=stage, latent={"width": 16, **latent}, loss_weights=weights
    )
    sets = GraphCrystals(data, network.backbone.neighborhood, 20, CPU)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    draws, found = torch.Generator().manual_seed(0), []
    for epoch in range(steps // 3):
        for batch in sets.epoch(0, epoch):
            total, parts = objective.loss(network, batch, draws)
            total.backward()
            optimizer.step()
            optimizer.zero_grad()
            found.append(float(parts["latent_std"]))
    return found[0], sum(found[-5:]) / 5


GUARDED, PUBLISHED = (
    {"normalised": True, "detached": True},
    {"normalised": False, "detached": False},
)


@pytest.mark.parametrize(
    ("stage", "latent", "guard", "collapses"),
    [
        ("flow", PUBLISHED, 0.0, True),
        ("flow", GUARDED, 0.0, True),
        ("flow", GUARDED, 1.0, False),
        ("both", GUARDED, 0.0, False),
    ],
    ids=["published", "without the hinge", "flow", "both"],
)
def test_latents_collapse_unless_guarded(stage, latent, guard, collapses, crystals):
    """An encoder that gives every atom the same latent is easiest to denoise. Fixed targets of
    fixed length do not prevent it; a least spread does, or crystals to be told from their
    latents.
    """
    weights = CRYSLDNET.configure(crystals)["loss_weights"] | {"spread": guard}
    before, after = spread(crystals, stage, latent, weights)
    assert (after < 0.5 * before) == collapses
    assert collapses or after > 0.9 * before


class Oracle:
    """Knows the crystals before they were displaced."""

    def __init__(self, clean):
        self.clean, self.graphs = clean, []

    def __call__(self, graph, deviation):
        self.graphs.append((graph, deviation))
        crystals, index = graph.crystals, graph.crystals.layout.batch_index
        steps = torch.einsum(
            "ai,aij->aj",
            shortest_image(crystals.frac_coords - self.clean.frac_coords),
            crystals.lattice[index],
        )
        return crystals.layout.centred(steps) / deviation[index].unsqueeze(-1)


def test_denoising_loss_is_nothing_for_an_oracle_and_one_for_silence(crystals, generator):
    network, objective, config = built(DENOISING, crystals)
    batch = whole(crystals, network)
    oracle = Oracle(batch.graph.crystals)
    assert float(objective.loss(oracle, batch, generator)[0]) < 1e-5
    graph, deviation = oracle.graphs[0]
    assert set(deviation.tolist()) == {float(torch.tensor(d)) for d in config["deviations"]}
    torch.testing.assert_close(graph.crystals.lattice, batch.graph.crystals.lattice)
    silent = [
        float(
            objective.loss(lambda g, d: torch.zeros(len(g.crystals.species), 3), batch, generator)[
                0
            ]
        )
        for _ in range(40)
    ]
    assert sum(silent) / 40 == pytest.approx(1, abs=0.05)


def test_displaced_crystals_have_their_own_edges_and_profiles(crystals, generator):
    """Distances of the crystal as it was would give the answer away."""
    network, _, _ = built(DENOISING, crystals, backbone=PROFILED)
    graph = whole(crystals, network).graph
    steps = 0.3 * torch.randn(len(graph.crystals.species), 3, generator=generator)
    moved = displaced(graph, steps, network.backbone.neighborhood)
    again = build_graph(moved.crystals, network.backbone.neighborhood)
    assert torch.equal(moved.profile, again.profile)
    assert torch.equal(moved.senders, again.senders)
    assert (moved.profile - graph.profile).abs().max() > 0.05
    index = graph.crystals.layout.batch_index
    found = torch.einsum(
        "ai,aij->aj",
        shortest_image(moved.crystals.frac_coords - graph.crystals.frac_coords),
        graph.crystals.lattice[index],
    )
    torch.testing.assert_close(found, steps, atol=1e-4, rtol=0)


@pytest.mark.parametrize("backbone", [TINY, PROFILED], ids=lambda b: b["name"])
def test_displacements_turn_with_the_crystal(backbone, crystals, generator):
    network, _, _ = built(DENOISING, crystals, backbone=backbone)
    batch = prototype_batch().to(dtype=torch.float64)
    network = network.double()
    moved = CrystalBatch(
        batch.lattice,
        (batch.frac_coords + 0.03 * torch.rand(batch.frac_coords.shape, generator=generator)) % 1,
        batch.species,
        batch.num_atoms,
    )
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    deviation = torch.full((len(batch),), 0.1, dtype=torch.float64)

    def found(crystals, turn=None, origin=0.0):
        lattice = crystals.lattice if turn is None else crystals.lattice @ turn
        shifted = CrystalBatch(
            lattice, (crystals.frac_coords + origin) % 1, crystals.species, crystals.num_atoms
        )
        return network(build_graph(shifted, network.backbone.neighborhood), deviation)

    expected = found(moved)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found(moved, rotation), expected @ rotation, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(found(moved, origin=0.41), expected, atol=1e-8, rtol=1e-6)
    assert expected[0].abs().max() < 1e-8  # the only atom of its cell is a centre of symmetry


def trainer(made, data, folder, **settings):
    network, objective, config = built(made, data)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    knobs = {
        "steps": 12,
        "batch_size": 16,
        "warmup": 2,
        "checkpoint_every": 5,
        "log_every": 5,
        "validate_every": 6,
    } | settings
    neighborhood = network.backbone.neighborhood
    course = TrainSettings(**knobs)
    task = pretraining_task(
        network, neighborhood, objective, config, data, course, fabric.device, data
    )
    return Loop(task, folder, course, fabric)


@pytest.mark.parametrize("made", [CRYSLDNET, DENOISING], ids=lambda m: m.name)
def test_resumed_run_equals_uninterrupted_one(made, crystals, tmp_path):
    trainer(made, crystals, tmp_path / "whole").run(progress=False)
    first = trainer(made, crystals, tmp_path / "parts")
    first.run(progress=False, stop=lambda progress: progress.step >= 7)
    second = trainer(made, crystals, tmp_path / "parts")
    assert second.progress.step == 7
    second.run(progress=False)
    name = "step-000000012.safetensors"
    whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


@pytest.mark.parametrize(
    ("made", "falls"),
    [(CRYSLDNET, {"elements": 0.5, "geometry": 0.5, "flow": 0.5}), (DENOISING, {"denoising": 0.9})],
    ids=["crysldnet", "denoising"],
)
def test_training_learns(made, falls, crystals, tmp_path):
    trainer(
        made, crystals, tmp_path, steps=90, learning_rate=5e-3, ema_decay=0.9, validate_every=20
    ).run(progress=False)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    values = [r for r in records if f"val_{next(iter(falls))}" in r]
    for name, factor in falls.items():
        assert values[-1][f"val_{name}"] < factor * records[0][name], name
    if made is CRYSLDNET:
        assert values[-1]["val_latent_std"] > 0.5 * records[0]["latent_std"]
        assert values[-1]["val_accuracy"] > 0.6

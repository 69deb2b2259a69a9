"""What the network that assembles blocks is asked for in training."""

import itertools
from dataclasses import replace

import pytest
import torch
from framework_toys import packed_frameworks

from ase_crysdiff.data.frameworks import BucketedFrameworks, PackedFrameworks
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry import rotations
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.frameworks.assembler import Estimates
from ase_crysdiff.training.frameworks import AssemblyObjective, dealt_out, nearest_equivalents
from ase_crysdiff.training.run import train
from ase_crysdiff.training.settings import TrainSettings

TINY = {"hidden": 16, "edges": 16, "layers": 1, "images": 6, "atoms": 8}


@pytest.fixture(scope="module")
def frameworks():
    return packed_frameworks()


def test_packed_files_come_back(frameworks, tmp_path):
    frameworks.save(tmp_path / "f.safetensors")
    again = PackedFrameworks.load(tmp_path / "f.safetensors")
    assert again.digest == frameworks.digest
    assert torch.equal(again.batch.frac_coords, frameworks.batch.frac_coords)
    with pytest.raises(InputError, match="--blocks"):
        PackedFrameworks.load(tmp_path / "nothing.safetensors")


def test_every_framework_comes_once(frameworks):
    data = BucketedFrameworks(frameworks, 4, 5, 10_000, torch.device("cpu"))
    assert sum(len(batch) for batch in data.everything()) == len(frameworks) == len(data)
    assert BucketedFrameworks(frameworks, 3, 5, 10_000, torch.device("cpu")).left_out == 12


def test_like_blocks_share_noise_out_by_the_shortest_ways(frameworks, generator):
    one = frameworks.batch.select(torch.tensor([0]))
    clean, noise = one.centres, torch.rand(one.centres.shape, generator=generator)
    dealt = dealt_out(clean, noise, one)
    kinds = one.blocks.block_kinds
    assert torch.equal(kinds[dealt], kinds)
    assert sorted(dealt.tolist()) == list(range(len(clean)))

    def cost(order):
        return float(shortest_image(clean - noise[list(order)]).square().sum())

    allowed = [
        order
        for order in itertools.permutations(range(len(clean)))
        if torch.equal(kinds[list(order)], kinds)
    ]
    assert len(allowed) == 6
    assert cost(dealt.tolist()) == pytest.approx(min(map(cost, allowed)), abs=1e-6)


def test_the_nearest_of_like_rotations_is_the_target(frameworks, generator):
    batch = frameworks.batch.select(torch.tensor([0]))
    noise = rotations.canonical(torch.randn(len(batch.rotations), 4, generator=generator))
    found = nearest_equivalents(batch, noise)
    start = 0
    for body, count in enumerate(batch.num_symmetries.tolist()):
        ways = rotations.multiply(
            batch.rotations[body].expand(count, 4), batch.symmetries[start : start + count]
        )
        away = rotations.angle(
            rotations.multiply(rotations.inverse(ways), noise[body].expand(count, 4))
        )
        best = rotations.angle(rotations.multiply(rotations.inverse(found[body]), noise[body]))
        assert float(best) == pytest.approx(float(away.min()), abs=1e-5)
        start += count
    # The crystal stays what it is: the same atoms, in another order.
    placed = batch.blocks.placed(batch.lattice, batch.centres, found)
    away = placed.frac_coords[:, None] - batch.frac_coords[None]
    gaps = torch.linalg.vector_norm((away - away.round()) @ batch.lattice[0], dim=-1)
    gaps[placed.species[:, None] != batch.species[None]] = torch.inf
    assert float(gaps.min(1).values.max()) < 0.1


def test_the_truth_has_no_loss(frameworks, generator):
    """A network that answers with the target itself is not asked for more."""
    model = recipe("mofflow").build({**recipe("mofflow").configure(frameworks), "network": TINY})
    batch = frameworks.batch.select(torch.arange(4))
    objective = AssemblyObjective(model)
    seen = {}

    class Knowing(AssemblyObjective):
        def _errors(self, found, state, clean, batch, layout):
            cells = model.joint.components["lattice"].representation.decode(state["lattice"])
            crystal = layout.index("body")
            way = shortest_image(clean["centres"] - state["centres"])
            mean = torch.stack([w.mean(0) for w in way.split(batch.blocks.num_blocks.tolist())])
            shifts = ((way - mean[crystal]).unsqueeze(-1) * cells[crystal]).sum(-2)
            true = Estimates(clean["lattice"], shifts, rotations.to_matrix(clean["rotations"]))
            seen["best"] = super()._errors(true, state, clean, batch, layout)
            return seen["best"]

    total, parts = Knowing(model).loss(model.denoiser.network, batch, generator)
    assert float(total.detach()) == pytest.approx(0, abs=1e-8)
    other, _ = objective.loss(model.denoiser.network, batch, generator)
    assert float(other.detach()) > 0.1
    assert set(parts) == {"lattice", "centres", "rotations", "shift_rmse", "turn_rmse"}


def test_training_goes_down_and_on(frameworks, tmp_path):
    frameworks.save(tmp_path / "f.safetensors")
    settings = TrainSettings(steps=40, batch_size=6, learning_rate=5e-3, warmup=5, log_every=1)
    arguments = {"changes": {"network": TINY}, "accelerator": "cpu", "progress": False}
    data, run = tmp_path / "f.safetensors", tmp_path / "run"
    train("mofflow", data, run, replace(settings, checkpoint_every=10), minutes=0.0, **arguments)
    done = train("mofflow", data, run, settings, **arguments)
    assert done.step == 40
    import json

    losses = [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])

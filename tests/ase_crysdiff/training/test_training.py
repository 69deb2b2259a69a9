import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from killing import ended, killed
from lightning.fabric import Fabric
from safetensors.torch import load_file
from toys import tiny_config

from ase_crysdiff.cli.main import main
from ase_crysdiff.data.buckets import BucketedCrystals
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models.generative import load as load_weights
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.training import checkpoint
from ase_crysdiff.training.denoising import denoising_task
from ase_crysdiff.training.export import export
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.settings import TrainSettings

TINY = '{"encoder": {"hidden": 32, "layers": 1, "frequencies": 4}}'


def trainer(data, folder, name="miad", **settings):
    torch.random.default_generator.manual_seed(0)
    model = recipe(name).build(tiny_config(name, data))
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    knobs = {
        "steps": 20,
        "batch_size": 8,
        "warmup": 5,
        "checkpoint_every": 5,
        "log_every": 5,
        "validate_every": 10,
    } | settings
    course = TrainSettings(**knobs)
    return Loop(denoising_task(model, data, course, fabric.device, data), folder, course, fabric)


def records(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["miad", "dao-g"])
def test_training_lowers_every_loss(name, crystals, tmp_path):
    run = trainer(
        crystals,
        tmp_path,
        name,
        steps=150,
        learning_rate=3e-3,
        ema_decay=0.9,
        validate_every=15,
        checkpoint_every=150,
    )
    run.run(progress=False)
    losses = [r for r in records(tmp_path) if "val_lattice" in r]
    assert [r["step"] for r in losses] == list(range(15, 151, 15))
    total = [sum(v for k, v in r.items() if k.startswith("val_")) for r in losses]
    assert total[-1] < 0.9 * total[0]
    assert {"lattice", "frac_coords"} <= set(records(tmp_path)[0])


def test_epoch_gives_every_crystal_its_share(crystals):
    space = recipe("dao-g").build(tiny_config("dao-g", crystals)).state_space
    data = BucketedCrystals(crystals, space, 4, 10_000, torch.device("cpu"))
    seen = [batch for epoch in range(40) for batch in data.epoch(0, epoch)]
    assert all(len(set(b.num_atoms.tolist())) == 1 for b in seen)
    counts = torch.zeros(60)
    volumes = torch.linalg.det(crystals.batch.lattice)
    for b in seen:
        for v in torch.linalg.det(b.lattice):
            counts[torch.argmin((volumes - v).abs())] += 1
    assert float(counts.mean()) == pytest.approx(40, rel=0.1)
    assert float(counts.min()) > 25
    again = list(data.epoch(0, 0))
    assert all(
        torch.equal(a.lattice, b.lattice) for a, b in zip(again, data.epoch(0, 0), strict=True)
    )


def test_two_processes_share_a_batch(crystals):
    space = recipe("miad").build(tiny_config("miad", crystals)).state_space
    one = BucketedCrystals(crystals, space, 8, 10_000, torch.device("cpu"))
    two = BucketedCrystals(crystals, space, 4, 10_000, torch.device("cpu"))
    parts = zip(two.epoch(0, 0, 0, 2), two.epoch(0, 0, 1, 2), strict=True)
    for whole, (a, b) in zip(one.epoch(0, 0), parts, strict=True):
        assert torch.equal(whole.lattice, torch.cat([a.lattice, b.lattice]))


def test_batches_of_large_crystals_are_smaller(crystals):
    space = recipe("dao-g").build(tiny_config("dao-g", crystals)).state_space
    data = BucketedCrystals(crystals, space, 64, 72, torch.device("cpu"))
    assert data.batch_sizes == [64, 18, 2, 2]


def test_resumed_run_equals_uninterrupted_one(crystals, tmp_path):
    trainer(crystals, tmp_path / "whole").run(progress=False)
    first = trainer(crystals, tmp_path / "parts")
    # In the middle of an epoch, between two checkpoints.
    first.run(progress=False, stop=lambda progress: progress.step >= 7)
    second = trainer(crystals, tmp_path / "parts")
    assert second.progress.step == 7
    second.run(progress=False)
    name = "step-000000020.safetensors"
    whole, parts = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_stop_can_be_asked_for(crystals, tmp_path):
    run = trainer(crystals, tmp_path)
    seen = []

    def watch(progress):
        seen.append(progress.step)
        if progress.step == 3:
            run.request_stop()
        return False

    assert run.run(progress=False, stop=watch).step == 4  # the step in progress is finished
    assert seen == [0, 1, 2, 3]
    assert run.interrupted
    assert trainer(crystals, tmp_path).progress.step == 4


def command(*words):
    return [sys.executable, "-m", "ase_crysdiff.cli", *training(*words)]


def training(folder, data, steps, *more):
    return [
        "train",
        "miad",
        "--data",
        str(data),
        "-o",
        str(folder),
        "--steps",
        str(steps),
        "--batch-size",
        "8",
        "--checkpoint-every",
        "4",
        "--log-every",
        "1",
        "--accelerator",
        "cpu",
        "--config",
        TINY,
        *more,
    ]


def newest(folder):
    found = checkpoint.load_newest(folder / "miad")
    return found.progress, found.tensors


@pytest.mark.slow
def test_killed_run_equals_uninterrupted_one(crystals, tmp_path):
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    torn = tmp_path / "torn"
    assert ended(main, training(tmp_path / "whole", data, 60)) == 0
    assert killed(
        main, training(torn, data, 60), once=lambda: [*torn.glob("miad/step-*.safetensors")]
    )
    assert ended(main, training(torn, data, 60)) == 0
    (whole, a), (resumed, b) = newest(tmp_path / "whole"), newest(torn)
    assert (whole.step, whole.epoch, whole.position) == (
        resumed.step,
        resumed.epoch,
        resumed.position,
    )
    assert whole.step == 60
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_terminated_run_saves_and_ends_cleanly(crystals, tmp_path):
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    process = subprocess.Popen(
        command(tmp_path / "run", data, 100_000), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "run" / "miad" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    progress, _ = newest(tmp_path / "run")
    assert progress.step >= 3


@pytest.mark.slow
def test_two_processes_train_the_same_model(crystals, tmp_path):
    """Distributed training runs, keeps one set of weights and learns what one process learns."""
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    more = ["--devices", "2", "--validation", str(data), "--validate-every", "100"]
    subprocess.run(
        command(tmp_path / "two", data, 100, *more),
        check=True,
        capture_output=True,
        env=environment,
        timeout=300,
    )
    more = ["--batch-size", "16", "--validation", str(data), "--validate-every", "100"]
    assert ended(main, training(tmp_path / "one", data, 100, *more)) == 0
    two, one = (records(tmp_path / n / "miad") for n in ("two", "one"))
    assert newest(tmp_path / "two")[0].crystals == newest(tmp_path / "one")[0].crystals
    total = [sum(v for k, v in rows[-1].items() if k.startswith("val_")) for rows in (two, one)]
    start = two[0]["loss"]
    told = [export(tmp_path / n / "miad", tmp_path / f"{n}-w", "miad") for n in ("two", "one")]
    assert [card.training.get("processes") for card in told] == [2, None]
    assert total[0] < 0.95 * start
    assert total[0] == pytest.approx(total[1], rel=0.15)


def test_training_needs_no_ase_no_pymatgen_no_jaxtyping(crystals, tmp_path):
    """As on a bare GPU machine, from a source tree."""
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    block = (
        "import sys, runpy\n"
        "for name in ('ase', 'pymatgen', 'spglib', 'jaxtyping', 'smact', 'monty', 'pandas'): "
        "sys.modules[name] = None\n"
        f"sys.argv = {['crysdiff', *command(tmp_path / 'bare', data, 3)[3:]]!r}\n"
        "runpy.run_module('ase_crysdiff.cli', run_name='__main__')\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step 3 of 3" in done.stdout


def test_time_budget_is_kept_and_shared(crystals, tmp_path):
    run = trainer(crystals, tmp_path, steps=10**6)
    progress = run.run(minutes=0.05, progress=False)
    assert 0 < progress.step < 10**6


def test_newest_checkpoint_that_can_be_read_is_taken(crystals, tmp_path):
    trainer(crystals, tmp_path, steps=10).run(progress=False)
    paths = sorted(tmp_path.glob("step-*.safetensors"))
    assert [p.name for p in paths] == ["step-000000005.safetensors", "step-000000010.safetensors"]
    paths[-1].write_bytes(paths[-1].read_bytes()[:1000])
    assert trainer(crystals, tmp_path, steps=10).progress.step == 5
    paths[0].write_bytes(b"")
    with pytest.raises(CheckpointError, match="No checkpoint can be read"):
        trainer(crystals, tmp_path)


def test_run_of_another_network_is_refused(crystals, tmp_path):
    trainer(crystals, tmp_path, steps=5).run(progress=False)
    config = {
        **tiny_config("miad", crystals),
        "encoder": {"name": "cspnet", "hidden": 64, "layers": 1, "frequencies": 4},
    }
    fabric = Fabric(accelerator="cpu", devices=1)
    task = denoising_task(recipe("miad").build(config), crystals, TrainSettings(), fabric.device)
    with pytest.raises(InputError, match=r"encoder.hidden: 32 .* give another folder"):
        Loop(task, tmp_path, TrainSettings(), fabric)


@pytest.mark.parametrize(
    "knobs",
    [
        {"steps": 0},
        {"batch_size": -1},
        {"precision": "float16"},
        {"ema_decay": 1.0},
        {"learning_rate": 0.0},
    ],
)
def test_settings_refuse_nonsense(knobs):
    with pytest.raises(InputError):
        TrainSettings(**knobs)


def test_rate_rises_stays_and_falls():
    settings = TrainSettings(steps=1000, warmup=100, cooldown=0.2, learning_rate=1.0)
    assert settings.rate(0) == pytest.approx(0.01)
    assert settings.rate(99) == settings.rate(500) == settings.rate(800) == 1.0
    assert settings.rate(900) == pytest.approx(0.5)
    assert settings.rate(1000) == 0


def test_no_crystal_fits(crystals):
    model = recipe("miad").build(tiny_config("miad", crystals))
    large = PackedCrystals(crystals.batch.select([0]))
    model.state_space.max_atoms = 0
    with pytest.raises(InputError, match="No training crystal"):
        denoising_task(model, large, TrainSettings(), torch.device("cpu"))


def test_export_writes_averaged_weights(crystals, tmp_path):
    run = trainer(crystals, tmp_path / "run", steps=10)
    run.run(progress=False)
    card = export(tmp_path / "run", tmp_path / "weights", "miad", training={"data": "prototypes"})
    assert card.training["steps"] == 10
    assert card.training["data"] == "prototypes"
    tensors = load_file(tmp_path / "weights" / "weights.safetensors")
    assert all(torch.equal(tensors[n], run.average.weights[n]) for n in tensors)
    with pytest.raises(CheckpointError, match="Train first"):
        export(tmp_path, tmp_path / "w", "miad")


def test_export_in_half_the_bytes(crystals, tmp_path):
    run = trainer(crystals, tmp_path / "run", steps=2)
    run.run(progress=False)
    card = export(tmp_path / "run", tmp_path / "half", "miad", matrices=torch.bfloat16)
    export(tmp_path / "run", tmp_path / "whole", "miad")
    tensors = load_file(tmp_path / "half" / "weights.safetensors")
    assert {t.dtype for t in tensors.values() if t.ndim > 1} == {torch.bfloat16}
    assert {t.dtype for t in tensors.values() if t.ndim == 1} == {torch.float32}
    assert card.training["parameters"] == sum(t.numel() for t in run.average.weights.values())
    model, _ = load_weights(tmp_path / "half")
    for name, parameter in model.denoiser.named_parameters():
        exact = run.average.weights[name]
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, exact, rtol=2**-8, atol=0)
        assert parameter.ndim > 1 or torch.equal(parameter, exact)

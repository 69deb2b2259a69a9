"""Dask on this machine: the same crystals, whatever dies on the way."""

import json
import os
import signal
import threading
import time

import pytest
from sampling_runs import same_run, sample_words

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import WorkerError
from ase_crysdiff.isolation import dask_executor
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import StructureSampler, discover, relax

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'ase-crysdiff[distributed]'"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]


@pytest.fixture(scope="module")
def executor():
    """Two processes of one thread each. The scheduler gives a call up with its first worker, where
    it would try it four times, so that what dies is left to us.
    """
    from dask import config

    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        dask_executor("local:2") as executor,
    ):
        yield executor


@pytest.fixture(scope="module")
def miad(toy_miad):
    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


def kill_a_busy_worker(executor):
    client = executor._client
    processes = client.run(os.getpid)
    busy = [address for address, calls in client.processing().items() if calls]
    os.kill(processes[(busy or list(processes))[0]], signal.SIGKILL)


def test_a_worker_killed_at_three_moments_costs_no_crystal(miad, executor):
    request, _ = miad.request(num_atoms=2, steps=5)
    how = {"seed": 0, "redraws": 30, "batch_size": 1, "progress": False}
    batches, killed = [], []

    def on_draws(draws, structures):
        batches.append(draws)
        if len(batches) in (2, 7):
            kill_a_busy_worker(executor)
            killed.append(len(batches))

    def at_once():
        while not any(executor._client.processing().values()):
            time.sleep(0.01)
        kill_a_busy_worker(executor)
        killed.append(0)

    early = threading.Thread(target=at_once)
    early.start()
    there = miad.collect(request, range(10), executor=executor, on_draws=on_draws, **how)
    early.join()
    assert sorted(killed) == [0, 2, 7]
    assert list(there) == list(miad.collect(request, range(10), **how))


def test_relaxations_are_the_same(executor):
    crystals = rattled(3)
    there = relax(crystals, PairPotential(), steps=3, executor=executor)
    assert there == relax(crystals, PairPotential(), steps=3)


def test_commands_take_a_scheduler(toy_miad, executor, tmp_path, capsys):
    address = executor._client.scheduler.address
    words = ["-n", 3, "--batch-size", 1, "--steps", 5]
    here, there = tmp_path / "here", tmp_path / "there"
    assert main(sample_words(toy_miad, here, *words)) == 0
    assert main(sample_words(toy_miad, there, *words, "--dask", address)) == 0
    same_run(here, there)
    assert main(sample_words(toy_miad, there, "--dask", address, "--workers", 2)) == 1
    assert "--workers and --dask exclude each other" in capsys.readouterr().err
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address}))  # of what a scheduler writes, what is read
    with dask_executor(str(file)) as same:
        assert same._client.scheduler.address == address
    assert executor._client.status == "running"  # the cluster stays


def test_a_scheduler_that_is_not_there_is_named():
    with (
        pytest.raises(WorkerError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 .*Start"),
        dask_executor("tcp://127.0.0.1:9", timeout=1.0),
    ):
        pass


def test_a_discovery_survives_workers_killed_at_three_moments(executor, tmp_path):
    """While drawing, while relaxing, and while candidates are looked at closely."""
    how = {"samplers": ("prototypes",), "draws": 16, "predict": (), "seed": 3, "progress": False}
    folder, killed = tmp_path / "there", []
    ended = threading.Event()

    def watch():
        marks = {"run.json": folder, "drawn-0000.json": folder / "stages"}
        for name in (*marks, "released.jsonl"):
            place = marks.get(name, folder / "stages") / name
            while not (place.exists() and any(executor._client.processing().values())):
                if ended.wait(0.01):
                    return
            kill_a_busy_worker(executor)
            killed.append(name)
            time.sleep(2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    there = discover("Ti-Ni-Sn", 3, folder=folder, executor=executor, **how)
    ended.set()
    watcher.join()
    assert len(killed) >= 2
    here = discover("Ti-Ni-Sn", 3, **how)
    assert [f.key for f in there.candidates] == [f.key for f in here.candidates]
    assert list(there) == list(here)

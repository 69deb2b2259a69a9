"""MiAD's claim as a benchmark: equal arms, and a ratio of known counts."""

import importlib.util
import time
from argparse import Namespace
from pathlib import Path

import pytest
from toys import TINY

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models import weights
from ase_crysdiff.recipes import miad
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential
from ase_crysdiff.training.origin import merge

SCRIPT = Path(__file__).parents[2] / "experiments" / "mirage_infusion.py"
specification = importlib.util.spec_from_file_location("mirage_infusion", SCRIPT)
benchmark = importlib.util.module_from_spec(specification)
specification.loader.exec_module(benchmark)


class Toy(PairPotential):
    """With reference energies, so that it can be set beside a hull."""

    formation_references = dict.fromkeys(range(1, 100), 0.0)


def test_arms_differ_in_the_state_space_only(crystals):
    built = {}
    for arm in benchmark.ARMS:
        wanted = benchmark.changes(arm, crystals, 20, TINY)
        built[arm] = miad.RECIPE.build(merge(miad.RECIPE.configure(crystals), wanted))
    mirage, padded, plain = (built[arm] for arm in ("mirage", "padded", "plain"))
    shapes = [
        {n: p.shape for n, p in model.denoiser.named_parameters()} for model in built.values()
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    assert (mirage.state_space.slots, padded.state_space.slots) == (None, 25)
    assert len(mirage.state_space.spare) > 1
    assert {model.state_space.max_atoms for model in built.values()} == {20}
    same = ("lattice", "species", "family", "encoder", "loss_weights", "sizes", "elements")
    assert all(mirage.config[k] == plain.config[k] == padded.config[k] for k in same)


def test_ratio_of_known_counts():
    """20 of 100 over 10 of 100: log 2 ± 1.96 sqrt(1/20 + 1/10 - 2/100)."""
    value, low, high = benchmark.ratio((20, 10), (100, 100))
    assert value == pytest.approx(2.0)
    assert (low, high) == pytest.approx((0.98656, 4.05449), abs=1e-4)
    assert benchmark.ratio((10, 20), (100, 100))[1:] == pytest.approx((1 / high, 1 / low))
    value, low, high = benchmark.ratio((3, 0), (50, 50))
    assert value == pytest.approx(7.0)
    assert 0 < low < 1 < high < 200


def test_table_joins_seeds_that_both_arms_have():
    def results(hits):
        rate = {"value": hits / 50, "interval": [0.0, 1.0]}
        return {
            "requested": 50,
            "metrics": {
                "sun": rate,
                "msun": rate,
                "stability": {"value": None, "interval": [None, None]},
            },
        }

    text = benchmark.table(
        {
            "mirage": {(2, 0): results(8), (2, 1): results(12), (6, 0): results(50)},
            "plain": {(2, 0): results(6), (2, 1): results(4)},
        }
    )
    assert "sun, mirage over plain, 2 core-hours: 2.00 [" in text
    assert "(20 of 100 against 10 of 100; seeds [0, 1])" in text
    assert "| mirage | 6 | 0 |" in text
    assert "6 core-hours" not in text
    assert "over" not in benchmark.table({"mirage": {(2, 0): results(8)}, "plain": {}})


def test_both_arms_from_training_to_scores(crystals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "ENCODER", TINY)
    data, hull = tmp_path / "training.safetensors", tmp_path / "hull.csv"
    packed = crystals.select(crystals.batch.num_atoms <= 6)
    packed.save(data)
    elements = {site.specie.symbol for s in prototypes().values() for site in s}
    hull.write_text(
        "reduced_formula,hull_energy_per_atom\n"
        + "\n".join(f"{e},0.0" for e in sorted(elements))
        + "\n"
    )
    monkeypatch.setattr(benchmark, "_TIMED", 1)
    monkeypatch.setattr(benchmark, "_pace", lambda arm, *_: {"mirage": 1.5}.get(arm, 1.0))
    options = Namespace(
        output=tmp_path,
        batch_size=8,
        draws=4,
        sampling={"steps": 2, "solver": "euler", "start": 1.0},
        workers=0,
        reference=None,
        hull=hull,
        potential=Toy(),
        profile="package",
    )
    # So far apart that a warm-up of the longer budget would be another one.
    hours, longer = 8 / 3600, 20 / 3600
    options.hours = [longer, hours]
    assert benchmark.measure("mirage", 0, hours, data, options, time.monotonic()) is None

    def measured(arm, budget, seconds=600):
        return benchmark.measure(arm, 0, budget, data, options, time.monotonic() + seconds)

    found = {
        arm: {(t, 0): measured(arm, t) for t in (hours, longer)} for arm in ("mirage", "plain")
    }
    assert {runs[hours, 0]["requested"] for runs in found.values()} == {4}
    steps = {arm: [results["steps"] for results in runs.values()] for arm, runs in found.items()}
    assert steps == {"mirage": [5, 13], "plain": [8, 20]}  # equal hours, each at its own pace
    assert "num_atoms_distance" in found["plain"][hours, 0]["metrics"]
    assert "sun, mirage over plain" in benchmark.table(found)
    cards = [weights.read_card(tmp_path / f"{arm}-0" / f"{hours:g}h" / "weights") for arm in found]
    assert cards[0].training["parameters"] == cards[1].training["parameters"]
    assert cards[0].config["state_space"]["max_atoms"] == 6
    assert PackedCrystals.load(data).batch.num_atoms.max() == 6
    capsys.readouterr()
    assert measured("plain", hours, 0) == found["plain"][hours, 0]
    assert capsys.readouterr().out == ""  # kept, not made again


def test_the_pace_of_an_arm_is_measured(crystals, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "ENCODER", TINY)
    monkeypatch.setattr(benchmark, "_TIMED", 2)
    data = tmp_path / "data.safetensors"
    crystals.save(data)
    settings = benchmark.TrainSettings(batch_size=8)
    paces = {arm: benchmark.seconds_per_step(arm, data, settings) for arm in ("padded", "plain")}
    assert all(0 < pace < 10 for pace in paces.values())

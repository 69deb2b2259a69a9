"""MiAD's claim as a benchmark: equal arms, and a ratio of known counts."""

import importlib.util
import time
from argparse import Namespace
from pathlib import Path

import pytest
from toys import TINY

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.models import weights
from ase_crysdiff.recipes import miad
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.testing.pair_potential import PairPotential

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
        built[arm] = miad.RECIPE.build(
            {
                **miad.RECIPE.configure(crystals),
                **wanted,
                "species": {"kernel": "exact", **wanted["species"]},
            }
        )
    mirage, plain = (built[arm] for arm in ("mirage", "plain"))
    shapes = [
        {n: p.shape for n, p in model.denoiser.named_parameters()} for model in built.values()
    ]
    assert shapes[0] == shapes[1]
    assert (
        mirage.state_space.slots,
        mirage.state_space.max_atoms,
        plain.state_space.max_atoms,
    ) == (25, 20, 20)
    assert mirage.config["species"]["prior"][VACANCY] > 0.3
    assert plain.config["species"]["prior"][VACANCY] < 0.02
    same = ("lattice", "lattice_target", "encoder", "loss_weights", "sizes", "elements")
    assert all(mirage.config[k] == plain.config[k] for k in same)


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
            "mirage": {0: results(8), 1: results(12), 2: results(50)},
            "plain": {0: results(6), 1: results(4)},
        }
    )
    assert "sun, mirage over plain: 2.00 [" in text
    assert "(20 of 100 against 10 of 100; seeds [0, 1])" in text
    assert "| mirage | 2 |" in text
    assert "over" not in benchmark.table({"mirage": {0: results(8)}, "plain": {}})


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
    options = Namespace(
        output=tmp_path,
        steps=3,
        batch_size=8,
        draws=4,
        sampling={"steps": 2, "corrections": {}},
        workers=1,
        reference=None,
        hull=hull,
        potential=Toy(),
        profile="package",
    )
    assert benchmark.measure("mirage", 0, data, options, time.monotonic()) is None
    found = {
        arm: {0: benchmark.measure(arm, 0, data, options, time.monotonic() + 600)}
        for arm in benchmark.ARMS
    }
    assert all(results[0]["requested"] == 4 for results in found.values())
    assert "num_atoms_distance" in found["plain"][0]["metrics"]
    assert "sun, mirage over plain:" in benchmark.table(found)
    cards = [weights.read_card(tmp_path / f"{arm}-0" / "weights") for arm in benchmark.ARMS]
    assert cards[0].training["parameters"] == cards[1].training["parameters"]
    assert cards[0].config["state_space"] == {"name": "mirage", "slots": 8, "max_atoms": 6}
    assert PackedCrystals.load(data).batch.num_atoms.max() == 6
    capsys.readouterr()
    assert benchmark.measure("plain", 0, data, options, time.monotonic()) == found["plain"][0]
    assert capsys.readouterr().out == ""  # kept, not made again

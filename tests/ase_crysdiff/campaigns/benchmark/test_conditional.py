"""The benchmark of wishes: a judge who has not chosen, rows of equal cost, and nothing dropped."""

import math

import pytest
import torch
from toys import tiny_config, write_weights

from ase_crysdiff.campaigns.benchmark.conditional import (
    ConditionalOptions,
    Row,
    _nearest,
    _share,
    _times,
    conditional,
)
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.metrics.base import rate
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.models import weights
from ase_crysdiff.models.adapters import save_adapters
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.predictors.base import Estimates, Predictor
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext.samplers import StructureSampler

GAP = {"kind": "number", "unit": "eV", "range": [0.0, 5.0], "mean": 1.0, "scale": 1.0}


@pytest.fixture(scope="module")
def told(crystals, tmp_path_factory):
    """A miad that can be told a band gap, and has learnt nothing of it."""
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("CRYSDIFF_WEIGHTS", str(home))
    config = dict(tiny_config("miad", crystals))
    write_weights("miad", config, home / "miad", {"steps": 2})
    base = weights.read_card(home / "miad")
    model = recipe("miad").build({**config, "properties": {"band_gap": GAP}})
    own = {n: p for n, p in model.denoiser.named_parameters() if n.startswith("conditioning.")}
    save_adapters(
        home / "told",
        own,
        base,
        name="told",
        properties={"band_gap": GAP},
        training={},
        measured={},
        licence="MIT",
    )
    yield StructureSampler("miad", str(home / "told"), "cpu")
    patch.undo()


def only_uniqueness(structures, **keywords):
    return {"uniqueness": uniqueness(structures)}


def options(tmp_path, **more):
    given = {"num_samples": 4, "property": "band_gap", "window": (0.5, 2.5), "workers": 0}
    given |= {"judge": "band-gap", "output": tmp_path / "c.json"}
    return ConditionalOptions(**{**given, **more})


def test_rows_have_their_cost_and_an_unlearnt_wish_changes_nothing(told, tmp_path):
    asked = options(tmp_path, guide="band-gap-mbj", population=2)
    result = conditional(asked, told, only_uniqueness)
    rows = result.content["rows"]
    assert {name: row["cost"] for name, row in rows.items()} == {
        "unconditional": 1.0,
        "told, weight 1": 1.0,
        "told, weight 2": 2.0,
        "steered by band-gap-mbj, 2 candidates": 2.0,
        "best of 2 by band-gap-mbj": 2.0,
    }
    # The same noise, and adapters that add nothing.
    assert rows["told, weight 1"]["share"] == rows["unconditional"]["share"]
    assert rows["told, weight 1"]["times"]["value"] == 1.0
    assert all("uniqueness" in row for row in rows.values())
    assert result.content["judge_version"] == load_predictor("band-gap").version
    assert "band_gap in 0.5 to 2.5 eV by band-gap (4 draws each)" in result.text
    assert not (tmp_path / "c.parts").exists()


class Table(Predictor):
    """A predictor that looks numbers up by the number of atoms."""

    def __init__(self, values):
        super().__init__(load_predictor("band-gap").card)
        self.values = values

    def predict(self, crystals):
        found = torch.tensor([self.values[int(n)] for n in crystals.num_atoms]).double()
        return Estimates(found, torch.full_like(found, math.nan), {})


def test_what_fails_is_a_miss_and_the_nearest_is_chosen(tmp_path):
    copper, salt, perovskite, *_ = prototypes().values()
    judge = Table({1: 0.0, 2: 1.0, 5: 3.0})
    drawn = [copper, None, salt, salt]
    share = _share(Row(drawn, 1.0), judge, options(tmp_path))
    assert share.value == 0.5
    assert dict(share.failures) == {1: "no value"}
    chosen = _nearest([copper, perovskite, None, copper], 2, judge, (0.5, 2.5))
    assert chosen == [copper, copper]
    assert _nearest([None, perovskite], 2, judge, (0.5, 2.5)) == [perovskite]


def test_shares_of_nothing_have_a_ratio():
    free, more = rate([False] * 50, {}, {}), rate([True] * 25 + [False] * 25, {}, {})
    ratio = _times(free, more)
    assert ratio.value == pytest.approx(50.0)
    assert ratio.interval[0] > 20
    assert _times(more, more).interval[0] < 1 < _times(more, more).interval[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"window": (2.5, 1.5)}, "the smaller one first"),
        ({"guide": "band-gap"}, "cannot judge what it has chosen"),
        ({"judge": "bulk-modulus"}, "predicts in GPa, and band_gap is told in eV"),
        ({"population": 4}, "Give --guide"),
    ],
)
def test_nonsense_is_refused(told, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        conditional(options(tmp_path, **more), told, only_uniqueness)


def test_a_sampler_without_conditions_is_told_what_to_do(told, tmp_path):
    plain = StructureSampler("miad", device="cpu")
    with pytest.raises(IncompatibleError, match=r"takes no property\. Fine-tune it"):
        conditional(options(tmp_path), plain, only_uniqueness)

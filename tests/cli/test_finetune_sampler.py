"""`crysdiff finetune-sampler`: from a table to a sampler that can be told a property, and wishes at
such a sampler.
"""

import csv
import warnings

import pytest
import torch
from toys import tiny_config, write_weights

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.generative import load
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.wishes import told
from ase_crysdiff.testing.crystals import rattled
from pymatgen_ext import StructureSampler

STRUCTURES = rattled(30, deviation=0.04)
GAPS = [0.1 * i for i in range(30)]
QUICK = ["--steps", "4", "--batch-size", "4", "--split", "random"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, crystals):
    """A folder of weights that everything here finds, with adapters of its miad."""
    folder = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("CRYSDIFF_WEIGHTS", str(folder))
    write_weights("miad", tiny_config("miad", crystals), folder / "miad", {"steps": 5})
    with (folder / "gaps.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "cif", "band_gap (eV)"])
        for i, structure in enumerate(STRUCTURES):
            rows.writerow(
                [f"c{i}", structure.to(fmt="cif", symprec=None), "" if i == 7 else GAPS[i]]
            )
    yield folder
    patch.undo()


def finetune(home, folder, *more):
    table = ["--data", str(home / "gaps.csv"), "--property", "band_gap"]
    return main(["finetune-sampler", "miad", *table, "-o", str(folder), *QUICK, *more])


@pytest.fixture(scope="module")
def adapters(home):
    assert finetune(home, home / "miad-band-gap") == 0
    return home / "miad-band-gap"


@pytest.fixture(scope="module")
def sampler(adapters):
    return StructureSampler("miad", weights=str(adapters), device="cpu")


def draw(sampler, **wishes):
    return sampler.sample(3, seed=0, redraws=20, progress=False, **wishes)


def cells(samples):
    """What was drawn, whatever weights have drawn it."""
    return [(s.lattice.matrix.tolist(), s.frac_coords.tolist(), s.formula) for s in samples]


def test_the_card_names_the_base_and_what_it_tells(home, adapters):
    card = weights.read_card(adapters)
    base = weights.read_card(home / "miad")
    assert card.config["base"] == {"name": "miad", "sha256": base.sha256}
    assert card.config["properties"]["band_gap"]["unit"] == "eV"
    assert card.training["table"] == {"read": 30, "kept": 29}
    results = card.measured["results"]
    assert {"gain by being told", "validation loss, told"} <= set(results)
    model, whole = load(adapters)
    assert whole.config["sizes"] == base.config["sizes"]
    size = (adapters / "weights.safetensors").stat().st_size
    own = {n: p for n, p in model.denoiser.named_parameters() if n.startswith("conditioning.")}
    assert size < 4 * sum(p.numel() for p in own.values()) + 10_000
    assert any(bool(p.any()) for n, p in own.items() if ".up." in n)


def test_nothing_wished_draws_what_the_base_draws(sampler):
    base = StructureSampler("miad", device="cpu")
    free = cells(draw(sampler))
    assert free == cells(draw(base))
    ignored = draw(sampler, properties={"band_gap": 2.0}, guidance_weight=0.0)
    assert cells(ignored) == free
    assert cells(draw(sampler, properties={"band_gap": 2.0}, guidance_weight=3.0)) != free


def test_batches_change_nothing_and_windows_draw_a_target_for_each(sampler):
    wishes = {"properties": {"band_gap": (0.5, 1.5)}, "guidance_weight": 2.0}
    together = draw(sampler, **wishes)
    assert list(together) == list(draw(sampler, batch_size=1, **wishes))
    request, _ = sampler.request(**wishes)
    properties = sampler.sampler.capabilities.properties
    streams = Streams(0, tuple(range(200)))
    rows = told(request, properties, streams, torch.device("cpu"), torch.float32)["band_gap"]
    assert float(rows.min()) >= 0.5
    assert float(rows.max()) <= 1.5
    assert float(rows.mean()) == pytest.approx(1.0, abs=0.06)
    assert float(rows.std()) == pytest.approx(12**-0.5, abs=0.05)
    evaluations = sampler.sampler.evaluations
    assert evaluations(request) == 2 * evaluations(sampler.request()[0])


def test_wishes_are_checked_against_the_card(sampler):
    with pytest.raises(IncompatibleError, match=r"colour\. It takes band_gap \(\S+ to \S+ eV\)"):
        draw(sampler, properties={"colour": 1.0})
    with pytest.raises(InputError, match="band_gap is wished as a number"):
        draw(sampler, properties={"band_gap": "wide"})
    with pytest.warns(UserWarning, match=r"band_gap of 9.0 is outside of what .* eV"):
        sampler.request(properties={"band_gap": 9.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.request(properties={"band_gap": (0.5, 1.0)})


def test_the_command_line_takes_windows(adapters, tmp_path, capsys):
    asked = ["--property", "band_gap=0.5:1.5", "--guidance-weight", "2", "-n", "1"]
    where = ["--weights", str(adapters), "-o", str(tmp_path / "draws"), "--seed", "0"]
    assert main(["sample", "miad", *asked, *where]) == 0
    assert main(["sample", "miad", "--property", "band_gap", *where]) == 1
    assert "band_gap=1.5:2.5" in capsys.readouterr().err


def test_another_base_is_refused(home, adapters, crystals, tmp_path, monkeypatch):
    config = {**tiny_config("miad", crystals), "loss_weights": {"lattice": 1.0, "frac_coords": 1.0}}
    config["encoder"] = {**config["encoder"], "hidden": 16}
    config["loss_weights"]["species"] = 1.0
    write_weights("miad", config, tmp_path / "miad", {"steps": 5})
    monkeypatch.setenv("CRYSDIFF_WEIGHTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="Adapters fit their own base alone"):
        load(adapters)


def test_a_second_property_stands_beside_the_first(sampler, tmp_path):
    values = [s.volume / len(s) for s in STRUCTURES]
    both = sampler.finetune(
        STRUCTURES,
        values,
        property="atomic_volume",
        unit="Å3",
        split="random",
        steps=4,
        batch_size=4,
        progress=False,
    )
    assert both.finetune_report.kept == 30
    assert set(both.sampler.capabilities.properties) == {"band_gap", "atomic_volume"}
    first = {"properties": {"band_gap": 1.0}}
    assert cells(draw(both, **first)) == cells(draw(sampler, **first))
    wishes = {"properties": {"band_gap": 1.0, "atomic_volume": (10.0, 12.0)}}
    found = cells(draw(both, **wishes))
    with pytest.raises(InputError, match=r"Save them first"):
        both.as_dict()
    both.save(tmp_path / "both")
    again = StructureSampler("miad", weights=str(tmp_path / "both"), device="cpu")
    assert cells(draw(again, **wishes)) == found
    assert both.as_dict()["weights"] == str(tmp_path / "both")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--unit", "meV"], "told in eV, not in meV"),
        (["--property", "hardness"], "In which unit is hardness"),
        (["--column", "gap"], "no column 'gap'"),
    ],
)
def test_bad_input_is_explained(home, tmp_path, more, message, capsys):
    assert finetune(home, tmp_path / "x", *more) == 1
    assert message in capsys.readouterr().err


def test_samplers_without_a_denoiser_and_told_ones_are_refused(home, adapters, tmp_path, capsys):
    table = ["--data", str(home / "gaps.csv"), "--property", "band_gap", "-o", str(tmp_path / "x")]
    assert main(["finetune-sampler", "wyckoff", *table]) == 1
    assert "has no denoiser" in capsys.readouterr().err
    assert main(["finetune-sampler", "miad", "--weights", str(adapters), *table]) == 1
    assert "told band_gap already" in capsys.readouterr().err

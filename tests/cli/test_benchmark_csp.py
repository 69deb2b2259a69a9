"""`crysdiff benchmark csp` as a user types it: the numbers, the state on disk, interruption,
refusals.
"""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import ase.io
import pytest
import torch
from pymatgen.io.cif import CifWriter

from ase_crysdiff.campaigns.benchmark.predictions import request_for
from ase_crysdiff.campaigns.benchmark.targets import read_targets
from ase_crysdiff.cli.main import main
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.registry import SAMPLERS, register, unregister
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.testing.crystals import prototypes, rattled


def write_table(path, structures):
    with gzip.open(path, "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(["material_id", "cif"])
        for i, structure in enumerate(structures):
            table.writerow([f"mp-{i}", str(CifWriter(structure))])
    return path


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Eight targets of five compositions, 1 to 6 atoms."""
    return write_table(tmp_path_factory.mktemp("targets") / "targets.csv.gz", rattled(8))


def words(toy, targets, output, *more):
    common = ["--targets", targets, "--weights", toy, "--device", "cpu", "-o", output]
    return [str(w) for w in ["benchmark", "csp", "dao-g-perov5", *common, *more]]


def score(toy, targets, output, *more):
    assert main(words(toy, targets, output, *more)) == 0
    return json.loads(output.read_text())


def lasting(content):
    """What does not depend on the machine, the time and how the work was shared out."""
    return {
        k: v for k, v in content.items() if k not in ("seconds", "machine", "workers", "batch_size")
    }


class Oracle:
    """Knows the answers: `crystals` by composition, each moved a little for later samples; fails
    where it holds None.
    """

    def __init__(self, crystals):
        self.crystals = crystals

    def sample(self, request, streams):
        found = []
        for index in streams.indices:
            composition = request.compositions[index % len(request.compositions)]
            crystal = self.crystals[composition]
            shift = 0.02 * (index // len(request.compositions))
            if crystal is None:
                crystal = CrystalBatch(
                    torch.full((1, 3, 3), torch.nan),
                    torch.zeros(1, 3),
                    torch.ones(1).long(),
                    torch.ones(1).long(),
                )
            frac = crystal.frac_coords.clone()
            frac[0, 0] += shift
            found.append(CrystalBatch(crystal.lattice, frac, crystal.species, crystal.num_atoms))
        return CrystalBatch.cat(found)


@pytest.fixture
def oracle(tmp_path):
    """A sampler that knows four of five targets; NaN is all it says of the fifth."""
    table = write_table(tmp_path / "five.csv.gz", list(prototypes().values()))
    known = read_targets(table, None, progress=False)
    crystals = {
        c: from_structures([s]) for c, s in zip(known.compositions, known.structures, strict=True)
    }
    crystals[known.compositions[1]] = None
    register(SAMPLERS, "oracle", lambda weights, device: Oracle(crystals))
    yield table
    unregister(SAMPLERS, "oracle")


# The numbers


def test_sampler_that_knows_the_answers(oracle, tmp_path, capsys):
    output, kept = tmp_path / "out" / "csp.json", tmp_path / "kept"
    assert (
        main(
            [
                "benchmark",
                "csp",
                "oracle",
                "--targets",
                str(oracle),
                "-o",
                str(output),
                "--keep",
                str(kept),
                "--metre",
            ]
        )
        == 0
    )
    content = json.loads(output.read_text())
    values = {name: r["value"] for name, r in content["results"].items()}
    assert values["match_rate"] == values["metre"] == 0.8
    assert values["rmse"] == pytest.approx(0, abs=1e-4)
    assert values["crmse"] == pytest.approx(0.1, abs=1e-4)
    assert values["volume_error"] == pytest.approx(0, abs=1e-4)
    # LiMgAlSiP5-like chains and MoS2 pass or fail SMACT by their formula alone: the filter only
    # takes matches away.
    assert values["match_rate_diffcsp"] <= 0.8
    assert content["results"]["match_rate_diffcsp"]["settings"]["ceiling"] <= 1
    assert content["failures"] == content["rejections"] == {"not finite": 1}
    assert [name for name, r in content["least_distances"] if r is None] == ["mp-1"]
    frames = ase.io.read(kept / "predictions.extxyz", ":")
    assert [f.info["target"] for f in frames] == ["mp-0", "mp-2", "mp-3", "mp-4"]
    assert [len(f) for f in ase.io.read(kept / "targets.extxyz", ":")] == [1, 2, 5, 6, 5]
    text = capsys.readouterr().out
    assert "match_rate           0.8000" in text
    assert "1 × not finite" in text


def test_several_samples_give_a_curve(oracle, tmp_path):
    output = tmp_path / "csp.json"
    assert (
        main(["benchmark", "csp", "oracle", "--targets", str(oracle), "-o", str(output), "-k", "6"])
        == 0
    )
    content = json.loads(output.read_text())
    assert list(content["curve"]) == ["1", "5", "6"]
    assert content["curve"]["1"]["match_rate"]["value"] == pytest.approx(0.8)
    assert (
        content["curve"]["1"]["rmse"]
        > content["curve"]["5"]["rmse"]
        > content["results"]["rmse"]["value"]
    )
    assert content["failures"] == {"not finite": 6}


def test_untrained_model_is_measured_without_a_draw_repeated(toy_csp, targets, tmp_path):
    content = score(toy_csp, targets, tmp_path / "csp.json", "-k", 2, "--seed", 5)
    assert content["targets"]["count"] == 8
    assert content["steps"] == content["evaluations_per_sample"] == 10
    assert content["samples_per_target"] == 2
    assert content["seed"] == 5
    assert content["weights_sha256"]
    assert content["machine"]["versions"]["torch"]
    assert content["seconds"]["per_sample"] > 0
    assert len(content["least_distances"]) == 8
    assert not (tmp_path / "csp.parts").exists()


def test_other_work_sharing_gives_the_same_result(toy_csp, targets, tmp_path):
    one = score(toy_csp, targets, tmp_path / "one.json", "--limit", 6)
    two = score(
        toy_csp, targets, tmp_path / "two.json", "--limit", 6, "--batch-size", 4, "--workers", 2
    )
    assert lasting(one) == lasting(two)


def test_packed_targets_and_a_limit(toy_csp, targets, tmp_path):
    packed = tmp_path / "targets.safetensors"
    PackedCrystals(from_structures(rattled(8))).save(packed)
    content = score(toy_csp, packed, tmp_path / "packed.json", "--limit", 3)
    assert content["targets"]["count"] == 3
    assert [n for n, _ in content["least_distances"]] == ["0", "1", "2"]
    assert read_targets(targets, 3, progress=False).names == ("mp-0", "mp-1", "mp-2")


# Compositions of a request


def test_compositions_of_a_request_are_those_of_single_requests(toy_csp):
    sampler = load_sampler("dao-g", toy_csp)
    compositions = (((38, 1), (22, 1), (8, 3)), ((29, 1),), ((11, 1), (17, 1)))
    together = sampler.sample(SampleRequest(compositions=compositions), Streams(7, (0, 1, 2, 4)))
    for index, crystal in zip((0, 1, 2, 4), together.split(), strict=True):
        request = SampleRequest(composition=compositions[index % 3], formula_units=(1,))
        alone = sampler.sample(request, Streams(7, (index,)))
        assert torch.equal(alone.species, crystal.species)
        torch.testing.assert_close(alone.frac_coords, crystal.frac_coords, rtol=0, atol=1e-4)
        torch.testing.assert_close(alone.lattice, crystal.lattice, rtol=0, atol=1e-4)


def test_compositions_are_checked(toy_csp, toy_miad):
    sampler = load_sampler("dao-g", toy_csp)
    with pytest.raises(InputError, match="60 atoms"):
        sampler.check(SampleRequest(compositions=(((29, 1),), ((29, 60),))))
    with pytest.raises(InputError, match=r"atomic numbers \[99\]"):
        sampler.check(SampleRequest(compositions=(((29, 1),), ((99, 1),))))
    with pytest.raises(InputError, match="finds the composition itself"):
        load_sampler("miad", toy_miad).check(SampleRequest(compositions=(((29, 1),),)))


def test_targets_beyond_the_sampler_count_as_misses(toy_csp, tmp_path, capsys):
    unknown = prototypes()["Cu"].copy()
    unknown.replace_species({"Cu": "U"})
    table = write_table(
        tmp_path / "t.csv.gz", [unknown, prototypes()["NaCl"], prototypes()["SrTiO3"] * (5, 1, 1)]
    )
    content = score(toy_csp, table, tmp_path / "csp.json", "-k", 2)
    assert sorted(content["refused_targets"].values()) == [["mp-0"], ["mp-2"]]
    assert len(content["least_distances"]) == 3
    assert content["failures"]["no structure"] == 4
    assert "1 × refused: 'dao-g' has not seen" in capsys.readouterr().out
    sampler = load_sampler("dao-g", toy_csp)
    request, served, _ = request_for(sampler, read_targets(table, None, progress=False), None)
    assert served == [1]
    assert request.compositions == (((11, 1), (17, 1)),)


def test_composition_is_that_of_the_cell_as_written(tmp_path):
    table = write_table(tmp_path / "t.csv.gz", [prototypes()["NaCl"] * (2, 1, 1)])
    assert read_targets(table, None, progress=False).compositions == [((11, 2), (17, 2))]


# Interruption


def test_more_samples_continue_a_kept_run(toy_csp, targets, tmp_path, capsys):
    kept = tmp_path / "kept"
    score(toy_csp, targets, tmp_path / "one.json", "--keep", kept)
    first = (kept / "draws.jsonl").read_text()
    capsys.readouterr()
    more = score(toy_csp, targets, tmp_path / "three.json", "--keep", kept, "-k", 3)
    assert "8 of 24 samples are already in" in capsys.readouterr().out
    assert (kept / "draws.jsonl").read_text().startswith(first)
    assert lasting(more) == lasting(score(toy_csp, targets, tmp_path / "whole.json", "-k", 3))


@pytest.mark.parametrize("change", [["--seed", "1"], ["--steps", "5"], ["--limit", "7"]])
def test_other_settings_in_the_same_folder_are_refused(change, toy_csp, targets, tmp_path, capsys):
    kept = tmp_path / "kept"
    score(toy_csp, targets, tmp_path / "csp.json", "--keep", kept, "--limit", 4)
    assert (
        main(words(toy_csp, targets, tmp_path / "csp.json", "--keep", kept, "--limit", 4, *change))
        == 1
    )
    assert "holds a run with other settings" in capsys.readouterr().err


LONG = ["-k", "9", "--steps", "3", "--batch-size", "8"]


@pytest.fixture(scope="module")
def uninterrupted(toy_csp, targets, tmp_path_factory):
    return score(toy_csp, targets, tmp_path_factory.mktemp("whole") / "whole.json", *LONG)


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["draws.jsonl", "pairs.jsonl"])
def test_killed_run_goes_on(journal, toy_csp, targets, tmp_path, uninterrupted):
    """Killed while it draws, and while it compares."""
    output = tmp_path / "killed.json"
    command = [sys.executable, "-m", "ase_crysdiff.cli", *words(toy_csp, targets, output, *LONG)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    path = tmp_path / "killed.parts" / journal
    limit = time.monotonic() + 120
    while (
        not (path.exists() and path.stat().st_size)
        and process.poll() is None
        and time.monotonic() < limit
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    before = path.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    assert whole
    assert lasting(score(toy_csp, targets, output, *LONG)) == lasting(uninterrupted)


# Refusals


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-k", "0"], "samples must be a whole number of at least 1"),
        (["--workers", "0"], "workers must be"),
        (["--limit", "0"], "limit must be"),
        (["--seed", "-1"], "seed must be"),
        (["--seed", str(2**63)], "seed must be at most"),
        (["--timeout", "0"], "timeout must be above 0"),
        (["--targets", "absent.csv"], "absent.csv does not exist"),
        (["--weights", "nowhere"], "holds no weights"),
        (["--steps", "2000"], "steps must be a whole number from 1 to 1000"),
        (["--device", "abacus"], "device 'abacus' cannot be used"),
    ],
)
def test_nonsense_is_explained(more, message, toy_csp, targets, tmp_path, capsys):
    assert main(words(toy_csp, targets, tmp_path / "csp.json", *more)) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("csp*"))


def test_sampler_without_compositions_is_refused(toy_miad, targets, tmp_path, capsys):
    command = [
        "benchmark",
        "csp",
        "miad",
        "--targets",
        str(targets),
        "--weights",
        str(toy_miad),
        "-o",
        str(tmp_path / "c.json"),
    ]
    assert main(command) == 1
    assert "takes no composition" in capsys.readouterr().err


def test_broken_target_is_named(toy_csp, tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("material_id,cif\nmp-7,data_nothing\n")
    assert main(words(toy_csp, table, tmp_path / "csp.json")) == 1
    assert "target 'mp-7' cannot be read" in capsys.readouterr().err
    close = prototypes()["NaCl"].copy()
    close.translate_sites([1], [0.49, 0.5, 0.5])
    assert (
        main(words(toy_csp, write_table(tmp_path / "c.csv.gz", [close]), tmp_path / "csp.json"))
        == 1
    )
    assert "target 'mp-0' cannot be used (two atoms closer" in capsys.readouterr().err


# Real data


@pytest.mark.data
@pytest.mark.slow
def test_shipped_weights_on_validation_targets(data, tmp_path):
    """Far below what was measured on 200 targets, far above the few that an untrained model would
    match.
    """
    output = tmp_path / "csp.json"
    path = data / "perov_5" / "val.csv.gz"
    assert (
        main(
            [
                "benchmark",
                "csp",
                "dao-g-perov5",
                "--targets",
                str(path),
                "--limit",
                "24",
                "-o",
                str(output),
            ]
        )
        == 0
    )
    content = json.loads(output.read_text())
    assert content["results"]["match_rate"]["value"] >= 0.3
    assert (
        content["results"]["match_rate_diffcsp"]["value"]
        <= content["results"]["match_rate_diffcsp"]["settings"]["ceiling"]
    )

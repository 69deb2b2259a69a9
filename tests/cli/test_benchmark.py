"""`crysdiff benchmark` as a user types it: kinds, options, messages, interruption."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmark_toys import lasting, write_table
from killing import killed

from ase_crysdiff import registry
from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult
from ase_crysdiff.campaigns.benchmark.run import written
from ase_crysdiff.cli.main import main
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential

KINDS = registry.names(registry.BENCHMARKS)


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


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_explains_itself(kind, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", kind, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: crysdiff benchmark {kind}" in text
    options = registry.load(registry.BENCHMARKS, kind).options
    for name in options.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text or f"\n  {name} " in text


def test_kinds_are_those_that_are_registered(capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    text = capsys.readouterr().out
    assert {"denovo", "csp", "polymorphs", "panel", "guidance", "inpaint"} <= set(KINDS)
    assert {"potential", "noisy-energy", "reconstruction"} <= set(KINDS)
    for kind in KINDS:
        assert f"    {kind}" in text


def test_table_and_place_are_printed_and_more_samples_go_on(toy_csp, targets, tmp_path, capsys):
    kept, output = tmp_path / "kept", tmp_path / "csp.json"
    score(toy_csp, targets, output, "--keep", kept)
    text = capsys.readouterr().out
    assert "dao-g-perov5: 8 targets, given the composition, 1 samples each" in text
    assert f"Written to {output}" in text
    content = score(toy_csp, targets, output, "--keep", kept, "-k", 2)
    assert content["samples_per_target"] == 2
    assert "8 of 16 samples are already in" in capsys.readouterr().out


@dataclass(frozen=True, kw_only=True)
class CountingOptions:
    """Options of a benchmark of a third party.

    Args:
        times: numbers to be added up
        output: JSON file of the result
    """

    times: tuple[float, ...] = (1.0,)
    output: Path = Path("sum.json")


def add_up(options: CountingOptions, sampler) -> BenchmarkResult:
    """Adds numbers up for a sampler."""
    text = f"{sampler.name}: {sum(options.times):g}"
    return written({"sum": sum(options.times)}, text, options.output)


def test_benchmark_of_a_third_party_is_one_object(toy_miad, tmp_path, capsys):
    part = Benchmark(add_up, CountingOptions, "adds numbers up", ("sampler",))
    registry.register(registry.BENCHMARKS, "adding", part)
    try:
        words = ["benchmark", "adding", "miad", "--times", "1", "2.5", "-o", tmp_path / "s.json"]
        assert main([str(word) for word in words]) == 0
    finally:
        registry.unregister(registry.BENCHMARKS, "adding")
    assert capsys.readouterr().out.startswith("miad: 3.5\n")
    assert json.loads((tmp_path / "s.json").read_text()) == {"sum": 3.5}


def test_potentials_side_by_side(tmp_path, capsys):
    def make(depth):
        return lambda weights, device, dtype: PairPotential(depth=depth)

    output = tmp_path / "p.json"
    names = {"shallow": 0.2, "deep": 0.4}
    for name, depth in names.items():
        registry.register(registry.POTENTIALS, name, make(depth))
    try:
        words = ["benchmark", "potential", *names, "--reference", "deep", "--only", "speed"]
        assert main([*words, "--sizes", "8", "-o", str(output)]) == 0
    finally:
        for name in names:
            registry.unregister(registry.POTENTIALS, name)
    text = capsys.readouterr().out
    assert text.split()[:2] == ["shallow", "deep"]
    assert "one call, one thread, against deep" in text
    assert f"Written to {output}" in text
    rows = json.loads(output.read_text())["results"]["speed"]["rows"]
    assert rows[1]["values"]["deep"] == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-k", "0"], "samples must be a whole number of at least 1"),
        (["--workers", "-1"], "workers must be"),
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


LONG = ["-k", "9", "--steps", "3", "--batch-size", "8"]


@pytest.fixture(scope="module")
def uninterrupted(toy_csp, targets, tmp_path_factory):
    return score(toy_csp, targets, tmp_path_factory.mktemp("whole") / "whole.json", *LONG)


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["draws.jsonl", "pairs.jsonl"])
def test_killed_run_goes_on(journal, toy_csp, targets, tmp_path, uninterrupted):
    """Killed while it draws, and while it compares."""
    output = tmp_path / "killed.json"
    path = tmp_path / "killed.parts" / journal
    command = words(toy_csp, targets, output, *LONG)
    assert killed(main, command, once=lambda: path.exists() and path.stat().st_size)
    assert not output.exists()
    before = path.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    assert whole
    assert lasting(score(toy_csp, targets, output, *LONG)) == lasting(uninterrupted)

"""`crysdiff benchmark all`: every benchmark behind the figures of the pages, by one command."""

from dataclasses import dataclass
from pathlib import Path

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult


@dataclass(frozen=True, kw_only=True)
class AllOptions:
    """Options of `all`.

    Args:
        out: folder of the result files, one JSON each
        only: names of benchmarks, see --list; default all
        quick: the small form of those that have one, to see that they run; no page takes its
            figures
        list: only print the benchmarks with their expected times
        suite: TOML file with another list of benchmarks
    """

    out: Path = Path("results")
    only: tuple[str, ...] = ()
    quick: bool = False
    list: bool = False
    suite: Path | None = None


def all_benchmarks(options: AllOptions) -> BenchmarkResult:
    """Every benchmark behind the figures of the pages and the cards, one after another, with fixed
    seeds.

    Each writes one JSON file: its command, version, commit, digests of data and weights, machine,
    and rows of values with intervals. What is measured already with the same command, version,
    data and weights is kept, so that the same command goes on after an interruption. One that
    fails is told at the end, and the others run. The data packs are those of CRYSDIFF_DATA.

    Args:
        options: What is asked for.

    Returns:
        Names of what was measured, kept, left out and failed.

    Raises:
        InputError: If one has failed, none could run, or the folder cannot be written.
        UnknownNameError: If there is no benchmark of a name.
    """
    from ase_crysdiff.campaigns.benchmark.suite.entries import Suite, shipped_suite
    from ase_crysdiff.campaigns.benchmark.suite.running import run_all
    from ase_crysdiff.environment import data_folder
    from ase_crysdiff.errors import InputError

    suite = shipped_suite() if options.suite is None else Suite.read(options.suite)
    entries = suite.chosen(options.only)
    if options.list:
        lines = [f"{'name':32} {'core-minutes':>12}  command"]
        lines += [f"{e.name:32} {e.minutes:12g}  {e.shown()}" for e in entries]
        total = sum(e.minutes for e in entries)
        lines.append(f"{len(entries)} benchmarks, about {total / 60:.1f} core-hours")
        return BenchmarkResult({"names": [e.name for e in entries]}, "\n".join(lines), None)
    told = run_all(suite, entries, options.out, data_folder(), options.quick)
    if told.failed:
        raise InputError(f"Not all could be measured.\n{told}")
    if told.left_out and not told.done and not told.kept:
        raise InputError(f"Nothing could be measured.\n{told}")
    return BenchmarkResult(vars(told), str(told), options.out)


BENCHMARK = Benchmark(
    all_benchmarks, AllOptions, "every benchmark behind the pages' figures, one after another"
)

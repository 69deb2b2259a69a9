"""`crysdiff benchmark`: the numbers of a card, with everything they depend on in one JSON file."""

import argparse
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ase_crysdiff import registry
from ase_crysdiff.cli.fields import add_device, add_fields, read_fields
from ase_crysdiff.errors import PluginError

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.base import Benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the registered benchmarks with their options."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name in registry.names(registry.BENCHMARKS):
        try:
            benchmark: Benchmark = registry.load(registry.BENCHMARKS, name)
        except PluginError:  # `crysdiff doctor` names it; the others still work
            continue
        purpose = inspect.getdoc(benchmark.measure) or benchmark.summary
        purpose = purpose.partition("\n\nArgs:")[0].replace("%", "%%")
        kind = kinds.add_parser(name, help=benchmark.summary, description=purpose)
        if {"sampler", "molecule_sampler"} & set(benchmark.needs):
            kind.add_argument("sampler", help="name of a sampler, see: crysdiff list")
            add_device(kind)
        add_fields(kind, benchmark.options)
        kind.set_defaults(run=run, benchmark=benchmark)


def run(options: argparse.Namespace) -> int:
    """Measures and writes; prints a table and where the numbers are."""
    benchmark: Benchmark = options.benchmark
    given = {need: _GIVEN[need](options) for need in benchmark.needs}
    result = benchmark(read_fields(options, benchmark.options), **given)
    print(result.text)
    if result.path is not None:
        print(f"Written to {result.path}")
    return 0


def _sampler(options: argparse.Namespace) -> Any:
    from pymatgen_ext.samplers import StructureSampler

    return StructureSampler(options.sampler, options.weights, options.device)


def _molecule_sampler(options: argparse.Namespace) -> Any:
    from pymatgen_ext.molecules import MoleculeSampler

    return MoleculeSampler(options.sampler, options.weights, options.device)


def _guidance(options: argparse.Namespace) -> Any:
    from pymatgen_ext.guidance import EnergyGuidance

    return EnergyGuidance


def _prepare(options: argparse.Namespace) -> Any:
    from pymatgen_ext.inpainting import prepare

    return prepare


def _evaluate(options: argparse.Namespace) -> Any:
    from pymatgen_ext.evaluation import evaluate

    return evaluate


def _calculator(options: argparse.Namespace) -> Any:
    from calculators import PotentialCalculator

    return PotentialCalculator


#: What benchmarks may need, from the edge that this command stands on.
_GIVEN: dict[str, Callable[[argparse.Namespace], Any]] = {
    "sampler": _sampler,
    "molecule_sampler": _molecule_sampler,
    "guidance": _guidance,
    "prepare": _prepare,
    "evaluate": _evaluate,
    "calculator": _calculator,
}

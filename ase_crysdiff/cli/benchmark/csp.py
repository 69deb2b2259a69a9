"""`crysdiff benchmark csp`: predicts the cell of every target from its composition and compares; goes on where it was stopped."""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff import __version__
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import MAX_SEED

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from ase_crysdiff.cli.benchmark.state import RunFolder
    from ase_crysdiff.cli.benchmark.targets import Targets
    from ase_crysdiff.metrics.match_rate import Comparison, PairKey

_PAIRS = "pairs"
#: Pairs are written in groups: forcing a line to disk may take as long as the comparison.
_GROUP = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("sampler", help="name of a sampler that predicts structures of given compositions")
    parser.add_argument("--targets", type=Path, required=True, help="true structures: CSV with a cif column, packed file, ...")
    parser.add_argument("-k", "--samples", type=int, default=1, help="samples for each target (default 1)")
    parser.add_argument("--limit", type=int, help="use the first so many targets only")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--steps", type=int, help="steps of the reverse process; default as in the card")
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--batch-size", type=int, help="crystals computed together; default 64 on a CPU, 512 on a GPU")
    parser.add_argument("--workers", type=int, default=1, help="processes for sampling on a CPU and for matching (default 1)")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one comparison (default 10)")
    parser.add_argument("--metre", action="store_true", help="also compare with all other targets of the same composition")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder that keeps the structures (extended XYZ) and the draws")
    parser.add_argument("-o", "--output", type=Path, default=Path("csp.json"), help="result (default csp.json)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws what is missing, compares what is missing, scores and writes. First draws only, nothing redrawn or dropped."""
    from ase_crysdiff.cli.benchmark.machine import machine
    from ase_crysdiff.cli.benchmark.predictions import DRAWS, draw_missing, request_for, to_predictions
    from ase_crysdiff.cli.benchmark.results import results, summary
    from ase_crysdiff.cli.benchmark.state import RunFolder
    from ase_crysdiff.cli.benchmark.targets import read_targets
    from ase_crysdiff.metrics.composition import is_neutral
    from ase_crysdiff.storage import ensure_writable, write_text
    from pymatgen_ext.drawing import SamplerSpec

    _check(options)
    is_neutral((("Cl", 1), ("Na", 1)))  # needs SMACT: better to say so now than after a night of sampling
    ensure_writable(options.output.parent)
    device = _device(options.device)
    spec = SamplerSpec(options.sampler, options.weights, device)
    sampler = spec.load()
    targets = read_targets(options.targets, options.limit)
    request, served, refused = request_for(sampler, targets, options.steps)
    evaluations = sampler.evaluations(request) if hasattr(sampler, "evaluations") else None
    card = getattr(sampler, "card", None)
    settings = {
        "sampler": options.sampler,
        "weights_sha256": None if card is None else card.sha256,
        "targets": {"file": options.targets.name, "count": len(targets.names), "sha256": targets.digest},
        "seed": options.seed,
        "steps": options.steps if options.steps is not None or card is None else card.sampling["steps"],
        "sampling": None if card is None else dict(card.sampling),
        "version": __version__,
    }
    folder = RunFolder(options.keep or options.output.with_suffix(".parts"), settings)
    batch_size = options.batch_size or (64 if device == "cpu" else 512)
    drawn = draw_missing(folder, spec, sampler, request, served, options, batch_size)
    rows = to_predictions(drawn, targets, served, options.samples)
    comparison, matching = _compare_missing(folder, rows, targets, options)
    seconds = sum(d["seconds"] for d in drawn.values())
    content = {
        "benchmark": "csp",
        **settings,
        "samples_per_target": options.samples,
        "evaluations_per_sample": evaluations,
        "refused_targets": refused,
        "rejections": dict(Counter(d["reason"] for d in drawn.values() if d["reason"] is not None)),
        "seconds": {
            "sampling": round(seconds, 2),
            "per_sample": round(seconds / len(drawn), 5) if drawn else None,
            "matching": round(matching, 2),
        },
        "workers": options.workers,
        "batch_size": batch_size,
        "machine": machine(device),
        **results(comparison, rows, targets, options),
    }
    if options.keep is not None:
        _keep(options.keep, comparison, rows, targets)
    write_text(options.output, json.dumps(content, indent=1) + "\n")
    if options.keep is None:
        folder.remove(DRAWS, _PAIRS)
    print(summary(content))
    print(f"Written to {options.output}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuses nonsense before weights or targets are read."""
    from pymatgen_ext.parsing import positive

    least = {"samples": 1, "limit": 1, "seed": 0, "steps": 1, "batch_size": 1, "workers": 1}
    for name, smallest in least.items():
        if getattr(options, name) is not None:
            positive(name.replace("_", "-"), getattr(options, name), smallest)
    if options.seed > MAX_SEED:
        raise InputError(f"seed must be at most 2^63 - 1, got {options.seed}.")
    if not options.timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {options.timeout:g}.")


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used ({str(error).splitlines()[0]}). Use cpu, cuda or auto.") from error
    return name


def _compare_missing(
    folder: "RunFolder", rows: Sequence[Sequence["Structure | None"]], targets: "Targets", options: argparse.Namespace
) -> tuple["Comparison", float]:
    """The comparison, and the seconds that this run has spent on it."""
    from ase_crysdiff.metrics.match_rate import Pair, compare

    journal = folder.journal(_PAIRS, "target", "sample", "distance", "volume_error", "failure")
    known = {
        (e["target"], e["sample"]): Pair(e["distance"], e["volume_error"], e["failure"])
        for e in journal.read()
        if e["sample"] < options.samples
    }
    fresh: list[dict[str, Any]] = []

    def write() -> None:
        journal.add(fresh)
        fresh.clear()

    def note(key: "PairKey", pair: Pair) -> None:
        fresh.append({"target": key[0], "sample": key[1], **vars(pair)})
        if len(fresh) >= _GROUP:
            write()

    started = time.perf_counter()
    try:
        comparison = compare(
            rows, targets.structures, workers=options.workers, timeout=options.timeout, known=known, on_pair=note, progress=None
        )
    finally:
        write()
    return comparison, time.perf_counter() - started


def _keep(folder: Path, comparison: "Comparison", rows: Sequence[Sequence["Structure | None"]], targets: "Targets") -> None:
    """Writes predictions and targets. Samples that are not finite or have no atoms stand in the journal only."""
    from pymatgen_ext.writing import write

    predictions = []
    for name, row, pairs in zip(targets.names, rows, comparison.pairs, strict=True):
        for sample, (structure, pair) in enumerate(zip(row, pairs, strict=True)):
            if structure is None or pair.failure in ("not finite", "no atoms"):
                continue
            structure.properties = {"target": name, "sample": sample}
            if pair.distance is not None:
                structure.properties["rms_distance"] = pair.distance
            predictions.append(structure)
    true = [s.copy() for s in targets.structures]
    for name, structure in zip(targets.names, true, strict=True):
        structure.properties = {"target": name}
    write(predictions, {}, folder / "predictions.extxyz")
    write(true, {}, folder / "targets.extxyz")

"""Draws molecules, freely or of the formulas of known ones, and scores them by the published
rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult, DrawingOptions
from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Molecule

    from ase_crysdiff.campaigns.drawing_molecules import MoleculeCollector
    from ase_crysdiff.metrics.base import MetricResult


@dataclass(frozen=True, kw_only=True)
class MoleculeOptions(DrawingOptions):
    """Options of `molecules`.

    Args:
        num_samples: molecules to draw; with targets, draws for each formula
        targets: archive of molecules (.npz) whose formulas are asked for; left out, molecules are
            drawn freely
        limit: use the first so many different formulas of the targets only
        reference: archive of molecules (.npz) that are not new
    """

    num_samples: int = 1000
    targets: Path | None = None
    limit: int | None = None
    reference: Path | None = None
    output: Path = Path("molecules.json")


def molecules(options: MoleculeOptions, molecule_sampler: Any) -> BenchmarkResult:
    """Stability of atoms and molecules by the published rule of bonds, and with RDKit validity,
    uniqueness and novelty.

    First draws only, nothing redrawn or relaxed. What is drawn is kept at once, so that a killed
    run goes on where it was.

    Args:
        options: What is asked for.
        molecule_sampler: A `pymatgen_ext.MoleculeSampler`.

    Returns:
        `results`: the rates; with targets also the share of formulas of which some draw is stable
        in all its atoms; `seconds` and `machine`.

    Raises:
        InputError: If an option makes no sense, a target cannot be used, or the folder of `keep`
            holds a run with other settings.
    """
    from ase_crysdiff import __version__
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.run import check, written
    from ase_crysdiff.campaigns.drawing_molecules import draw_molecules_into
    from ase_crysdiff.devices import resolve
    from ase_crysdiff.sampling.molecules.tasks import MoleculeOf, NewMolecule
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.storage import Store

    check(options)
    formulas = () if options.targets is None else _formulas(options.targets, options.limit)
    task = MoleculeOf(formulas) if formulas else NewMolecule()
    request = SampleRequest(task, steps=options.steps)
    molecule_sampler.check(request)
    card = molecule_sampler.sampler.card
    settings = {
        "sampler": molecule_sampler.name,
        "weights_sha256": card.sha256,
        "targets": None if options.targets is None else options.targets.name,
        "formulas": len(formulas),
        "seed": options.seed,
        "steps": options.steps or card.sampling.steps,
        "sampling": card.sampling.as_dict(),
        "version": __version__,
    }
    folder = options.keep or options.output.with_suffix(".parts")
    count = options.num_samples * max(1, len(formulas))
    collector: MoleculeCollector = molecule_sampler
    drawn = draw_molecules_into(
        folder,
        collector,
        request,
        settings,
        num_samples=count,
        seed=options.seed,
        redraws=0,
        batch_size=options.batch_size,
        workers=options.workers if options.workers > 1 else 0,
    )
    by_index = {int(m.properties["crysdiff_index"]): m for m in drawn}
    rows = [by_index.get(i) for i in range(count)]
    numbers = _scores(rows, len(formulas), options.reference)
    last = Store.record(folder)["last_run"]
    content = {
        "benchmark": "molecules",
        **settings,
        "num_samples": options.num_samples,
        "evaluations_per_sample": drawn.report.evaluations,
        "seconds": {
            "sampling": round(last["seconds"], 2),
            "per_sample": round(last["seconds"] / last["asked"], 5) if last["asked"] else None,
        },
        "workers": options.workers,
        "machine": machine(resolve(molecule_sampler.device)),
        "results": {name: result.as_plain() for name, result in numbers.items()},
    }
    return written(content, _summary(content), options.output)


BENCHMARK = Benchmark(
    molecules,
    MoleculeOptions,
    "stability, validity and uniqueness of drawn molecules",
    ("molecule_sampler",),
)


def _formulas(path: Path, limit: int | None) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Different formulas of an archive, in the order in which they first occur; those of ions and
    radicals are left out.
    """
    from ase_crysdiff.data.molecules import read_archive
    from ase_crysdiff.sampling.molecules.group_law import amounts_of
    from ase_crysdiff.sampling.molecules.tasks import check_formula

    batch = read_archive(path).batch
    found: dict[tuple[tuple[int, int], ...], None] = {}
    for species in batch.species.split(batch.num_atoms.tolist()):
        formula = amounts_of(species.tolist())
        try:
            check_formula(formula)
        except InputError:
            continue
        found.setdefault(formula)
    return tuple(found)[:limit]


def _scores(
    rows: "Sequence[Molecule | None]", formulas: int, reference: Path | None
) -> "dict[str, MetricResult]":
    from ase_crysdiff.crystal.smiles import has_rdkit
    from ase_crysdiff.metrics.base import rate
    from ase_crysdiff.metrics.molecules import (
        atom_stability,
        molecule_stability,
        novelty,
        valid_and_unique,
        validity,
        written,
    )

    found = {"atoms_stable": atom_stability(rows), "molecules_stable": molecule_stability(rows)}
    if formulas:
        fine = found["molecules_stable"].per_structure
        some = [any(fine[k::formulas]) for k in range(formulas)]
        found["formulas_with_stable"] = rate(some, {}, {"draws": len(rows) // formulas})
    if has_rdkit():
        texts = written(rows)
        found |= {"valid": validity(texts), "valid_and_unique": valid_and_unique(texts)}
        if reference is not None and any(texts):
            found["novel"] = novelty(texts, _known(reference))
    return found


def _known(path: Path) -> frozenset[str]:
    """SMILES of an archive, written as those of drawn molecules are."""
    from ase_crysdiff.crystal.molecules import to_molecules
    from ase_crysdiff.data.molecules import read_archive
    from ase_crysdiff.metrics.molecules import written

    texts = written(to_molecules(read_archive(path).batch))
    return frozenset(text for text in texts if text is not None)


def _summary(content: dict[str, Any]) -> str:
    """A table for people."""
    count = content["num_samples"] * max(1, content["formulas"])
    lines = [
        f"{content['sampler']}: {count} molecules"
        + (f" of {content['formulas']} formulas" if content["formulas"] else "")
        + f", {content['steps']} steps, {content['seconds']['per_sample']} s per molecule"
    ]
    for name, result in content["results"].items():
        low, high = result["interval"]
        lines.append(f"  {name:20} {result['value']:.4f}  [{low:.4f}, {high:.4f}]")
    return "\n".join(lines)

"""Training sets for two stages, by rules, with a report; goes on where it was stopped."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_crysdiff import __version__
from ase_crysdiff.arguments import positive
from ase_crysdiff.campaigns.curation.candidates import (
    check_copies,
    copies,
    read_benchmarks,
    read_candidates,
)
from ase_crysdiff.campaigns.curation.options import STABLE, CurationOptions
from ase_crysdiff.campaigns.curation.report import count, describe, save
from ase_crysdiff.campaigns.curation.stages import Curation, Stage
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import Workers, opened, workers_of
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.relaxation.engine import MAX_ATOMS, check_options
from ase_crysdiff.storage import Store, ensure_writable, write_text

#: The settings of the rules, for the record of the run.
_RULES = ("min_atoms", "max_atoms", "max_height", "fmax", "relax_steps", "seed")


@dataclass(frozen=True)
class CurationResult:
    """Two training sets.

    Args:
        first: Members of stage I and why others are not.
        second: Members of stage II and why others are not.
        report: Settings, counts and losses, as `report.json` holds them.
    """

    first: Stage
    second: Stage
    report: Mapping[str, Any]


def curate(
    sources: Sequence[Path],
    options: CurationOptions,
    *,
    workers: Workers | None = None,
    executor: Executor | None = None,
) -> CurationResult:
    """Reads, copies, compares, weighs, relaxes and writes training sets for two stages.

    Stage I holds every crystal below a height above the hull, stable or not, and copies out of
    place on request. Stage II holds the stable ones, and those a little above the hull as a
    potential relaxes them. Neither holds a crystal of a benchmark, or one crystal twice. The folder
    receives `stage1.safetensors`, `stage2.safetensors` (where there are any crystals) and
    `report.json`; what was computed is kept in `parts`, so that a killed run goes on where it was.

    Args:
        sources: CSV with a cif column, CIF, POSCAR, extended XYZ, .db, folders.
        options: The rules.
        workers: Isolated processes that compare and relax; None for as many as `options` say.
        executor: Any executor of `concurrent.futures`, whose workers do so instead, without limits
            of time.

    Raises:
        InputError: If an option makes no sense, a file cannot be used, no crystal is left, or the
            folder holds a run with other settings.
        UnknownNameError: If there is no potential of that name.
        WorkerError: If processes cannot be started, or the executor is broken; what is done is
            kept.
    """
    _check(options)
    own = options.workers if workers is None and executor is None else workers or 0
    wanted = workers_of(own, executor)
    potential = load_potential(options.potential, device=resolve("auto"))
    hull = None if options.hull is None else Hull.read(options.hull)
    benchmarks = read_benchmarks(options.against)
    low, high = options.min_atoms, options.max_atoms
    found, unread = read_candidates(sources, low, high)
    made, unmade = copies(found, options.copies, options.seed, low, high)
    settings: dict[str, Any] = {
        "sources": [s.name for s in sources],
        "sha256": PackedCrystals(from_structures([c.structure for c in found])).digest,
        "benchmarks": {file: reference.digest for file, reference in benchmarks.items()},
        "copies_asked": list(options.copies),
        "hull": None if hull is None else hull.settings,
        "potential": potential.name,
        "rules": {name: getattr(options, name) for name in _RULES},
        "version": __version__,
    }
    folder = Store(options.output / "parts", settings)
    candidates = [*found, *made]
    with opened(wanted) as crew:
        curation = Curation(options, folder, candidates, benchmarks, potential, hull, crew)
        first = curation.first()
        second = curation.second(first)
    report: dict[str, Any] = {
        **settings,
        "read": len(found) + len(unread),
        "copies": len(made),
        "unusable": count((loss.perturbation, loss.reason) for loss in [*unread, *unmade]),
        "stage1": describe(first, candidates),
        "stage2": describe(second, candidates),
    }
    for name, stage in (("stage1", first), ("stage2", second)):
        if stage.structures:
            file = options.output / f"{name}.safetensors"
            digest = save(file, stage, candidates, ", ".join(settings["sources"]))
            report[name]["sha256"] = digest
    write_text(options.output / "report.json", json.dumps(report, indent=1) + "\n")
    return CurationResult(first, second, report)


def _check(options: CurationOptions) -> None:
    """Refuses nonsense before anything is read."""
    check_copies(options.copies)
    check_options(options.fmax, options.relax_steps, "lbfgs", MAX_ATOMS)
    for name, least in {"min_atoms": 1, "max_atoms": 1, "seed": 0, "workers": 0}.items():
        positive(name.replace("_", "-"), getattr(options, name), least)
    if options.min_atoms > options.max_atoms:
        raise InputError(
            f"min-atoms ({options.min_atoms}) must not be above max-atoms ({options.max_atoms})."
        )
    if not options.max_height > STABLE or not options.timeout > 0:
        raise InputError(f"max-height must be above {STABLE} eV/atom and timeout above 0 s.")
    if options.copies and options.hull is None:
        raise InputError(
            "Nobody knows how far copies lie above the hull. Give --hull, or leave --copies out."
        )
    ensure_writable(options.output)

"""Drawn crystals as a set of structures that know their origin, with a report."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar

from pymatgen.core import Structure

from ase_crysdiff import arguments
from ase_crysdiff.conditions.population import steering_of
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, workers_of
from ase_crysdiff.sampling.batched import Attempt, SamplerSpec, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sample_set import Report, SampleSet
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from pymatgen_ext import __version__
from pymatgen_ext.cells import CellTransform
from pymatgen_ext.charge_balance import balance_notes

#: What is made of a draw.
T = TypeVar("T")
#: Crystals computed together on a CPU and on a GPU.
_BATCH_SIZES = (16, 256)


@own_state()
def collect(
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    indices: Iterable[int],
    *,
    cell: CellTransform | None = None,
    **how: Any,
) -> SampleSet:
    """Draws the crystals with the given indices of a run.

    Args:
        spec: How other processes find the sampler.
        sampler: The loaded sampler, which draws in this process.
        request: What is asked for, parsed and checked.
        indices: Which crystals of the run.
        cell: The way back to the user's cell, if one is given.
        how: Further keywords of `gathered`.

    Raises:
        InputError: If a number makes no sense, or something cannot be sent to an executor.
        SamplingError: If a worker process ends again and again at the same batch.
        WorkerError: If processes cannot be started, or an executor is broken.
    """

    def structure(drawn: Attempt, properties: dict[str, Any]) -> Structure:
        if cell is not None:
            return cell.structure(drawn.crystal, properties)
        return to_structures(drawn.crystal, [properties])[0]

    found, facts = gathered(spec, sampler, request, indices, structure, **how)
    notes = balance_notes(found) if isinstance(request.task, DeNovo) else ()
    served_by = sampler.served_by(request)
    if served_by is not None:
        wished = " and the same wishes" if steering_of(request.conditions) else ""
        same = f"which gives the same by its name{wished}."
        notes += (f"{spec.name!r} leaves this to {served_by!r}, {same}",)
    return SampleSet(found, Report(**facts, notes=notes))


def gathered(
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    indices: Iterable[int],
    make: Callable[[Attempt, dict[str, Any]], T],
    *,
    seed: int,
    redraws: int = 3,
    batch_size: int | None = None,
    workers: Workers = 0,
    executor: Executor | None = None,
    progress: bool | None = None,
    on_draws: Callable[[list[Attempt], list[T]], None] | None = None,
) -> tuple[list[T], dict[str, Any]]:
    """Draws what has the given indices of a run.

    Args:
        spec: How other processes find the sampler.
        sampler: The loaded sampler, which draws in this process.
        request: What is asked for, parsed and checked.
        indices: Numbers within the run.
        make: Makes what is handed out of an accepted draw and of the properties that say where it
            comes from.
        seed: Of the run.
        redraws: How often an unusable draw is repeated before its index is given up.
        batch_size: How many are computed together; None takes what suits the device.
        workers: Isolated processes that compute batches; 0 computes in this one.
        executor: Computes batches in their place.
        progress: Whether to show a progress bar; None shows one on a terminal.
        on_draws: Called after every batch with its draws and what was made of those that were
            accepted.

    Returns:
        What was made, by index, and the fields of a `Report` but its notes.

    Raises:
        InputError: If a number makes no sense, or something cannot be sent to an executor.
        SamplingError: If a worker process ends again and again at the same batch.
        WorkerError: If processes cannot be started, or an executor is broken.
    """
    size = _BATCH_SIZES[spec.device != "cpu"]
    wanted, started = list(indices), time.perf_counter()
    card = sampler.card_for(request)
    weights = "" if card is None else card.version
    origin = {
        "crysdiff_sampler": sampler.served_by(request) or spec.name,
        "crysdiff_version": __version__,
        "crysdiff_weights": weights,
        "crysdiff_seed": seed,
    }
    found: dict[int, T] = {}
    last: dict[int, str] = {}
    reasons: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    redrawn = 0
    batches = draw(
        spec,
        sampler,
        request,
        seed,
        wanted,
        redraws=arguments.positive("redraws", redraws, 0),
        batch_size=size if batch_size is None else arguments.positive("batch_size", batch_size),
        workers=workers_of(workers, executor),
        progress=progress,
    )
    for draws in batches:
        accepted = {d.index: make(d, _origin(d, origin)) for d in draws if d.reason is None}
        found |= accepted
        for d in draws:
            redrawn += d.attempt > 0
            usage.update(d.usage)
            if d.reason is not None:
                reasons[d.reason] += 1
                last[d.index] = d.reason
        if on_draws is not None:
            on_draws(draws, list(accepted.values()))
    facts = {
        "sampler": spec.name,
        "weights": weights,
        "seed": seed,
        "asked": len(wanted),
        "made": len(found),
        "redrawn": redrawn,
        "rejections": dict(reasons),
        "failed": {i: last[i] for i in wanted if i not in found},
        "evaluations": sampler.evaluations(request),
        "seconds": time.perf_counter() - started,
        "guidance": dict(usage),
    }
    return [found[i] for i in sorted(found)], facts


def _origin(drawn: Attempt, origin: dict[str, Any]) -> dict[str, Any]:
    """The properties of an accepted draw."""
    more = {f"crysdiff_{name}": value for name, value in drawn.properties.items()}
    return {**origin, "crysdiff_index": drawn.index, **more}

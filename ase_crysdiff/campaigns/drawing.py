"""Drawing crystals into a folder that remembers which it holds."""

import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import Workers, workers_of
from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.sampling.folder import SampleFolder
from ase_crysdiff.sampling.sample_set import SampleSet
from ase_crysdiff.storage import Store

if TYPE_CHECKING:
    from ase_crysdiff.sampling.request import SampleRequest

log = logging.getLogger(__name__)


@runtime_checkable
class Collector(Protocol):
    """What is asked of a sampler, such as `pymatgen_ext.StructureSampler`."""

    @property
    def collect(self) -> Callable[..., SampleSet]:
        """Draws the crystals with the given indices of a run: request and indices, then `cell`,
        `seed`, `redraws`, `batch_size`, `workers` and `on_draws` by keyword.
        """
        ...


def draw_into(
    output: Path,
    sampler: "Collector",
    request: "SampleRequest",
    settings: Mapping[str, Any],
    *,
    num_samples: int,
    first: int | None = None,
    seed: int | None = None,
    redraws: int = 3,
    batch_size: int | None = None,
    workers: Workers = 0,
    executor: Executor | None = None,
    cell: Any = None,
    notes: tuple[str, ...] = (),
) -> SampleSet:
    """Draws what is missing in a folder, then writes the common files there.

    The folder receives a CIF file for every crystal as soon as it is drawn, and at the end
    `crystals.extxyz` and `run.json` with settings and report. Called again after an interruption,
    or for more crystals, it goes on where it was.

    Args:
        output: The folder; made if need be.
        sampler: Draws.
        request: What is asked for.
        settings: What the crystals depend on beside the seed; a folder of other settings is
            refused.
        num_samples: How many crystals the folder shall hold.
        first: Index of the first of them in the run, where several folders share one, to be merged
            by `ase_crysdiff.campaigns.merging.merge`. None for 0, and a run of its own.
        seed: Of the run; None takes that of the folder, and a new one for a new folder.
        redraws: Further attempts after an unusable draw.
        batch_size: Crystals computed together; None lets the sampler decide.
        workers: Isolated processes that compute batches; 0 computes in this one.
        executor: Any executor of `concurrent.futures`, whose workers compute batches instead.
        cell: The way back to the user's cell, if one is given.
        notes: For the report.

    Returns:
        These crystals, and the report of what was drawn now.

    Raises:
        InputError: If the folder cannot be written, or holds a run with other settings; or if
            it is to be one of several and no seed is given.
        SamplingError: If worker processes die again and again.
        WorkerError: If processes cannot be started, or the executor is broken; what is done is
            kept.
    """
    crew = workers_of(workers, executor)
    if first is not None and seed is None and not Store.record(output):
        raise InputError(
            f"A folder that begins at crystal {first} is one of several of the same run, which "
            "share a seed. Give the same one to all of them."
        )
    folder = SampleFolder.open(
        output, {**settings, "redraws": redraws}, seed, lambda: secrets.randbelow(MAX_SEED)
    )
    wanted = range(first or 0, (first or 0) + num_samples)
    folder.ask(wanted)
    missing = [i for i in wanted if i not in folder.done]
    if len(missing) < num_samples:
        log.info("%d crystals are already in %s", num_samples - len(missing), output)
    samples = sampler.collect(
        request,
        missing,
        cell=cell,
        seed=folder.seed,
        redraws=redraws,
        batch_size=batch_size,
        workers=crew,
        on_draws=folder.on_draws,
    )
    report = replace(samples.report, notes=(*samples.report.notes, *notes))
    return folder.finish(wanted, report)

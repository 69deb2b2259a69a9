"""Samples for every target, each drawn once, from a journal and from the sampler."""

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.batched import SamplerSpec, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.storage import Journal

log = logging.getLogger(__name__)


def request_for(
    sampler: Sampler, targets: Targets, steps: int | None, conditions: tuple[Condition, ...] = ()
) -> tuple[SampleRequest, list[int], dict[str, list[str]]]:
    """The request for all targets that the sampler serves, their positions, and the names of the
    others by reason.

    A target with an unknown element or too many atoms counts as not matched; a sampler that takes
    no composition is refused.

    Args:
        sampler: Whose capabilities decide.
        targets: Crystals whose compositions are asked for.
        steps: Of the reverse process; None takes the sampler's default.
        conditions: Further conditions on the sampling loop.

    Raises:
        IncompatibleError: If the sampler takes no composition.
    """
    compositions = targets.compositions
    served: list[int] = []
    refused: dict[str, list[str]] = {}
    for i, composition in enumerate(compositions):
        try:
            alone = CSP(cells=(composition,))
            sampler.check(SampleRequest(alone, conditions=conditions, steps=steps))
        except IncompatibleError:
            raise
        except InputError as error:
            refused.setdefault(str(error), []).append(targets.names[i])
        else:
            served.append(i)
    contents = tuple(compositions[i] for i in served)
    request = SampleRequest(CSP(cells=contents), conditions=conditions, steps=steps)
    return request, served, refused


def draw_missing(
    journal: Journal,
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    *,
    seed: int,
    count: int,
    batch_size: int,
    workers: int,
) -> dict[int, dict[str, Any]]:
    """The journal's entry of every sample, by index, from the journal or drawn now.

    Args:
        journal: Of the draws; what is drawn is added to it.
        spec: How worker processes find the sampler.
        sampler: The sampler that the spec names, loaded.
        request: What is asked. With contents of cells, sample s of contents i has the index s times
            their number plus i.
        seed: Of all draws.
        count: Indices 0 … count - 1 are wanted.
        batch_size: Crystals computed together.
        workers: Isolated processes on a CPU; up to 1 draws in this one.
    """
    done = {entry["index"]: entry for entry in journal.read()}
    wanted = range(count)
    cells = request.task.cells if isinstance(request.task, CSP) else None
    sizes = [sum(count for _, count in c) for c in cells or ()] or [0]
    # Cells of equal size in one batch need no more than one group of products.
    missing = sorted((i for i in wanted if i not in done), key=lambda i: sizes[i % len(sizes)])
    if missing and len(missing) < len(wanted):
        log.info(
            "%d of %d samples are already in %s",
            len(wanted) - len(missing),
            len(wanted),
            journal.path.parent,
        )
    # One process more would bring nothing, and several would only share the one GPU.
    workers = workers if workers > 1 and spec.device == "cpu" else 0
    started = time.perf_counter()
    for batch in draw(
        spec,
        sampler,
        request,
        seed,
        missing,
        redraws=0,
        batch_size=batch_size,
        workers=workers,
        progress=None,
    ):
        ended = time.perf_counter()
        entries: list[dict[str, Any]] = [
            {
                "index": d.index,
                "reason": d.reason,
                "lattice": d.crystal.lattice[0].tolist(),
                "frac_coords": d.crystal.frac_coords.tolist(),
                "species": d.crystal.species.tolist(),
                "seconds": (ended - started) / len(batch),
            }
            for d in batch
        ]
        journal.add(entries)
        done |= {entry["index"]: entry for entry in entries}
        started = ended
    return {i: done[i] for i in wanted}


def to_predictions(
    drawn: dict[int, dict[str, Any]], targets: Targets, served: Sequence[int], samples: int
) -> list[list[Structure | None]]:
    """The samples of every target, as drawn: soundness is for the gate of the metric to judge.

    Args:
        drawn: Entries of the journal in the order of their indices.
        targets: All targets.
        served: Positions of the targets that were asked for.
        samples: For each target.

    Returns:
        For each target its samples; None for a target that was not asked for.
    """
    rows: list[list[Structure | None]] = [[None] * samples for _ in targets.names]
    for (sample, (place, target)), entry in zip(
        itertools.product(range(samples), enumerate(served)), drawn.values(), strict=True
    ):
        assert entry["index"] == sample * len(served) + place
        rows[target][sample] = structure_of(entry)
    return rows


def structure_of(entry: Mapping[str, Any]) -> Structure:
    """A draw of the journal as a structure, right-handed as samplers hand them out.

    Args:
        entry: Has `lattice` (rows, Å), `frac_coords` and `species` (atomic numbers).
    """
    lattice = np.array(entry["lattice"])
    with np.errstate(invalid="ignore"):  # what is not finite is for the gate to name
        lattice = -lattice if np.linalg.det(lattice) < 0 else lattice
    frac = np.array(entry["frac_coords"]).reshape(-1, 3)
    return Structure(Lattice(lattice), entry["species"], frac % 1)

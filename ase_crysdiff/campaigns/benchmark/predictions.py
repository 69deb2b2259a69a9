"""Samples for every target, each drawn once, from a journal and from the sampler."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.campaigns.state import Journal
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.batched import SamplerSpec, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.csp import CSP


def request_for(
    sampler: Sampler, targets: Targets, steps: int | None, conditions: tuple[Condition, ...] = ()
) -> tuple[SampleRequest, list[int], dict[str, list[str]]]:
    """The request for all targets that the sampler serves, their positions, and the names of the
    others by reason.

    A target with an unknown element or too many atoms counts as not matched; a sampler that takes
    no composition is refused.
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
    return SampleRequest(CSP(cells=contents), conditions=conditions, steps=steps), served, refused


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
    """The journal's entry of every sample, by index: sample s of the i-th served target has index s
    times targets plus i.
    """
    done = {entry["index"]: entry for entry in journal.read()}
    wanted = range(count)
    assert isinstance(request.task, CSP)
    sizes = [sum(count for _, count in c) for c in request.task.cells or ()]
    # Cells of equal size in one batch need no more than one group of products.
    missing = sorted((i for i in wanted if i not in done), key=lambda i: sizes[i % len(sizes)])
    if missing and len(missing) < len(wanted):
        print(
            f"{len(wanted) - len(missing)} of {len(wanted)} samples are already in "
            f"{journal.path.parent}"
        )
    workers = workers if spec.device == "cpu" else 1  # processes would only share the one GPU
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
    """The samples of every target, as drawn: soundness is for the gate of the metric to judge."""
    rows: list[list[Structure | None]] = [[None] * samples for _ in targets.names]
    for (sample, (place, target)), entry in zip(
        itertools.product(range(samples), enumerate(served)), drawn.values(), strict=True
    ):
        assert entry["index"] == sample * len(served) + place
        lattice = np.array(entry["lattice"])
        with np.errstate(invalid="ignore"):  # what is not finite is for the gate to name
            lattice = (
                -lattice if np.linalg.det(lattice) < 0 else lattice
            )  # right-handed, as samplers hand them out
        frac = np.array(entry["frac_coords"]).reshape(-1, 3)
        rows[target][sample] = Structure(Lattice(lattice), entry["species"], frac % 1)
    return rows

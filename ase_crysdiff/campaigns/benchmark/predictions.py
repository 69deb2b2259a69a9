"""Samples for every target, each drawn once, from a journal and from the sampler."""

import itertools
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.given import Told, told_of
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import IncompatibleError, InputError, SamplingError
from ase_crysdiff.sampling.batched import SamplerSpec, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.storage import Journal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """One request for several targets.

    Args:
        request: With the contents of one cell for each of them.
        served: Their positions.
        label: Tells its journal from those of other requests.
    """

    request: SampleRequest
    served: tuple[int, ...]
    label: str = ""

    def indices(self, counts: Sequence[int]) -> list[int]:
        """Numbers of the draws: sample s of the target in place i has the number s times that of
        the targets plus i.

        Args:
            counts: Samples of each of all targets.
        """
        places = len(self.served)
        wanted = [s * places + i for i, t in enumerate(self.served) for s in range(counts[t])]
        return sorted(wanted)


def requests_for(
    sampler: Sampler,
    targets: Targets,
    steps: int | None,
    conditions: tuple[Condition, ...] = (),
    told: Sequence[Told | None] | None = None,
    wishes: Mapping[str, Any] | None = None,
) -> tuple[list[Asked], dict[str, list[str]]]:
    """Requests for all targets that the sampler serves, and the names of the others by reason.

    A target with an unknown element or too many atoms counts as not matched; a sampler that takes
    no composition, or no symmetry where that is given, is refused. Space groups have a request
    each.

    Args:
        sampler: Whose capabilities decide.
        targets: Crystals that are asked for.
        steps: Of the reverse process; None takes the sampler's default.
        conditions: Further conditions on the sampling loop.
        told: What the sampler is told of each target; None tells the composition.
        wishes: Further fields of all requests, such as whether crystals of the sampler's own
            library may be answers.

    Raises:
        IncompatibleError: If the sampler takes no composition, has no library where `known` says
            something of it, or takes no symmetry where that is given.
    """
    told = told_of("composition", targets) if told is None else told
    common: dict[str, Any] = {"conditions": conditions, "steps": steps, **(wishes or {})}
    served: dict[int | None, dict[int, Told]] = {}
    refused: dict[str, list[str]] = {}
    for i, one in enumerate(told):
        if one is None:
            refused.setdefault("its symmetry is unknown", []).append(targets.names[i])
            continue
        try:
            alone = CSP(cells=(one.cell,))
            sampler.check(SampleRequest(alone, **{**common, **one.wishes}))
        except IncompatibleError:
            raise
        except InputError as error:
            refused.setdefault(str(error), []).append(targets.names[i])
        else:
            served.setdefault(one.group, {})[i] = one
    asked = []
    for group, members in (served or {None: {}}).items():
        own: dict[str, Any] = {} if group is None else {"space_group": group}
        scaffolds = tuple(one.scaffold for one in members.values() if one.scaffold is not None)
        own |= {"prototype": scaffolds} if scaffolds else {}
        cells = CSP(cells=tuple(one.cell for one in members.values()))
        request = SampleRequest(cells, **{**common, **own})
        asked.append(Asked(request, tuple(members), "" if group is None else f"-{group}"))
    return asked, refused


def draw_missing(
    journal: Journal,
    spec: SamplerSpec,
    sampler: Sampler,
    request: SampleRequest,
    *,
    seed: int,
    wanted: Sequence[int],
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
        wanted: Indices of the samples.
        batch_size: Crystals computed together.
        workers: Isolated processes on a CPU; up to 1 draws in this one.
    """
    done = {entry["index"]: entry for entry in journal.read()}
    cells = request.task.cells if isinstance(request.task, CSP) else None
    sizes = [sum(count for _, count in c) for c in cells or ()] or [0]
    # Cells of equal size in one batch need no more than one group of products; and candidates of
    # one cell, side by side, are ranked once.
    missing = sorted(
        (i for i in wanted if i not in done),
        key=lambda i: (sizes[i % len(sizes)], i % len(sizes), i),
    )
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
                "rank": d.properties.get("rank"),
                "log_votes": d.properties.get("log_votes"),
                "seconds": (ended - started) / len(batch),
            }
            for d in batch
        ]
        journal.add(entries)
        done |= {entry["index"]: entry for entry in entries}
        started = ended
    return {i: done[i] for i in wanted}


def entries_of_targets(
    drawn: Mapping[int, Mapping[str, Any]], asked: Asked
) -> dict[int, list[Mapping[str, Any]]]:
    """The entries of the journal by position of the target, in the order of its samples.

    Args:
        drawn: Entries by index, ascending.
        asked: What was asked for.
    """
    rows: dict[int, list[Mapping[str, Any]]] = {target: [] for target in asked.served}
    for index, entry in sorted(drawn.items()):
        rows[asked.served[index % len(asked.served)]].append(entry)
    return rows


def is_ranked(rows: Iterable[Sequence[Mapping[str, Any]]]) -> bool:
    """Whether the samples of every target are candidates by rank, from the first to the last.

    Args:
        rows: Entries of the journal for each target. Those without a rank come after the last
            candidate.

    Raises:
        SamplingError: If the ranks of a target's samples do not ascend.
    """
    ranked = False
    for row in rows:
        ranks = [entry.get("rank") for entry in row]
        found = [math.inf if rank is None else rank for rank in ranks]
        if not all(a < b or a == b == math.inf for a, b in itertools.pairwise(found)):
            raise SamplingError(
                f"The candidates of one cell came with the ranks {ranks}. A sampler that ranks "
                "gives crystal i of a request with n cells the rank i // n."
            )
        ranked |= any(rank is not None for rank in ranks)
    return ranked


def structure_of(entry: Mapping[str, Any]) -> Structure:
    """A draw of the journal as a structure, right-handed as samplers hand them out.

    Args:
        entry: Has `lattice` (rows, Å), `frac_coords` and `species` (atomic numbers); `rank`,
            `log_votes` and `energy_per_atom`, where it has them, are among the properties.
    """
    lattice = np.array(entry["lattice"])
    with np.errstate(invalid="ignore"):  # what is not finite is for the gate to name
        lattice = -lattice if np.linalg.det(lattice) < 0 else lattice
    frac = np.array(entry["frac_coords"]).reshape(-1, 3)
    said = {name: entry.get(name) for name in ("rank", "log_votes", "energy_per_atom")}
    properties = {f"crysdiff_{name}": value for name, value in said.items() if value is not None}
    return Structure(Lattice(lattice), entry["species"], frac % 1, properties=properties)

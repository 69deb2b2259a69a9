"""Hosts with known contents: crystals with one element taken out, and what is drawn in its
place.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element, Structure

from ase_crysdiff.campaigns.benchmark.predictions import structure_of
from ase_crysdiff.campaigns.benchmark.run import DRAWS, Run
from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.matching import match, reduced, rms_distance
from ase_crysdiff.progress import tqdm
from ase_crysdiff.sampling.batched import Attempt, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.storage import Journal

if TYPE_CHECKING:
    from ase_crysdiff.campaigns.benchmark.base import Prepared

_KEYS = (
    "target",
    "sample",
    "weights",
    "seconds",
    "reason",
    "displacement",
    "lattice",
    "frac_coords",
    "species",
)


@dataclass(frozen=True)
class InpaintTarget:
    """A crystal without one of its elements.

    Args:
        host: What is left.
        guest: The element that is missing.
        count: How many of its atoms.
    """

    host: Structure
    guest: str
    count: int


@dataclass
class HostSamples:
    """What was drawn.

    Args:
        structures: For each target its samples, None where the request was refused.
        entries: The journal's entries.
        refused: Names of targets by reason.
        evaluations: Network evaluations per sample, where the sampler says.
    """

    structures: list[list[Structure | None]]
    entries: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    evaluations: set[int] = field(default_factory=set)


def inpaint_target(
    structure: Structure, removable: frozenset[str] = frozenset()
) -> InpaintTarget | None:
    """The structure without its rarest element, of equally rare ones the most electropositive; None
    if that leaves nothing.

    Args:
        structure: The whole crystal.
        removable: Only one of these elements may be taken out; empty means any.
    """
    counts = {e.symbol: round(n) for e, n in structure.composition.element_composition.items()}
    choices = [s for s in counts if not removable or s in removable]
    if len(counts) < 2 or not choices:
        return None
    guest = min(choices, key=lambda s: (counts[s], Element(s).X))
    host = Structure.from_sites([site for site in structure if site.specie.symbol != guest])
    return InpaintTarget(host, guest, counts[guest])


def select(
    targets: Targets, removable: frozenset[str], limit: int | None
) -> tuple[Targets, list[InpaintTarget]]:
    """The first `limit` targets that can be taken apart, and what they become.

    Args:
        targets: Crystals.
        removable: Symbols of elements that may be taken out.
        limit: At most so many; None takes all.

    Raises:
        InputError: If there is none.
    """
    found = [
        (n, s, p)
        for n, s in zip(targets.names, targets.structures, strict=True)
        if (p := inpaint_target(s, removable)) is not None
    ]
    if not found:
        raise InputError(
            "No target has two elements, one of which may be removed. Give other targets or "
            "another --remove."
        )
    names, structures, hosts = zip(*found[:limit], strict=True)
    return Targets(names, structures), list(hosts)


def removable_elements(text: str | None) -> frozenset[str]:
    """Symbols of `"Li-Na"`; none for None.

    Raises:
        InputError: If one is no element.
    """
    symbols = [part.strip() for part in (text or "").split("-") if part.strip()]
    for symbol in symbols:
        if not Element.is_valid_symbol(symbol):
            raise InputError(
                f"{symbol!r} is no chemical element. Write symbols such as 'Li' or 'O'."
            )
    return frozenset(symbols)


def fill(
    bench: Run,
    hosts: Sequence[InpaintTarget],
    names: Sequence[str],
    samples: int,
    make: "Callable[[InpaintTarget], Prepared]",
) -> HostSamples:
    """First draws for every host, nothing redrawn or dropped: sample s of host i has index s times
    hosts plus i.

    Args:
        bench: Gives the sampler, the seed and the journal.
        hosts: The hosts.
        names: Of the targets.
        samples: For each host.
        make: Turns a host into a request; raises InputError where the sampler cannot serve it.
    """
    journal = bench.folder.journal(DRAWS, *_KEYS)
    old = {(e["target"], e["sample"], e["weights"]): e for e in journal.read()}
    found = HostSamples([[None] * samples for _ in hosts])
    for i, host in enumerate(tqdm(hosts, desc="hosts", unit=" hosts", disable=None)):
        try:
            request = make(host).request
        except InputError as error:
            found.refused.setdefault(str(error), []).append(names[i])
            continue
        count = bench.sampler.evaluations(request)
        if count is not None:
            found.evaluations.add(count)
        weights = _version(bench.sampler, request)
        known = {s: old[i, s, weights] for s in range(samples) if (i, s, weights) in old}
        missing = [s for s in range(samples) if s not in known]
        known |= _drawn(bench, i, len(hosts), missing, request, weights, journal)
        for s in range(samples):
            found.structures[i][s] = structure_of(known[s])
            found.entries.append(known[s])
    return found


def _version(sampler: Sampler, request: SampleRequest) -> str:
    """First digits of the digest of the weights that serve a request; empty without a card."""
    card = sampler.card_for(request)
    return "" if card is None else str(card.version)


def _drawn(
    bench: Run,
    target: int,
    targets: int,
    missing: list[int],
    request: SampleRequest,
    weights: str,
    journal: Journal,
) -> dict[int, dict[str, Any]]:
    """The samples of a host that are missing, by number."""
    found: dict[int, dict[str, Any]] = {}
    if not missing:
        return found
    started = time.perf_counter()
    indices = [s * targets + target for s in missing]
    batches = draw(
        bench.spec,
        bench.sampler,
        request,
        bench.options.seed,
        indices,
        redraws=0,
        batch_size=bench.batch_size,
        workers=0,
        progress=False,
    )
    for batch in batches:
        seconds = (time.perf_counter() - started) / len(batch)
        for d in batch:
            sample = d.index // targets
            found[sample] = {
                "target": target,
                "sample": sample,
                "weights": weights,
                "seconds": seconds,
                **_numbers(d, request),
            }
        journal.add([found[d.index // targets] for d in batch])
        started = time.perf_counter()
    return found


def _numbers(d: Attempt, request: SampleRequest) -> dict[str, Any]:
    """A draw as JSON, with the largest distance of a host atom from where it should be, Å, as the
    sampler left it.
    """
    assert isinstance(request.task, Inpaint)
    host = request.task.host
    away = d.crystal.frac_coords[: len(host.species)].double().numpy() - np.array(host.frac_coords)
    away -= np.round(away)
    lattice = d.crystal.lattice[0].double().numpy()
    return {
        "reason": d.reason,
        "displacement": float(np.linalg.norm(away @ lattice, axis=1).max()),
        "lattice": lattice.tolist(),
        "frac_coords": d.crystal.frac_coords.tolist(),
        "species": d.crystal.species.tolist(),
    }


def same(pair: tuple[Structure, Structure]) -> tuple[float | None, str | None]:
    """Least RMS displacement of two structures that the matcher's defaults call the same, and why
    they were not compared.

    In units of (volume per atom)^(1/3); None without a match.
    """
    prediction, target = pair
    reason = gate(prediction)
    if reason is not None:
        return None, reason
    a, b = reduced(prediction), reduced(target)
    return (rms_distance(a, b) if match(a, b) else None), None

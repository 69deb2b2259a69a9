"""Hosts with known contents: crystals with one element taken out, and what is drawn in its
place.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pymatgen.core import Element, Lattice, Structure
from tqdm import tqdm

from ase_crysdiff.campaigns.benchmark.targets import Targets
from ase_crysdiff.campaigns.state import Journal
from ase_crysdiff.crystal.soundness import gate
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.matching import match, reduced, rms_distance
from ase_crysdiff.sampling.batched import Draw, SamplerSpec, draw
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from pymatgen_ext.inpainting import Filling


@dataclass(frozen=True)
class Puzzle:
    """A crystal without one of its elements.

    Args:
        host: What is left.
        guest: The element that is missing.
        count: How many of its atoms.
    """

    host: Structure
    guest: str
    count: int


@dataclass(frozen=True)
class Setting:
    """What the draws for every host have in common.

    Args:
        spec: How the sampler is found.
        sampler: The same, loaded.
        seed: Of all draws.
        samples: Per host.
        batch_size: Crystals computed together.
    """

    spec: SamplerSpec
    sampler: Sampler
    seed: int
    samples: int
    batch_size: int

    def version(self, request: SampleRequest) -> str:
        """First digits of the digest of the weights that serve a request; empty if the sampler has
        no card.
        """
        card_for: Callable[[SampleRequest], Any] = getattr(
            self.sampler, "card_for", lambda _: getattr(self.sampler, "card", None)
        )
        card = card_for(request)
        return "" if card is None else str(card.version)


@dataclass
class Answers:
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
    evaluations: set[int | None] = field(default_factory=set)


def puzzle(structure: Structure, removable: frozenset[str] = frozenset()) -> Puzzle | None:
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
    return Puzzle(host, guest, counts[guest])


def select(
    targets: Targets, removable: frozenset[str], limit: int | None
) -> tuple[Targets, list[Puzzle]]:
    """The first `limit` targets that can be taken apart, and what they become.

    Raises:
        InputError: If there is none.
    """
    found = [
        (n, s, p)
        for n, s in zip(targets.names, targets.structures, strict=True)
        if (p := puzzle(s, removable)) is not None
    ]
    if not found:
        raise InputError(
            "No target has two elements, one of which may be removed. Give other targets or "
            "another --remove."
        )
    names, structures, puzzles = zip(*found[:limit], strict=True)
    return Targets(names, structures), list(puzzles)


def fill(
    puzzles: Sequence[Puzzle],
    names: Sequence[str],
    make: Callable[[Puzzle], Filling],
    setting: Setting,
    journal: Journal,
) -> Answers:
    """First draws for every host, nothing redrawn or dropped: sample s of host i has index s times
    hosts plus i.

    Args:
        puzzles: The hosts.
        names: Of the targets.
        make: Puts the question; raises InputError where it cannot be put.
        setting: What all draws have in common.
        journal: Of the draws.
    """
    old = {(e["target"], e["sample"], e["weights"]): e for e in journal.read()}
    answers = Answers([[None] * setting.samples for _ in puzzles])
    for i, question in enumerate(tqdm(puzzles, desc="hosts", unit=" hosts", disable=None)):
        try:
            task = make(question)
        except InputError as error:
            answers.refused.setdefault(str(error), []).append(names[i])
            continue
        answers.evaluations.add(setting.sampler.evaluations(task.request))
        weights = setting.version(task.request)
        known = {s: old[i, s, weights] for s in range(setting.samples) if (i, s, weights) in old}
        known |= _drawn(
            i,
            len(puzzles),
            [s for s in range(setting.samples) if s not in known],
            task,
            setting,
            weights,
            journal,
        )
        for s in range(setting.samples):
            answers.structures[i][s] = _structure(known[s])
            answers.entries.append(known[s])
    return answers


def _drawn(
    target: int,
    targets: int,
    missing: list[int],
    task: Filling,
    setting: Setting,
    weights: str,
    journal: Journal,
) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    if not missing:
        return found
    started = time.perf_counter()
    indices = [s * targets + target for s in missing]
    batches = draw(
        setting.spec,
        setting.sampler,
        task.request,
        setting.seed,
        indices,
        redraws=0,
        batch_size=setting.batch_size,
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
                **_numbers(d, task),
            }
        journal.add([found[d.index // targets] for d in batch])
        started = time.perf_counter()
    return found


def _numbers(d: Draw, task: Filling) -> dict[str, Any]:
    """A draw as JSON, with the largest distance of a host atom from where it should be, Å, as the
    sampler left it.
    """
    assert isinstance(task.request.task, Inpaint)
    host = task.request.task.host
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


def _structure(entry: dict[str, Any]) -> Structure:
    lattice = np.array(entry["lattice"])
    with np.errstate(invalid="ignore"):  # what is not finite is for the gate to name
        lattice = -lattice if np.linalg.det(lattice) < 0 else lattice
    return Structure(
        Lattice(lattice), entry["species"], np.array(entry["frac_coords"]).reshape(-1, 3) % 1
    )


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

"""The files of both stages and what became of everything else."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ase_crysdiff.campaigns.curation.candidates import Candidate
from ase_crysdiff.campaigns.curation.options import RELAXED_BELOW, STABLE
from ase_crysdiff.campaigns.curation.stages import Stage
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.perturbations import Perturbation

_EDGES = (STABLE, 0.2, RELAXED_BELOW)


def save(path: Path, stage: Stage, candidates: Sequence[Candidate], sources: str) -> str:
    """Writes the members of a stage as packed crystals with their energies above the hull and the
    numbers of their perturbations.

    Args:
        path: File to write.
        stage: Members, with their heights.
        candidates: All crystals, by the positions that the stage names.
        sources: What the file says of where they come from.

    Returns:
        The digest of the packed crystals.
    """
    values = {
        "e_above_hull": torch.tensor(list(stage.heights.values())),
        "way": torch.tensor(
            [float(Perturbation.parse(candidates[i].perturbation)) for i in stage.structures]
        ),
    }
    metadata = {"sources": sources, "crystals": str(len(stage.structures))}
    packed = PackedCrystals(from_structures(list(stage.structures.values())), values, metadata)
    packed.save(path)
    return packed.digest


def describe(stage: Stage, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Counts by perturbation and by height, and of what was lost, by perturbation and reason."""
    heights = np.array(list(stage.heights.values()))
    bins = np.searchsorted(_EDGES, heights[np.isfinite(heights)])
    names = [f"up to {edge:g}" for edge in _EDGES] + [f"above {_EDGES[-1]:g}"]
    return {
        "crystals": len(stage.structures),
        "by_way": dict(Counter(candidates[i].perturbation for i in stage.structures)),
        "by_height": {name: int((bins == k).sum()) for k, name in enumerate(names)},
        "relaxed": int(np.isnan(heights).sum()),
        "losses": count((candidates[i].perturbation, reason) for i, reason in stage.losses.items()),
    }


def count(losses: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """How many of each perturbation were lost for each reason, where numbers and elements make no
    difference.
    """
    found: dict[str, Counter[str]] = {}
    for perturbation, reason in losses:
        found.setdefault(perturbation, Counter())[_kind(reason)] += 1
    return {word: dict(reasons.most_common()) for word, reasons in found.items()}


def _kind(reason: str) -> str:
    """A reason without the particulars of one crystal."""
    reason = re.sub(r"^[A-Z][a-z]? and [A-Z][a-z]? are", "two atoms are", reason)
    if reason.startswith(("in ", "unreadable", "fewer", "more")):
        return reason.split(": ")[0]
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "…", reason)


def summary(report: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = [f"{report['read']} crystals read, {report['copies']} copies made"]
    lines += _lines("not used", report["unusable"])
    for name, title in (("stage1", "Stage I"), ("stage2", "Stage II")):
        stage = report[name]
        heights = ", ".join(f"{n} {where}" for where, n in stage["by_height"].items())
        lines.append(
            f"{title}: {stage['crystals']} crystals; eV/atom above the hull: {heights}; "
            f"{stage['relaxed']} relaxed"
        )
        lines += _lines("not in it", stage["losses"])
    return "\n".join(lines)


def _lines(title: str, losses: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"  {title}: {n} {perturbation}: {reason}"
        for perturbation, reasons in losses.items()
        for reason, n in reasons.items()
    ]

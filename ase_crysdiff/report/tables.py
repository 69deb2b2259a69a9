"""The rows of the report's tables: scores, shares by kind of crystal, what was lost and why."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ase_crysdiff.metrics.base import wilson
from ase_crysdiff.report.labels import LABELS

#: Verdicts that have a column in the table of kinds of crystals.
VERDICTS = ("metastable", "stable", "msun", "sun")
#: These are about relaxed structures whatever they are called; the others end in `_relaxed` if they
#: are.
_AFTER = frozenset(
    {
        "energy_above_hull",
        "energy_uncertainty",
        "stability",
        "metastability",
        "sun",
        "msun",
        "rmsd_to_relaxed",
    }
)
_REASONS_SHOWN = 12
_LONGEST_REASON, _LONGEST_SETTINGS = 90, 400


def scores(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All metrics, as given and relaxed.

    Args:
        metrics: Value and interval by name.

    Returns:
        `columns`, their titles, and `rows`, each with `label`, `unit` and one of `cells` per
        column, None where it has no value.
    """
    relaxed = {
        name if name in _AFTER else name.removesuffix("_relaxed"): result
        for name, result in metrics.items()
        if name in _AFTER or name.endswith("_relaxed")
    }
    given = {
        name: r
        for name, r in metrics.items()
        if name not in _AFTER and not name.endswith("_relaxed")
    }
    columns = {"as given": given} | ({"relaxed": relaxed} if relaxed else {})
    known = [name for name in LABELS if name in given or name in relaxed]
    rows = []
    for name in [*known, *sorted({*given, *relaxed} - set(known))]:
        label, unit = LABELS.get(name, (name.replace("_", " "), ""))
        cells = [column.get(name) for column in columns.values()]
        rows.append({"label": label, "unit": unit, "cells": cells})
    return {"columns": list(columns), "rows": rows}


def share(hits: int | None, total: int) -> dict[str, Any] | None:
    """A share with its interval; None where nobody asked.

    Args:
        hits: How many.
        total: Of how many.
    """
    return None if hits is None else {"value": hits / total, "interval": list(wilson(hits, total))}


def reasons(lost: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """The most frequent reasons why crystals were lost: stage, reason and count.

    Args:
        lost: Each with `stage` and `reason`; reasons that differ in numbers only are one.
    """
    kinds = Counter(
        (
            entry["stage"],
            re.sub(r"[\d.,e+-]*\d[\d.,e+-]*", "…", entry["reason"])[:_LONGEST_REASON],
        )
        for entry in lost
    )
    return [(stage, reason, count) for (stage, reason), count in kinds.most_common(_REASONS_SHOWN)]


def plain(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, Mapping):
        text = "; ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items())
        return text[:_LONGEST_SETTINGS]
    return value if isinstance(value, str) else json.dumps(value)

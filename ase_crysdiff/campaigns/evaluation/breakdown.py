"""Which of the crystals are good: verdicts by completeness of the hull, by size and by symmetry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ase_crysdiff.metrics.space_groups import CRYSTAL_SYSTEMS, crystal_system, group_symbol

#: Ranges of atom counts end here.
_SIZES = (4, 8, 12, 16, 20)
#: Space groups with a row or a bar of their own.
GROUPS_SHOWN = 12
_NO_GROUP = "no space group found"


@dataclass(frozen=True)
class Judged:
    """A crystal with an energy.

    Args:
        is_listed: Whether the hull's table has its formula, so that the height above the hull is
            exact.
        has_rivals: Whether compounds, and not only elements, make up the hull at its composition.
        num_atoms: In the cell.
        group: Number of the space group; None if none was found.
        verdicts: `stable`, `metastable`, `sun`, `msun`; None where it was not asked.
    """

    is_listed: bool
    has_rivals: bool
    num_atoms: int
    group: int | None
    verdicts: Mapping[str, bool | None]


def breakdown(crystals: Sequence[Judged]) -> dict[str, list[dict[str, Any]]]:
    """How many of each kind are metastable, stable, M.S.U.N. and S.U.N.

    Returns:
        Rows of counts by title, each with `group`, `crystals` and the verdicts, None where nobody
        asked. Empty without crystals.
    """
    if not crystals:
        return {}
    return {
        "Formula in the table of the hull": _rows(crystals, _hull, _HULL),
        "Atoms in the cell": _rows(
            crystals, lambda c: _size(c.num_atoms), [*map(_size, _SIZES), _size(_SIZES[-1] + 1)]
        ),
        "Crystal system": _rows(
            crystals,
            lambda c: crystal_system(c.group) if c.group else _NO_GROUP,
            [*CRYSTAL_SYSTEMS, _NO_GROUP],
        ),
        "Space group": _rows(crystals, lambda c: group_symbol(c.group) or _NO_GROUP)[:GROUPS_SHOWN],
    }


_HULL = (
    "listed: the height is exact",
    "not listed: the height may be too low",
    "not listed, against elements only: far too low",
)


def _hull(crystal: Judged) -> str:
    return _HULL[0] if crystal.is_listed else _HULL[1] if crystal.has_rivals else _HULL[2]


def _size(num_atoms: int) -> str:
    lower = 1
    for upper in _SIZES:
        if num_atoms <= upper:
            return f"{lower}–{upper}"
        lower = upper + 1
    return f"more than {_SIZES[-1]}"


def _rows(
    crystals: Sequence[Judged], kind: Callable[[Judged], str], order: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """A row for each kind that occurs, in the given order or the most frequent first."""
    members: dict[str, list[Judged]] = {name: [] for name in order or ()}
    for crystal in crystals:
        members.setdefault(kind(crystal), []).append(crystal)
    if order is None:
        members = dict(sorted(members.items(), key=lambda item: (-len(item[1]), item[0])))
    return [
        {
            "group": name,
            "crystals": len(some),
            **{v: _count(some, v) for v in ("metastable", "stable", "msun", "sun")},
        }
        for name, some in members.items()
        if some
    ]


def _count(crystals: Sequence[Judged], verdict: str) -> int | None:
    found = [c.verdicts[verdict] for c in crystals]
    return None if all(v is None for v in found) else sum(v is True for v in found)

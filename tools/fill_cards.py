"""Fills the cards of the weights that ship with figures of the committed result files.

python tools/fill_cards.py            writes the cards
python tools/fill_cards.py --check    writes nothing; says which cards differ, and ends with 1

`benchmarks/cards.toml` says which figures stand where. In each section that it names, the command,
the day, the evaluations of a draw and the figures are made anew; what else a card says stays as it
is. The result files are those of `crysdiff benchmark all --out benchmarks/results`; one of other
weights, data or version is refused, as for the pages (`tools/fill_pages.py`, which is run next).
"""

import copy
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from fill_pages import ROOT, result

from ase_crysdiff.campaigns.benchmark.suite.result_file import ResultFile
from ase_crysdiff.campaigns.benchmark.suite.rows import Row
from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.models.weights import CARD, find, write_card

DECLARED = ROOT / "benchmarks/cards.toml"
#: Decimals of a figure, and digits of one that is smaller than these show.
_DECIMALS, _DIGITS = 4, 2


def declared() -> dict[str, Any]:
    """What `benchmarks/cards.toml` says."""
    return tomllib.loads(DECLARED.read_text(encoding="utf-8"))


def places(figures: Mapping[str, str], found: ResultFile) -> Iterator[tuple[list[str], Row]]:
    """Ways to the figures in a section of a card, with the figures.

    Args:
        figures: Place = row; a * stands for one name.
        found: The result file.

    Raises:
        InputError: If it lacks a row that is asked for by its name.
    """
    for place, asked in figures.items():
        pattern = "([^/]+)".join(re.escape(part) for part in asked.split("*"))
        matches = [(re.fullmatch(pattern, name), row) for name, row in found.rows.items()]
        chosen = [(match, row) for match, row in matches if match is not None]
        if not chosen and "*" not in asked:
            raise InputError(f"{found.benchmark} has no figure {asked!r}.")
        for match, row in chosen:
            names = iter(match.groups())
            yield [re.sub(r"\*", lambda _, n=names: next(n), p) for p in place.split("/")], row


def shown(row: Row) -> dict[str, Any]:
    """A figure as a card has it."""
    said: dict[str, Any] = {"value": rounded(row.value)}
    if row.interval is not None:
        said["interval"] = [rounded(end) for end in row.interval]
    return said if row.n is None else said | {"n": row.n}


def rounded(value: float | None) -> float | None:
    """A number with four decimals, or two digits where it is too small for these."""
    if value is None or isinstance(value, int):
        return value
    small = abs(value) < 10 ** (1 - _DECIMALS)
    return float(f"{value:.{_DIGITS}g}") if small else round(value, _DECIMALS)


def fill(section: dict[str, Any], found: ResultFile, figures: Mapping[str, str]) -> None:
    """Makes the figures of a section anew.

    Args:
        section: Of a card; changed in place.
        found: The result file.
        figures: Which of its rows stand where.
    """
    section |= {"command": found.command, "day": found.measured}
    section.pop("weights", None)
    if found.earlier is not None:
        section["weights"] = found.earlier.why
    if found.steps is not None:
        section["evaluations_per_draw"] = found.steps
    for name in {place.split("/")[0] for place in figures}:
        section.pop(name, None)
    for way, row in places(figures, found):
        node = section
        for name in way[:-1]:
            node = node.setdefault(name, {})
        node[way[-1]] = shown(row)


def filled(card: Mapping[str, Any], sections: Mapping[str, Any], kinds: Mapping[str, Any]) -> Any:
    """A card with the figures of today's result files.

    Args:
        card: As it is.
        sections: Of `measured`, each with its `benchmark` and the kinds of its `figures`.
        kinds: Figures by kind.
    """
    made = copy.deepcopy(dict(card))
    for way, source in sections.items():
        section = made.setdefault("measured", {})
        for name in filter(None, way.split("/")):
            section = section.setdefault(name, {})
        figures = {place: row for kind in source["figures"] for place, row in kinds[kind].items()}
        fill(section, result(source["benchmark"]), figures)
    return made


def main(words: list[str]) -> int:
    """Fills all cards; 1 if one differs and is only checked, or cannot be filled."""
    said = declared()
    different = []
    for name, sections in said["cards"].items():
        path = find(name) / CARD
        before = json.loads(path.read_text(encoding="utf-8"))
        try:
            after = filled(before, sections, said["figures"])
        except CrysDiffError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        if after != before:
            different.append(name)
            if "--check" not in words:
                write_card(path.parent, after)
    for name in different:
        print(f"the card of {name} {'differs' if '--check' in words else 'is filled'}")
    return 1 if different and "--check" in words else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

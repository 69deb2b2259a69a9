"""Values of potentials for items, each kept as soon as it is there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Section,
    Values,
    attempt,
)
from ase_crysdiff.campaigns.work import results_journal, sort_out
from ase_crysdiff.isolation import Failure
from ase_crysdiff.progress import tqdm
from ase_crysdiff.storage import Store

#: The journal of the values, in a folder for each section and potential.
VALUES = "values"


def values_of(
    folder: Path, section: Section, contender: Contender, items: Sequence[Item]
) -> Values:
    """What a potential says of the items of a section, from its journal or computed now.

    Args:
        folder: Of the run; the section and the potential have a folder of their own in it.
        section: Asks.
        contender: The potential.
        items: Of the section.

    Raises:
        InputError: If the folder holds values of other weights, or of other settings of the
            section.
    """
    settings = {"section": dict(section.settings), "potential": dict(contender.identity)}
    journal = results_journal(Store(folder / section.name / contender.label, settings), VALUES)
    wanted = {item.key for item in items}
    done = {entry["key"]: entry for entry in journal.read() if entry["key"] in wanted}
    missing = [item for item in items if item.key not in done]
    with tqdm(total=len(missing), desc=f"{section.name} {contender.name}", disable=None) as bar:
        for group in _groups(missing, section.together):
            found = _asked(section, contender, [item.given for item in group])
            entries = [_entry(item, one) for item, one in zip(group, found, strict=True)]
            journal.add(entries)
            done |= {entry["key"]: entry for entry in entries}
            bar.update(len(group))
    return Values(*sort_out({item.key: done[item.key] for item in items}))


def cleared(folder: Path, section: Section, contender: Contender) -> None:
    """Removes the values of a section and a potential."""
    place = folder / section.name / contender.label
    if place.exists():
        Store(place).remove(VALUES)


def _asked(section: Section, contender: Contender, given: Sequence[Any]) -> Sequence[Any]:
    """Values or failures: of all together or, where that raises, of each alone."""
    together = attempt(lambda several: section.values(contender, several), given)
    if not isinstance(together, Failure):
        return list(together)
    if len(given) == 1:
        return [together]
    return [_asked(section, contender, [one])[0] for one in given]


def _entry(item: Item, found: Any) -> dict[str, Any]:
    failed = isinstance(found, Failure)
    return {
        "key": item.key,
        "result": None if failed else found,
        "failure": found.reason if failed else None,
    }


def _groups(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

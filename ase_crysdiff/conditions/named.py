"""Conditions by name, as they stand in workflows and on the command line."""

from collections.abc import Iterable, Mapping
from typing import Any

from ase_crysdiff import registry
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import InputError


def conditions_of(given: Iterable[Any]) -> tuple[Condition, ...]:
    """Conditions, some of which are given by name.

    Args:
        given: Conditions, or mappings such as `{"name": "closest-approach", "fraction": 0.7}` with
            a registered name and its settings.

    Raises:
        UnknownNameError: If no condition has that name.
        InputError: If an entry is neither, or a condition does not take the settings.
    """
    found: list[Condition] = []
    for entry in given:
        if isinstance(entry, Condition):
            found.append(entry)
            continue
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise InputError(
                "A condition is an object such as EnergyGuidance('dao-p'), or a mapping such as "
                f"{{'name': 'closest-approach', 'fraction': 0.7}}, got {entry!r}."
            )
        settings = {name: value for name, value in entry.items() if name != "name"}
        make = registry.load(registry.CONDITIONS, entry["name"])
        try:
            found.append(make(**settings))
        except TypeError as error:
            raise InputError(
                f"The condition {entry['name']!r} does not take {settings}: {error}."
            ) from error
    return tuple(found)

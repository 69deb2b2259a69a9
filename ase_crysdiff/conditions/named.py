"""Conditions by name, as they stand in workflows and on the command line."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ase_crysdiff import registry
from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import InputError

#: A condition, its registered name, or a mapping of the name and the settings.
OneCondition: TypeAlias = Condition | str | Mapping[str, Any]
Conditions: TypeAlias = OneCondition | Iterable[OneCondition]


def conditions_of(given: Conditions | Any) -> tuple[Condition, ...]:
    """Conditions, some of which are given by name.

    Args:
        given: One or several of: a condition; a registered name, such as "energy"; a mapping such
            as `{"name": "closest-approach", "fraction": 0.7}` with a name and its settings.

    Raises:
        UnknownNameError: If no condition has that name.
        InputError: If an entry is nothing of the kind, or a condition does not take the settings.
    """
    found: list[Condition] = []
    if isinstance(given, Condition | str | Mapping) or not isinstance(given, Iterable):
        given = (given,)
    for entry in given:
        if isinstance(entry, Condition):
            found.append(entry)
            continue
        settings = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or "name" not in settings:
            raise InputError(
                "A condition is an object such as EnergyGuidance('dao-p'), a name such as "
                "'energy', or a mapping such as {'name': 'closest-approach', 'fraction': 0.7}, got "
                f"{entry!r}."
            )
        settings = dict(settings)
        name = settings.pop("name")
        make = registry.load(registry.CONDITIONS, name)
        try:
            found.append(make(**settings))
        except TypeError as error:
            raise InputError(
                f"The condition {name!r} does not take the settings {settings}: {error}."
            ) from error
    return tuple(found)

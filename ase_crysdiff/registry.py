"""Samplers and their like, found by entry point; ours are registered in the same way as everybody
else's.

What ships as a folder with a card needs no entry point: `shipped` finds it by the kind on its card.
Listing reads text files only. A plugin is imported when it is asked for, so a broken one harms
nobody but its own users.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any, TypeAlias

from ase_crysdiff import __version__
from ase_crysdiff.errors import InputError, PluginError, UnknownNameError, did_you_mean

SAMPLERS = "ase_crysdiff.samplers"
POTENTIALS = "ase_crysdiff.potentials"
PREDICTORS = "ase_crysdiff.predictors"
RECIPES = "ase_crysdiff.recipes"
PROCESSES = "ase_crysdiff.processes"
CONDITIONS = "ase_crysdiff.conditions"
SOLVERS = "ase_crysdiff.solvers"
ENCODERS = "ase_crysdiff.encoders"
MOLECULE_SAMPLERS = "ase_crysdiff.molecule_samplers"
MOLECULE_ENCODERS = "ase_crysdiff.molecule_encoders"
BENCHMARKS = "ase_crysdiff.benchmarks"
#: The sampler of requests that name none.
DEFAULT = "default"
#: Every kind of part that is found by name, as `crysdiff list` shows them.
GROUPS = (
    SAMPLERS,
    POTENTIALS,
    PREDICTORS,
    RECIPES,
    ENCODERS,
    MOLECULE_SAMPLERS,
    MOLECULE_ENCODERS,
    PROCESSES,
    CONDITIONS,
    SOLVERS,
    BENCHMARKS,
)
#: Groups whose shipped members are found by their cards: kind on the card, and the module whose
#: attributes make them.
_SHIPPED = {PREDICTORS: ("predictor", "ase_crysdiff.predictors.shipped")}

#: An entry point of the standard library, or of its backport: what imports that (Dask does) finds
#: the backport's from then on.
Entry: TypeAlias = Any

_registered: dict[tuple[str, str], Callable[..., Any]] = {}


@dataclass(frozen=True)
class Plugin:
    """Where a name comes from.

    Args:
        name: Registered name.
        value: Module and attribute.
        distribution: Name of the installed distribution.
        version: Its version.
    """

    name: str
    value: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} from {self.distribution} {self.version} ({self.value})"


def names(group: str) -> list[str]:
    """All names of a group, sorted. Imports nothing."""
    return sorted({*_entries(group), *(n for g, n in _registered if g == group)})


def kind_of(group: str) -> str:
    """What a part of a group is called: "sampler" for `ase_crysdiff.samplers`."""
    plural = group.rpartition(".")[2]
    return plural.removesuffix("es") if plural.endswith("sses") else plural.removesuffix("s")


def plugins(group: str) -> list[Plugin]:
    """Where every name of a group comes from; a name that several distributions claim appears
    several times.
    """
    return [_plugin(e) for name in sorted(_entries(group)) for e in _entries(group)[name]]


@lru_cache(maxsize=16)
def shipped(group: str) -> tuple[str, ...]:
    """Names of a group that are folders of this package's weights, sorted; none where a group knows
    entry points only.
    """
    if group not in _SHIPPED:
        return ()
    kind = _SHIPPED[group][0]
    cards = (Path(__file__).parent / "weights").glob("*/card.json")
    return tuple(sorted(card.parent.name for card in cards if _kind_of(card) == kind))


def _kind_of(card: Path) -> str | None:
    """The kind on a card; None where it cannot be read, which is said when somebody loads it."""
    try:
        found = json.loads(card.read_text(encoding="utf-8"))["config"].get("kind")
    except (OSError, ValueError, LookupError, AttributeError):
        return None
    return None if found is None else str(found)


def register(group: str, name: str, value: Callable[..., Any]) -> None:
    """Adds a name for this process: for notebooks and tests.

    Raises:
        PluginError: If the name is taken.
    """
    if name.lower() in names(group):
        raise PluginError(f"{name!r} is already registered in {group}. Choose another name.")
    _registered[group, name.lower()] = value


def refresh() -> None:
    """Reads entry points and cards again: for a process in which something was installed."""
    _entries.cache_clear()
    shipped.cache_clear()


def unregister(group: str, name: str) -> None:
    """Removes a name that `register` added."""
    _registered.pop((group, name.lower()), None)


def check(group: str, name: Any) -> None:
    """Refuses a name that nobody has registered. Imports nothing.

    Raises:
        InputError: If it is no text.
        UnknownNameError: With close names.
    """
    key = _key(group, name)
    if (group, key) not in _registered and key.rpartition(":")[2] not in _entries(group):
        raise UnknownNameError(_unknown(group, key))


def load(group: str, name: Any) -> Any:
    """The object behind a name; `distribution:name` chooses among several owners.

    Raises:
        InputError: If the name is no text.
        UnknownNameError: If nobody registered the name.
        PluginError: If two distributions claim the name, or if the plugin cannot be imported.
    """
    key = _key(group, name)
    if (group, key) in _registered:
        return _registered[group, key]
    owner, _, short = key.rpartition(":")
    found = [
        e
        for e in _entries(group).get(short, ())
        if not owner or _plugin(e).distribution.lower() == owner
    ]
    if not found:
        raise UnknownNameError(_unknown(group, key))
    if len({e.value for e in found}) > 1:
        owners = "; ".join(str(_plugin(e)) for e in found)
        raise PluginError(
            f"{name!r} is claimed by several packages: {owners}. Ask for '<package>:{short}'."
        )
    try:
        return found[0].load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit at import
        raise PluginError(
            f"The plugin {_plugin(found[0])} cannot be imported: {error!r}. The others still work."
        ) from error


def _key(group: str, name: Any) -> str:
    """A name as it is registered."""
    if not isinstance(name, str):
        kind = kind_of(group)
        raise InputError(
            f"The name of a {kind} must be text, got {type(name).__name__}. Known: "
            f"{', '.join(names(group))}."
        )
    return name.strip().lower()


def _unknown(group: str, name: str) -> str:
    known = names(group)
    kind = kind_of(group)
    message = (
        f"No {kind} is called {name!r}.{did_you_mean(name, known)} Known: "
        f"{', '.join(known) or 'none'}."
    )
    if name in _declared(group):
        message += (
            " The source tree declares it, but was installed before it did: install ase-crysdiff "
            "again."
        )
    return message


def _plugin(entry: Entry) -> Plugin:
    owner = entry.dist
    if owner is None:
        if entry.value.startswith("ase_crysdiff."):  # found by its card, or in a source tree
            return Plugin(entry.name, entry.value, "ase-crysdiff", __version__)
        return Plugin(entry.name, entry.value, "unknown", "unknown")
    return Plugin(entry.name, entry.value, owner.name, owner.version)


@lru_cache(maxsize=16)
def _entries(group: str) -> dict[str, tuple[Entry, ...]]:
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in (*entry_points(group=group), *_of_source_tree(group), *_of_cards(group)):
        name = entry.name.lower()
        found[name] = (*found.get(name, ()), entry)
    return found


def _of_cards(group: str) -> list[EntryPoint]:
    """Entry points for what ships as a folder of weights."""
    if group not in _SHIPPED:
        return []
    module = _SHIPPED[group][1]
    return [
        EntryPoint(name, f"{module}:{name.replace('-', '_')}", group) for name in shipped(group)
    ]


def _of_source_tree(group: str) -> list[EntryPoint]:
    """What the source tree itself would register, where the package is used without being
    installed.
    """
    try:
        distribution("ase-crysdiff")
    except PackageNotFoundError:
        return [EntryPoint(name, value, group) for name, value in _declared(group).items()]
    return []


def _declared(group: str) -> dict[str, str]:
    """What the source tree declares, if there is one."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    if not project.is_file():
        return {}
    found: dict[str, str] = tomllib.loads(project.read_text(encoding="utf-8"))["project"][
        "entry-points"
    ].get(group, {})
    return found

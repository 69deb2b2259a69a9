"""The declared list of benchmarks: what each runs, on which data and weights, and how long."""

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import InputError, UnknownNameError

_PLACE = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True)
class Entry:
    """A benchmark with everything that its figures depend on.

    Args:
        name: Of its result file, without an ending.
        command: What stands behind `crysdiff benchmark`; files of the data packs, and those that
            are made of them, stand in braces.
        weights: Shipped weights that its figures depend on.
        reads: Files of the data packs that it finds by itself.
        tables: Of the pages, which show figures of it.
        minutes: Of one core, about.
        quick: Options that make it small, behind those of the command; None for what is never
            small.
    """

    name: str
    command: str
    weights: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    minutes: float = 1.0
    quick: str | None = None

    def words(self, quick: bool = False) -> list[str]:
        """The command in words, files still in braces."""
        return shlex.split(self.command) + shlex.split((self.quick or "") if quick else "")

    def shown(self, quick: bool = False) -> str:
        """The command as a reader gives it, files by their names in the data packs."""
        return "crysdiff benchmark " + _PLACE.sub(r"\1", shlex.join(self.words(quick))).replace(
            "'", ""
        )

    def files(self, quick: bool = False) -> tuple[str, ...]:
        """Names of the files in braces."""
        return tuple(dict.fromkeys(_PLACE.findall(" ".join(self.words(quick)))))


@dataclass(frozen=True)
class Suite:
    """All benchmarks, and the data that they take.

    Args:
        entries: In the order in which they are run.
        digests: First 16 digits of the SHA-256 of each file of the data packs.
        made: Commands (behind `crysdiff`) that make files of those of the packs, by the name of
            the file that they make.
    """

    entries: tuple[Entry, ...]
    digests: Mapping[str, str]
    made: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, names: Sequence[str]) -> tuple[Entry, ...]:
        """Entries by name, in their order; all if no name is given.

        Raises:
            UnknownNameError: If there is none of a name.
        """
        known = [entry.name for entry in self.entries]
        for name in names:
            if name not in known:
                raise UnknownNameError(
                    f"There is no benchmark {name!r} in the list. There are {', '.join(known)}."
                )
        return tuple(e for e in self.entries if not names or e.name in names)

    def sources(self, entry: Entry, quick: bool = False) -> tuple[str, ...]:
        """Files of the data packs that the figures of an entry depend on."""
        found = list(entry.reads)
        for name in entry.files(quick):
            found += _PLACE.findall(self.made[name]) if name in self.made else [name]
        return tuple(dict.fromkeys(found))

    @staticmethod
    def of(content: Mapping[str, Any]) -> "Suite":
        """From the content of a TOML file."""
        entries = []
        for one in content["benchmark"]:
            lists = {k: tuple(v) for k, v in one.items() if isinstance(v, list)}
            entries.append(Entry(**{**one, **lists, "minutes": float(one["minutes"])}))
        return Suite(tuple(entries), content["data"], content.get("made", {}))

    @staticmethod
    def read(path: Path) -> "Suite":
        """From a TOML file.

        Raises:
            InputError: If it is none, or lacks or has too many entries.
        """
        try:
            return Suite.of(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} cannot be read as a list of benchmarks ({error!r})."
            ) from error


@lru_cache(maxsize=1)
def shipped_suite() -> Suite:
    """The benchmarks behind the figures of the shipped weights."""
    text = resources.files(__package__).joinpath("suite.toml").read_text(encoding="utf-8")
    return Suite.of(tomllib.loads(text))


def filled(words: Sequence[str], places: Mapping[str, Path]) -> list[str]:
    """Words with paths in the place of names in braces."""
    return [_PLACE.sub(lambda found: str(places[found[1]]), word) for word in words]

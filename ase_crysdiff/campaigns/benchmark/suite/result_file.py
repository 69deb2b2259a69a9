"""Result files: figures with everything that they depend on, and whether they still hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ase_crysdiff import __version__
from ase_crysdiff.campaigns.benchmark.suite.entries import Entry, Suite
from ase_crysdiff.campaigns.benchmark.suite.rows import Row
from ase_crysdiff.errors import InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.storage import write_text

#: Of a result file; a later one is not read.
FORMAT = 1
#: Digits of a digest that are written down.
DIGITS = 16


@dataclass(frozen=True)
class Earlier:
    """Why figures of other weights than those that ship are still shown.

    Args:
        mark: Stands beside every such figure.
        why: What they were measured with.
    """

    mark: str
    why: str


@dataclass(frozen=True)
class ResultFile:
    """Figures of one benchmark.

    Args:
        benchmark: Name of the entry.
        command: That was given.
        version: Of the package.
        measured: Day.
        rows: By their path.
        data: Digests of the files of the data packs.
        weights: Digests of the shipped weights.
        commit: Of the code; None outside a repository.
        steps: Network evaluations of a draw; None where it does not draw.
        machine: Where it ran, without names.
        seconds: Of a processor, and by the clock.
        quick: Whether it was a small trial.
        earlier: Why it is shown though other weights ship now.
        note: What a reader must know beside.
    """

    benchmark: str
    command: str
    version: str
    measured: str
    rows: Mapping[str, Row]
    data: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    steps: int | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    quick: bool = False
    earlier: Earlier | None = None
    note: str | None = None

    def write(self, path: Path) -> None:
        """Writes it, whole or not at all."""
        content = {"format": FORMAT, **vars(self)}
        content["earlier"] = None if self.earlier is None else vars(self.earlier)
        content["rows"] = {name: row.as_plain() for name, row in self.rows.items()}
        kept = {k: v for k, v in content.items() if v not in (None, {}, False)}
        write_text(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    @staticmethod
    def read(path: Path) -> "ResultFile":
        """Reads one.

        Raises:
            InputError: If it cannot be read, or a later version wrote it.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            written = content.pop("format")
            if written != FORMAT:
                raise InputError(f"{path} has format {written}, and {FORMAT} is read.")
            content["rows"] = {name: Row.of(row) for name, row in content["rows"].items()}
            if content.get("earlier") is not None:
                content["earlier"] = Earlier(**content["earlier"])
            return ResultFile(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} cannot be read as a result file ({error!r}).") from error

    def differences(self, entry: Entry, suite: Suite) -> list[str]:
        """What it does not share with what the list, the package and its weights are today.

        Figures of earlier weights may stay if the file says so (`earlier`); then the weights and
        the version are not compared.

        Args:
            entry: The benchmark as it is declared.
            suite: Declares the data.
        """
        found = []
        if self.quick:
            found.append("it is a quick trial")
        if self.command != entry.shown():
            found.append(f"its command is {self.command!r}, now {entry.shown()!r}")
        for name in suite.sources(entry):
            has, now = self.data.get(name), suite.digests.get(name)
            if has != now:
                found.append(f"its data {name} is {_short(has)}, now {_short(now)}")
        if self.earlier is not None:
            return found
        for name in entry.weights:
            has, now = self.weights.get(name), digest_of_weights(name)
            if has is None or now is None or not now.startswith(has):
                found.append(f"its weights of {name} are {_short(has)}, now {_short(now)}")
        if _release(self.version) != _release(__version__):
            found.append(f"its version is {self.version}, now {__version__}")
        return found


@lru_cache
def digest_of_weights(name: str) -> str | None:
    """First digits of the SHA-256 of shipped weights; None if there are none of that name."""
    card = weight_files.read_card(weight_files.find(name))
    return None if card.sha256 is None else card.sha256[:DIGITS]


def _release(version: str) -> str:
    """The part of a version with which numbers may change."""
    return ".".join(version.split(".")[:2])


def _short(digest: str | None) -> str:
    return "not said" if digest is None else digest[:12]

"""Runs declared benchmarks one after another, each in a process of its own; keeps what is done."""

import datetime
import hashlib
import json
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import ase_crysdiff
from ase_crysdiff.campaigns.benchmark.machine import processor
from ase_crysdiff.campaigns.benchmark.suite.entries import Entry, Suite, filled
from ase_crysdiff.campaigns.benchmark.suite.result_file import (
    DIGITS,
    ResultFile,
    digest_of_weights,
)
from ase_crysdiff.campaigns.benchmark.suite.rows import rows_of, steps_of
from ase_crysdiff.errors import CrysDiffError, InputError
from ase_crysdiff.storage import ensure_writable

log = logging.getLogger(__name__)

#: Exit code of a command that Ctrl-C has ended.
_INTERRUPTED = 130


@dataclass
class Told:
    """What has become of each benchmark.

    Args:
        done: Measured now.
        kept: Measured before, with the same weights, data and version.
        left_out: Why, by name.
        failed: Why, by name.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.done)} measured, {len(self.kept)} kept"]
        lines += [f"left out: {name}: {why}" for name, why in self.left_out.items()]
        lines += [f"failed: {name}: {why}" for name, why in self.failed.items()]
        return "\n".join(lines)


def run_all(
    suite: Suite, entries: Sequence[Entry], out: Path, data: Path | None, quick: bool
) -> Told:
    """Runs benchmarks one after another. One that fails is told, and the others run on.

    Args:
        suite: Declares the data.
        entries: What to run.
        out: Folder of the result files, those of small forms in its folder `quick`; `parts` holds
            the benchmarks' own files, from which an interrupted one goes on.
        data: Folder of the data packs; None if there is none.
        quick: Whether to run the small form of those that have one.

    Raises:
        KeyboardInterrupt: On Ctrl-C. What is measured stays.
    """
    ensure_writable(out / "parts")
    told = Told()
    for entry in entries:
        try:
            if quick and entry.quick is None:
                continue
            room = _Room(suite, entry, out, data, quick)
            if room.missing:
                told.left_out[entry.name] = f"it needs {', '.join(room.missing)}"
            elif room.is_done:
                told.kept.append(entry.name)
            else:
                log.info("%s: %s", entry.name, entry.shown(quick))
                room.measure()
                told.done.append(entry.name)
        except (CrysDiffError, OSError) as error:
            log.info("%s failed: %s", entry.name, error)
            told.failed[entry.name] = str(error)
    return told


@dataclass(frozen=True)
class _Room:
    """One benchmark, its files and its data."""

    suite: Suite
    entry: Entry
    out: Path
    data: Path | None
    quick: bool

    @property
    def path(self) -> Path:
        return (self.out / "quick" if self.quick else self.out) / f"{self.entry.name}.json"

    @property
    def sources(self) -> dict[str, Path]:
        folder = self.data or Path()
        return {name: folder / name for name in self.suite.sources(self.entry, self.quick)}

    @property
    def missing(self) -> list[str]:
        """Files that it needs and that are not there."""
        if self.data is None and self.sources:
            return ["the data packs, whose folder CRYSDIFF_DATA names"]
        return [str(path) for path in self.sources.values() if not path.is_file()]

    @property
    def is_done(self) -> bool:
        """Whether its result file is there and of today's command, data, weights and version."""
        if not self.path.is_file():
            return False
        found = vars(ResultFile.read(self.path))
        return self._identity() == {name: found[name] for name in _IDENTITY}

    def measure(self) -> None:
        """Runs the command and writes the result file.

        Raises:
            InputError: If the command fails; what it last said stands in the message.
        """
        own = self._part(self._identity(), f"{self.entry.name}.json")
        self.path.parent.mkdir(exist_ok=True)
        places = {**self.sources, **{name: self._made(name) for name in self._to_make()}}
        words = filled(self.entry.words(self.quick), places)
        spent = _run(["benchmark", *words, "--output", str(own)])
        content = json.loads(own.read_text(encoding="utf-8"))
        ResultFile(
            benchmark=self.entry.name,
            measured=datetime.date.today().isoformat(),
            rows=rows_of(content),
            commit=_commit(),
            steps=steps_of(content),
            machine=_machine(content),
            seconds=spent,
            **self._identity(),
        ).write(self.path)

    def _identity(self) -> dict[str, Any]:
        """What tells two runs of one benchmark apart."""
        return {
            "command": self.entry.shown(self.quick),
            "version": ase_crysdiff.__version__,
            "data": {name: digest_of_file(path) for name, path in self.sources.items()},
            "weights": {name: digest_of_weights(name) for name in self.entry.weights},
            "quick": self.quick,
        }

    def _to_make(self) -> list[str]:
        return [name for name in self.entry.files(self.quick) if name in self.suite.made]

    def _made(self, name: str) -> Path:
        """A file that is made of those of the packs; a new one for other data."""
        words = shlex.split(self.suite.made[name])
        path = self._part([words, self._identity()["data"]], name)
        if not path.is_file():
            log.info("%s: making %s", self.entry.name, name)
            _run([*filled(words, self.sources), "-o", str(path)])
        return path

    def _part(self, settings: Any, name: str) -> Path:
        """A file that is made with these settings, in a folder of its own."""
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:DIGITS]
        path = self.out / "parts" / digest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


_IDENTITY = ("command", "version", "data", "weights", "quick")


def _run(words: Sequence[str]) -> dict[str, float]:
    """Runs a command of `crysdiff` in a process of its own.

    Returns:
        Seconds of a processor and by the clock.

    Raises:
        InputError: If it ends with an error.
        KeyboardInterrupt: If it was interrupted.
    """
    started, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, "-m", "ase_crysdiff.cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise InputError(
            f"crysdiff {shlex.join(words)} ended with exit code {done.returncode}"
            + (f": {last[0]}" if last else ".")
        )
    after = os.times()
    user = after.children_user - before.children_user
    system = after.children_system - before.children_system
    clock = time.perf_counter() - started
    return {"processor": round(user + system, 1), "clock": round(clock, 1)}


@cache
def digest_of_file(path: Path) -> str:
    """First digits of the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


@cache
def _commit() -> str | None:
    """The commit of the code that runs; None outside a repository, or without git."""
    folder = Path(ase_crysdiff.__file__).parents[1]
    if not (folder / ".git").exists():  # an environment may lie in a repository of something else
        return None
    try:
        told = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()


def _machine(content: Mapping[str, Any]) -> dict[str, Any]:
    """Kind of processor, cores and libraries; nothing that names a machine."""
    told = content.get("machine", {})
    facts = {"processor": processor(), "cores": os.cpu_count()}
    return facts | {k: told[k] for k in ("device", "gpu", "python", "versions") if k in told}

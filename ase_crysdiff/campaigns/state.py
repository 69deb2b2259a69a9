"""What a long command has done so far, on disk, so that it goes on after a kill at any moment."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.storage import ensure_writable, write_text

log = logging.getLogger(__name__)

#: Entries are written in groups: forcing a line to disk may take as long as the work it reports.
_GROUP = 32


class Journal:
    """A file to which lines of JSON are added; a torn last line is dropped, a damaged one skipped.

    Args:
        path: The file; need not exist.
        keys: What every entry has.
    """

    def __init__(self, path: Path, keys: frozenset[str]) -> None:
        self.path, self.keys = path, keys

    def read(self) -> list[dict[str, Any]]:
        """The whole entries. A torn end is cut off, so that the next entry begins a line of its
        own.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("rb+") as file:
                file.truncate(len(whole))
        entries = []
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if isinstance(entry, dict) and entry.keys() >= self.keys:
                entries.append(entry)
            else:  # what it said is computed again, and comes out the same
                log.warning("%s has a damaged line.", self.path)
        return entries

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Adds entries and forces them to disk."""
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        with self.path.open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def grouped(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A function that takes one entry; they are added in groups, the last of them when the
        block ends, however it ends.
        """
        waiting: list[Mapping[str, Any]] = []

        def note(entry: Mapping[str, Any]) -> None:
            waiting.append(entry)
            if len(waiting) >= _GROUP:
                self.add(waiting)
                waiting.clear()

        try:
            yield note
        finally:
            self.add(waiting)


class RunFolder:
    """The folder of one run: what it depends on, and its journals.

    Args:
        path: Made if need be.
        settings: Everything that the entries of the journals depend on, as JSON.

    Raises:
        InputError: If the folder cannot be written, or holds a run with other settings.
    """

    _RECORD = "run.json"

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        settings = json.loads(json.dumps(settings))  # as it will be read
        ensure_writable(path)
        record = path / self._RECORD
        if record.exists():
            self._compare(record, settings)
        else:
            write_text(record, json.dumps(settings, indent=1) + "\n")

    def _compare(self, record: Path, settings: Mapping[str, Any]) -> None:
        try:
            old = dict(json.loads(record.read_text()))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{record} is damaged ({error!r}). Remove the folder {self.path}, or choose "
                "another one."
            ) from error
        changed = sorted(k for k in {*settings, *old} if settings.get(k) != old.get(k))
        if changed:
            raise InputError(
                f"{self.path} holds a run with other settings ({', '.join(changed)} differ). Give "
                "the same options to continue "
                "it, choose another output, or remove that folder."
            )

    def journal(self, name: str, *keys: str) -> Journal:
        """The journal of this name, whose entries have these keys."""
        return Journal(self.path / f"{name}.jsonl", frozenset(keys))

    def remove(self, *names: str) -> None:
        """Removes the journals of these names and the record, and the folder if nothing else is in
        it.
        """
        for file in [*(self.path / f"{name}.jsonl" for name in names), self.path / self._RECORD]:
            file.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

"""A file to which results are added, one line each, that survives a kill at any moment."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Entries are written in groups: forcing a line to disk may take as long as the work it reports.
_GROUP = 32


class Journal:
    """Lines of JSON in a file that only grows.

    A kill may tear the last line, which is then cut off, and a disk may damage any other, which is
    then skipped: each costs its own entry and no other, and what it said is computed again.

    Args:
        path: The file; need not exist.
        keys: What every entry has.
    """

    def __init__(self, path: Path, keys: Iterable[str] = ()) -> None:
        self.path, self.keys = path, frozenset(keys)

    def read(self) -> list[dict[str, Any]]:
        """The whole entries, in the order in which they were added.

        Cuts a torn end off the file, so that the next entry begins a line of its own.
        """
        return self.decoded(lambda entry: entry)

    def decoded(self, decode: Callable[[dict[str, Any]], T], *, repair: bool = True) -> list[T]:
        """What the whole entries stand for, in the order in which they were added.

        Cuts a torn end off the file, so that the next entry begins a line of its own.

        Args:
            decode: Makes a value of an entry; if it raises a ValueError, LookupError, TypeError or
                AttributeError, the entry counts as damaged.
            repair: Whether a torn end is cut off; no for a file that another process may be
                writing.
        """
        found = []
        for line in self._lines(repair):
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict) or not entry.keys() >= self.keys:
                    raise ValueError("no entry of this journal")
                found.append(decode(entry))
            except (ValueError, LookupError, TypeError, AttributeError):
                log.warning("%s has a damaged line; what it said is computed again.", self.path)
        return found

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Adds entries and forces them to disk.

        Args:
            entries: Mappings that JSON can hold; arrays and scalars of numpy become lists and
                numbers, everything else that JSON does not know becomes text.
        """
        text = "".join(json.dumps(dict(entry), default=_plain) + "\n" for entry in entries)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def grouped(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A function that takes one entry; entries are added in groups, the last of them when the
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

    def _lines(self, repair: bool) -> list[bytes]:
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if repair and len(whole) < len(content):
            with self.path.open("rb+") as file:
                file.truncate(len(whole))
        return whole.split(b"\n")[:-1]


def _plain(value: Any) -> Any:
    import numpy as np

    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)

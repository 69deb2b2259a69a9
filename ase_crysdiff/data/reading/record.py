"""One entry of a source, and how failures are put into words."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.errors import InputError

_LONGEST = 300


@dataclass(frozen=True)
class Record:
    """One entry of a source: a way to get the structure, which may fail, and the numbers beside
    it.

    Args:
        name: Of the entry.
        load: Gives the structure.
        values: Numbers that stand beside it, by name.
        source: The file that it comes from.
    """

    name: str
    load: Callable[[], Structure]
    values: dict[str, float] = field(default_factory=dict)
    source: Path | None = None


def broken(name: str, reason: str) -> Record:
    """An entry that fails for a reason when it is loaded."""
    return Record(name, partial(_refuse, reason))


def in_words(error: Exception) -> str:
    """What an exception says, without the bytes of the file that some of them carry."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is no {error.encoding} text (byte {error.start})"
    text = str(error).strip()
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__} {text}"[:_LONGEST].rstrip()


def _refuse(reason: str) -> Structure:
    raise InputError(reason)

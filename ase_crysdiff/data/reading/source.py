"""Files as text, packed or not, on their own or in an archive."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any

_PACKINGS: dict[str, Callable[[Any, str], Any]] = {
    "": lambda file, mode: file.open(mode) if isinstance(file, Path) else file,
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: What to do with bytes that are no UTF-8.
_WINDOWS = "ase-crysdiff-windows-1252"


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_WINDOWS, _as_windows)


@dataclass(frozen=True)
class Source:
    """A file that may hold crystals.

    Args:
        path: On disk.
        member: Its name inside `path`, if that is an archive.
    """

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """Its name, without folders and without the ending of a packed file."""
        name = self.path.name if self.member is None else PurePosixPath(self.member).name
        return name[: -len(self.packing)] if self.packing else name

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in, empty at the top of an archive."""
        if self.member is not None:
            return PurePosixPath(self.member).parent.name or self.path.stem
        return self.path.absolute().parent.name

    @property
    def packing(self) -> str:
        """The ending of a packed file; empty for a plain one."""
        name = self.path.name if self.member is None else self.member
        return next((end for end in _PACKINGS if end and name.lower().endswith(end)), "")

    def __str__(self) -> str:
        return self.path.name if self.member is None else f"{self.path.name}/{self.member}"

    def open(self) -> TextIOWrapper:
        """The file as text: UTF-8 with or without a mark, or UTF-16 with one; bytes that are no
        UTF-8 are read as Windows-1252, in which Excel saves. Line ends are as in the file.
        """
        file: Path | io.BytesIO = self.path
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive:
                file = io.BytesIO(archive.read(self.member))
        unpacked = _PACKINGS[self.packing](file, "rb")
        mark = unpacked.read(2)
        unpacked.seek(0)
        if mark in _UTF16:
            return TextIOWrapper(unpacked, "utf-16", errors="replace", newline="")
        return TextIOWrapper(unpacked, "utf-8-sig", errors=_WINDOWS, newline="")

    def text(self) -> str:
        """All of it."""
        with self.open() as file:
            return file.read()


def members_of(archive: Path) -> list[Source]:
    """The files of a zip archive, in the order of their names."""
    with zipfile.ZipFile(archive) as file:
        names = sorted(i.filename for i in file.infolist() if not i.is_dir())
    hidden = ("__MACOSX/", ".")
    return [
        Source(archive, name)
        for name in names
        if not name.startswith(hidden) and not PurePosixPath(name).name.startswith(".")
    ]

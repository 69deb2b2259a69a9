"""Files that are complete or absent, never torn."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safetensors.torch import save

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Tensor


def ensure_writable(folder: Path) -> None:
    """Makes a folder and proves that it can be written, before any work is done.

    Raises:
        InputError: If it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}). Choose another output folder."
        ) from error


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Refuses a file of a kind that is not written, before any work is done.

    Raises:
        InputError: If the path has another ending.
    """
    if path.suffix not in endings:
        raise InputError(f"The output ends in {' or '.join(endings)}, got {path}.")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file under a temporary name, forces it to disk, then moves it into
    place.
    """
    # Not save_file, which leaves files that only their owner can read.
    write_bytes(
        path, save({n: t.detach().contiguous().cpu() for n, t in tensors.items()}, dict(metadata))
    )


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name, forces it to disk, then moves it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, forces it to disk, then moves it into place."""
    write_by(path, lambda temporary: temporary.write_bytes(content))


def write_by(path: Path, writer: Callable[[Path], object]) -> None:
    """Lets a writer make a file under a temporary name, forces it to disk, then moves it into
    place.

    Args:
        path: Of the file.
        writer: Is given the temporary name, which has the ending of `path`.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        writer(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:  # a full disk: half a file would only take more of it
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise

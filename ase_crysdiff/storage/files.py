"""Files that are complete or absent, never torn."""

import os
from collections.abc import Mapping
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
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)

"""Files that are complete or absent, never torn."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file

from ase_crysdiff.shapes import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file under a temporary name, forces it to disk, then moves it into place."""
    temporary = path.with_name(path.name + ".part")
    save_file({n: t.detach().contiguous().cpu() for n, t in tensors.items()}, temporary, dict(metadata))
    _settle(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in the same way."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    _settle(temporary, path)


def _settle(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)

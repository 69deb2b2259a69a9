"""Packed files: safetensors with a format in their metadata."""

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ase_crysdiff.errors import InputError
from ase_crysdiff.shapes import Tensor


def read_packed(
    path: str | Path, format_: str, needed: Collection[str], kind: str, advice: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name and metadata of a packed file.

    Args:
        path: Of the file.
        format_: That its metadata must name.
        needed: Names of tensors that it must hold.
        kind: What it is, for messages, such as "packed data set".
        advice: How to make one, for messages.

    Raises:
        InputError: If the file is missing, damaged or of another format.
    """
    try:
        with safe_open(str(path), "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as a {kind} ({error}). {advice}") from error
    if metadata.get("format") != format_ or any(name not in tensors for name in needed):
        raise InputError(
            f"{path} is no {kind} (format {metadata.get('format')!r}, expected {format_!r}). "
            f"{advice}"
        )
    return tensors, metadata

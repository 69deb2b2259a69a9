"""Packed files: safetensors with a format in their metadata."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
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


#: Tensor of the names of what is packed, a line each.
_NAMES = "names"


def names_as_tensor(names: Sequence[str]) -> dict[str, Tensor]:
    """A tensor of names, none where there are none; `names_of` reads it."""
    if not names:
        return {}
    return {_NAMES: torch.frombuffer(bytearray("\n".join(names).encode()), dtype=torch.uint8)}


def names_of(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names in a packed file; none where nobody kept them."""
    if _NAMES not in tensors:
        return ()
    return tuple(tensors[_NAMES].numpy().tobytes().decode().split("\n"))

"""Checkpoints of PyTorch, read without running what is pickled in them.

A pickle is a program that may call any function by its name. Here only the few names that rebuild
plain data and tensors mean something; every other name becomes a record that does nothing, from
which hyper-parameters can still be read.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.shapes import Tensor

_STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
_PLAIN = {"set": set, "frozenset": frozenset}
#: What a damaged or hostile pickle makes the unpickler raise.
_FAILURES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class Record:
    """Stands for an object of a class that is not known: keeps what it was given and does nothing.

    Attributes:
        state: What its attributes were.
        entries: What it held, if it was a kind of dictionary.
        elements: What it held, if it was a kind of list.
    """

    state: Any
    entries: dict[Any, Any]
    elements: list[Any]

    def __new__(cls, *arguments: object, **named: object) -> "Record":
        made = super().__new__(cls)
        made.state, made.entries, made.elements = None, {}, []
        return made

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __call__(self, *arguments: object, **named: object) -> "Record":
        return Record()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.entries[key] = value

    def append(self, value: object) -> None:
        """Keeps one more element."""
        self.elements.append(value)

    def extend(self, values: Any) -> None:
        """Keeps more elements."""
        self.elements.extend(values)


class _Reader(pickle.Unpickler):
    """Resolves names to what rebuilds tensors and plain data, or else to kinds of `Record`."""

    def __init__(self, content: bytes, storage: Callable[[str], bytes]) -> None:
        super().__init__(io.BytesIO(content))
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle means; nothing is imported."""
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module in ("builtins", "__builtin__") and name in _PLAIN:
            return _PLAIN[name]
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return partial(_tensor)  # a new one: a pickle may set attributes of what it names
        if module == "torch._utils" and name == "_rebuild_parameter":
            return partial(_parameter)
        if module == "torch" and name == "Size":
            return tuple
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        return type(name, (Record,), {})

    def persistent_load(self, reference: Any) -> Tensor:
        """The numbers that a tensor is a view of."""
        kind, dtype, key, _, count = reference
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"it refers to {kind!r} of the type {dtype!r}.")
        content = self._storage(str(key))
        if len(content) != int(count) * dtype.itemsize:
            raise CheckpointError(f"the numbers of tensor {key} are incomplete.")
        if not content:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(bytearray(content), dtype=dtype)


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1
    beyond = 0 not in size and max(reach, math.prod(size)) > len(storage)
    if min((offset, *size, *stride)) < 0 or beyond:
        raise CheckpointError("a tensor reaches beyond its numbers.")
    return storage.as_strided(tuple(size), tuple(stride), offset).clone()


def _parameter(data: Tensor, *_: object) -> Tensor:
    return data


def read_pickled(path: Path) -> Any:
    """What a file of `torch.save` holds, of plain data, tensors and `Record`s. No code of the file
    is run, whatever it contains.

    Args:
        path: Such as a `.ckpt` of Lightning or a `.pt`.

    Raises:
        CheckpointError: If it is no such file, older than PyTorch 1.6, or damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path} is no checkpoint of PyTorch 1.6 or later, which is a zip archive. Load it "
            "where it was made and save it again with torch.save."
        ) from error
    with archive:
        programs = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(programs) != 1:
            raise CheckpointError(f"{path} holds no checkpoint: it lacks data.pkl.")
        home = programs[0].removesuffix("data.pkl")
        order = f"{home}byteorder"
        try:
            if order in archive.namelist() and archive.read(order) != b"little":
                raise CheckpointError("its numbers are big-endian.")
            reader = _Reader(
                archive.read(programs[0]), lambda key: archive.read(f"{home}data/{key}")
            )
            return reader.load()
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        except _FAILURES as error:
            raise CheckpointError(
                f"{path} is damaged ({type(error).__name__}: {error})."
            ) from error


def plain(value: Any, depth: int = 40) -> Any:
    """Hyper-parameters as plain values: dictionaries, lists, numbers and text, also where they
    stand in the containers of OmegaConf and Lightning; None for everything else.

    Args:
        value: A part of what `read_pickled` gave.
        depth: Of what stands in each other; deeper parts become None.
    """
    if depth == 0:
        return None
    if isinstance(value, Record):
        return plain(_content(value), depth - 1)
    if isinstance(value, Mapping):
        return {str(k): plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, depth - 1) for v in value]
    return value if isinstance(value, bool | int | float | str) else None


def _content(record: Record) -> Any:
    """What a container holds; OmegaConf keeps it in the attributes `_content` and `_val`."""
    if isinstance(record.state, Mapping):
        for attribute in ("_content", "_val"):
            if attribute in record.state:
                return record.state[attribute]
    return record.entries or record.elements or None

"""Options of the command line from the fields of a dataclass, whose docstring explains them."""

import argparse
import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

#: One-letter names, where an option has one.
_SHORT = {"samples": "-k", "num_samples": "-n", "output": "-o"}


def add_fields(
    parser: argparse.ArgumentParser,
    options: type,
    skip: tuple[str, ...] = (),
    positional: bool = True,
) -> None:
    """Adds an option for every field.

    A field without a default becomes a positional argument if it is text, or several texts, and a
    required option otherwise. A truth value becomes a flag, a tuple an option with several values.

    Args:
        parser: Of the command.
        options: A dataclass; its docstring explains each field under `Args:`.
        skip: Fields that the command adds itself.
        positional: Whether there may be positional arguments.
    """
    texts, hints = explanations(options), get_type_hints(options)
    for f in fields(options):
        if f.name in skip:
            continue
        kind, several = _kind(hints[f.name])
        arguments: dict[str, Any] = {"help": _help(texts.get(f.name, ""), f)}
        if kind is bool:
            arguments["action"] = "store_true"
        else:
            arguments |= {"type": kind} | ({"nargs": "+"} if several else {})
        if positional and _is_positional(f, hints[f.name]):
            parser.add_argument(f.name, **arguments)
            continue
        if kind is not bool:
            arguments["metavar"] = f.name.upper() if not several else kind.__name__.upper()
        names = [*([_SHORT[f.name]] if f.name in _SHORT else []), f"--{f.name.replace('_', '-')}"]
        required = f.default is MISSING and f.default_factory is MISSING
        default = None if required else _default(f)
        parser.add_argument(*names, required=required, default=default, dest=f.name, **arguments)


def read_fields(namespace: argparse.Namespace, options: type[T], **more: Any) -> T:
    """The dataclass of what was typed.

    Args:
        namespace: What the parser found.
        options: The dataclass whose fields were added.
        more: Values of fields that the command has made itself.
    """
    values = {f.name: getattr(namespace, f.name) for f in fields(options) if f.name not in more}  # type: ignore[arg-type]
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return options(**plain, **more)


def explanations(options: type) -> Mapping[str, str]:
    """The `Args:` of the docstrings of a class and its bases, by name, each on one line."""
    found: dict[str, str] = {}
    for base in reversed(options.__mro__):
        text = inspect.cleandoc(vars(base).get("__doc__") or "")
        _, _, section = text.partition("Args:\n")
        section = section.split("\n\n")[0]
        for entry in re.split(r"\n(?=    \w)", "\n" + section):
            name, _, words = entry.strip().partition(": ")
            if words:
                found[name] = " ".join(words.split())
    return found


def _kind(hint: Any) -> tuple[Any, bool]:
    """What a value is read with, and whether there may be several."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _is_positional(f: "Field[Any]", hint: Any) -> bool:
    is_required = f.default is MISSING and f.default_factory is MISSING
    return is_required and hint in (str, tuple[str, ...])


def _default(f: "Field[Any]") -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()


def _help(text: str, f: "Field[Any]") -> str:
    text = text.replace("%", "%%").removesuffix(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    if f.default in (MISSING, None, False, ()):
        return text
    shown = f.default
    if isinstance(shown, tuple):
        shown = " ".join(map(str, shown))
    elif isinstance(shown, float):
        shown = f"{shown:g}"
    return f"{text} (default {shown})"


def add_files(parser: argparse.ArgumentParser, name: str = "files") -> None:
    """Adds crystal files as positional arguments."""
    parser.add_argument(
        name,
        nargs="+",
        type=Path,
        help="CIF, POSCAR, extended XYZ, ASE .db, CSV with a cif column, folders of those",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds `--weights` and `--device`."""
    parser.add_argument("--weights", help="folder with other weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")

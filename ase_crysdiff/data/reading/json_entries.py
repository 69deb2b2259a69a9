"""Crystals in JSON: structures, lists and dictionaries of them, entries of phase diagrams."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.crystal.cif.reading import structure_from_cif
from ase_crysdiff.data.reading.record import Record, broken
from ase_crysdiff.data.reading.source import Source
from ase_crysdiff.errors import InputError

#: Keys of the structure of an entry.
_STRUCTURES = ("structure", "cif")
#: Keys that name an entry.
_NAMES = ("material_id", "entry_id", "id", "name")


def has_structures(source: Source) -> bool:
    """Whether a JSON file may hold structures; damaged ones may."""
    try:
        return '"sites"' in source.text()
    except (OSError, EOFError, ValueError):
        return True  # it is reported when it is read


def json_records(source: Source, stem: str) -> Iterator[Record]:
    """The entries of a JSON file: a structure (as `Structure.as_dict` gives it), an object that has
    one as its `structure` or CIF text as its `cif`, such as a `ComputedStructureEntry`, and lists
    and dictionaries of those, at any depth.

    Raises:
        InputError: If there are no structures in it.
    """
    content = json.loads(source.text())
    found = list(_entries(content, stem))
    if not any(sound for _, sound in found):
        raise InputError(
            f"{source} holds no structures. Expected what Structure.as_dict() gives, objects with "
            "a key 'structure', or lists and dictionaries of those."
        )
    yield from (record for record, _ in found)


def _entries(content: Any, name: str) -> Iterator[tuple[Record, bool]]:
    """Records, each with whether it is a structure; what is none fails among those that are."""
    if isinstance(content, dict):
        if _is_structure(content):
            yield Record(name, partial(_structure, content)), True
            return
        if any(_is_structure(content.get(key)) for key in _STRUCTURES):
            yield _labelled(content, name), True
            return
        if isinstance(content.get("structures"), list):
            yield from _entries(content["structures"], name)
            return
        for key, value in content.items():
            if isinstance(value, dict | list):
                yield from _entries(value, str(key))
        return
    if isinstance(content, list):
        for number, entry in enumerate(content):
            inside = list(_entries(entry, f"{name}-{number}")) if _may_hold(entry) else []
            yield from inside or [(broken(f"{name}-{number}", "no structure in it"), False)]


def _is_structure(content: Any) -> bool:
    """Whether this is a structure as pymatgen writes it, or CIF text."""
    if isinstance(content, str):
        return "_atom_site_" in content
    return isinstance(content, dict) and "lattice" in content and "sites" in content


def _may_hold(entry: Any) -> bool:
    return isinstance(entry, dict | list) and len(entry) > 0


def _labelled(entry: dict[str, Any], name: str) -> Record:
    """An object with a structure: its name, and the numbers beside it."""
    called = next((str(entry[key]) for key in _NAMES if entry.get(key) is not None), name)
    values = {
        key: float(value)
        for key, value in entry.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    inside = next(entry[key] for key in _STRUCTURES if _is_structure(entry.get(key)))
    return Record(called, partial(_structure, inside), values)


def _structure(content: Any) -> Structure:
    if isinstance(content, str):
        return structure_from_cif(content)
    try:
        structure: Structure = Structure.from_dict(content)
    except Exception as error:  # whatever pymatgen raises concerns this entry only
        raise InputError(f"unreadable structure: {type(error).__name__} {error}") from error
    return structure

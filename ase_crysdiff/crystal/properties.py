"""Properties that a model is told of: their names, their units, and what it has seen of them.

A wish is a number, a window of two numbers, the name of a class, or a set of elements. A config
holds the declarations as plain values:

    {"band_gap": {"kind": "number", "unit": "eV", "range": [0.0, 9.1], "mean": 0.8, "scale": 1.4},
     "crystal_system": {"kind": "class", "classes": ["cubic", "hexagonal"]},
     "chemical_system": {"kind": "elements"}}
"""

import math
import numbers
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import InputError, did_you_mean

#: What can be wished of a property.
Wish: TypeAlias = float | tuple[float, float] | str | frozenset[int]

NUMBER, CLASS, ELEMENTS = KINDS = ("number", "class", "elements")
#: How messages show a wish of each kind.
_EXAMPLES = {
    NUMBER: "a number or a window of two, such as 1.5 or (1.5, 2.5)",
    CLASS: "the name of a class",
    ELEMENTS: "elements, such as 'Li-O'",
}


@dataclass(frozen=True)
class Property:
    """A property that a model was told of while it was trained.

    Args:
        name: Such as "band_gap".
        kind: "number", "class" or "elements".
        unit: Of a number; "1" for a plain one.
        range: Smallest and largest number in training; None where nobody kept it.
        mean: Of the training numbers.
        scale: Their standard deviation.
        classes: Names of the classes that occurred in training.

    Raises:
        InputError: If the kind is not known, or its numbers make no sense.
    """

    name: str
    kind: str = NUMBER
    unit: str = "1"
    range: tuple[float, float] | None = None
    mean: float = 0.0
    scale: float = 1.0
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"The kind of {self.name} is one of {KINDS}, not {self.kind!r}.")
        if self.kind == CLASS and not self.classes:
            raise InputError(f"{self.name} is a class and has no classes. Name those of training.")
        if self.kind == NUMBER and not (math.isfinite(self.mean) and self.scale > 0):
            raise InputError(
                f"{self.name} needs a finite mean and a scale above 0, got {self.mean!r} and "
                f"{self.scale!r}."
            )

    @property
    def width(self) -> int:
        """Numbers in a row that tells it, see `row`."""
        return NUM_SPECIES if self.kind == ELEMENTS else 1

    def __str__(self) -> str:
        """With unit and range, for messages."""
        if self.kind == ELEMENTS:
            return f"{self.name} (elements)"
        if self.kind == CLASS:
            shown = ", ".join(self.classes[:8]) + (", …" if len(self.classes) > 8 else "")
            return f"{self.name} ({len(self.classes)} classes: {shown})"
        unit = "" if self.unit == "1" else f" {self.unit}"
        if self.range is None:
            return f"{self.name} ({self.unit})"
        return f"{self.name} ({self.range[0]:g} to {self.range[1]:g}{unit})"

    def checked(self, wish: Any) -> Wish:
        """A wish in its own form.

        Raises:
            InputError: If it is none for this property.
        """
        if self.kind == ELEMENTS and isinstance(wish, frozenset):
            return wish
        if self.kind == CLASS and isinstance(wish, str | int) and not isinstance(wish, bool):
            return self._class(str(wish))
        if self.kind == NUMBER and is_number(wish):
            return float(wish)
        if self.kind == NUMBER and is_window(wish):
            return float(wish[0]), float(wish[1])
        raise InputError(f"{self.name} is wished as {_EXAMPLES[self.kind]}, got {wish!r}.")

    def outside(self, wish: Wish) -> bool:
        """Whether a number or a part of a window is beyond what the model has seen."""
        if self.kind != NUMBER or self.range is None or isinstance(wish, str | frozenset):
            return False
        low, high = wish if isinstance(wish, tuple) else (wish, wish)
        return low < self.range[0] or high > self.range[1]

    def row(self, wish: Wish, draw: float = 0.5) -> list[float]:
        """What a model is told of one crystal: the number, the place of the class, or 1 for each
        element that is there. A row that tells nothing is NaN throughout.

        Args:
            wish: Checked.
            draw: In [0, 1): which number of a window, which are all equally likely.
        """
        if isinstance(wish, frozenset):
            return [float(z in wish) for z in range(NUM_SPECIES)]
        if isinstance(wish, str):
            return [float(self.classes.index(wish))]
        low, high = wish if isinstance(wish, tuple) else (wish, wish)
        return [low + draw * (high - low)]

    def _class(self, name: str) -> str:
        if name in self.classes:
            return name
        raise InputError(
            f"The model has seen no {self.name} {name!r} in training."
            f"{did_you_mean(name, self.classes)} It knows {self}."
        )

    def as_plain(self) -> dict[str, Any]:
        """As a config holds it."""
        if self.kind == ELEMENTS:
            return {"kind": ELEMENTS}
        if self.kind == CLASS:
            return {"kind": CLASS, "classes": list(self.classes)}
        seen = {} if self.range is None else {"range": list(self.range)}
        return {"kind": NUMBER, "unit": self.unit, **seen, "mean": self.mean, "scale": self.scale}


def declared(entries: Mapping[str, Any] | Collection[str] | None) -> dict[str, Property]:
    """Properties by name, from the entry `properties` of a config.

    Args:
        entries: Declarations by name; names alone are numbers of which nothing else is known.

    Raises:
        InputError: If a declaration cannot be read.
    """
    if not isinstance(entries, Mapping):
        entries = {name: {} for name in entries or ()}
    found = {}
    for name, entry in entries.items():
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        try:
            found[name] = Property(name, **given)
        except TypeError as error:
            raise InputError(f"The property {name!r} does not take {entry!r}: {error}.") from error
    return found


def listed(properties: Collection[Property]) -> str:
    """Properties with units and ranges, for messages."""
    return ", ".join(map(str, properties)) or "no property"


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are none."""
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Real) and math.isfinite(value)


def is_window(value: Any) -> bool:
    """Whether it is two finite numbers, the smaller one first."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2 and all(map(is_number, value))
    return is_pair and value[0] < value[1]


def symbols(elements: frozenset[int]) -> str:
    """Such as "Li-O"."""
    return "-".join(SYMBOLS[z] for z in sorted(elements))

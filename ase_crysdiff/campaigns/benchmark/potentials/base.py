"""What a section of the benchmark of potentials is made of: items, a value of each potential for
every item, and the rows of a table.

A section asks every potential about the same items. Its values are kept one by one, so that a
killed run goes on; rows are made of them at the end, against what is known of the items or against
the values of another potential.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from ase_crysdiff.isolation import Failure

if TYPE_CHECKING:
    from ase_crysdiff.potentials.base import Potential
    from ase_crysdiff.storage import Store

Numbers: TypeAlias = Sequence[float | int]


@dataclass(frozen=True)
class Contender:
    """One of the potentials that are set side by side.

    Args:
        name: Of its column.
        potential: Computes many systems at once.
        calculator: The same as an ASE calculator, for what runs on one.
        identity: Tells its numbers from those of other weights; plain values.
    """

    name: str
    potential: "Potential"
    calculator: Any
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name as a part of file names."""
        return re.sub(r"[^\w.-]+", "_", self.name)


@dataclass(frozen=True)
class Item:
    """Something that potentials are asked about.

    Args:
        key: Names it in every run.
        given: What it is.
    """

    key: str
    given: Any


@dataclass(frozen=True)
class Row:
    """One figure of one potential.

    Args:
        name: What it is.
        unit: "1" for what has none.
        value: None where there is nothing to take it from.
        note: What a reader must know of it.
    """

    name: str
    unit: str
    value: float | int | None
    note: str = ""


@dataclass(frozen=True)
class Parity:
    """Numbers of a potential against others, point by point.

    Args:
        name: What they are.
        unit: Of both.
        known: What they are compared with.
        found: What the potential says, in the same order.
        source: Where the known ones come from, such as "data".
    """

    name: str
    unit: str
    known: Sequence[float]
    found: Sequence[float]
    source: str


@dataclass(frozen=True)
class Values:
    """What a potential says of the items of a section.

    Args:
        values: By key.
        failures: Why there is none, by key.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


class Section(ABC):
    """One part of the table.

    Attributes:
        name: On the command line and in files.
        title: In the table.
        together: Items that a potential is asked about at once; they are kept together, too.
        compares: Whether values are compared with those of the reference potential.
        settings: What values depend on beside the potential, as JSON can hold it.
        unusable: Why something that was given is no item, by key.
    """

    name: str
    title: str
    together: int = 1
    compares: bool = False
    settings: Mapping[str, Any]
    unusable: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def items(self, folder: "Store") -> Sequence[Item]:
        """What potentials are asked about.

        Args:
            folder: For what must be prepared.
        """

    @abstractmethod
    def values(self, contender: Contender, given: Sequence[Any]) -> Sequence[Any]:
        """What a potential says of some items: for each a value that JSON can hold, or a `Failure`.

        What it raises, of any kind, is the failure of an item that was given alone; several are
        asked about one by one then.

        Args:
            contender: The potential.
            given: What the items hold, at most `together`.
        """

    @abstractmethod
    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        """The figures of one potential.

        Args:
            contender: The potential.
            found: What it says of the items.
            reference: What the reference potential says, if `compares`; else empty.

        Raises:
            InputError: If there can be none; the message says why.
        """

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        """Points for plots, with the arguments of `rows`."""
        return []


def single(compute: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
    """A function of one item for several, each with its value or its failure."""
    return [attempt(compute, one) for one in given]


def attempt(compute: Callable[[Any], Any], given: Any) -> Any:
    """A value, or the failure that says what was raised."""
    try:
        return compute(given)
    except Exception as error:  # whatever a potential or a library raises concerns this item only
        return Failure(f"{type(error).__name__}: {str(error).strip()[:200]}")


def mean(numbers: Numbers) -> float | None:
    """None if there are no numbers."""
    return float(math.fsum(numbers) / len(numbers)) if len(numbers) else None


def mean_size(numbers: Numbers) -> float | None:
    """Mean of the absolute values; None if there are none."""
    return mean([abs(number) for number in numbers])


def median(numbers: Numbers) -> float | None:
    """None if there are no numbers."""
    import statistics

    return float(statistics.median(numbers)) if len(numbers) else None


def largest(numbers: Numbers) -> float | None:
    """None if there are no numbers."""
    return float(max(numbers)) if len(numbers) else None

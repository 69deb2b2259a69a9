"""Items that go to a process together, and what becomes of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

#: Number of a chunk, number of an item inside it, and its result or `Failure`.
Answer: TypeAlias = tuple[int, int, Any]


@dataclass(frozen=True)
class Chunk:
    """Items that go to one process.

    Args:
        number: Among all chunks.
        first: Position of the first item in the chunk as it was given.
        items: What is left of it.
        deaths: How often it was begun and its process ended: at its first item, where items are
            answered one by one.
    """

    number: int
    first: int
    items: Sequence[Any]
    deaths: int = 0

    def after(self, count: int, deaths: int = 0) -> "Chunk":
        """What is left when so many items are done."""
        return Chunk(self.number, self.first + count, self.items[count:], deaths)

    def singly(self) -> "list[Chunk]":
        """A chunk for each item."""
        return [
            Chunk(self.number, self.first + k, self.items[k : k + 1], self.deaths)
            for k in range(len(self.items))
        ]


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    reason: str


def attempt(function: Callable[[Any], Any], item: Any) -> Any:
    """The function's value; a `Failure` if it raises."""
    try:
        return function(item)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {str(error).strip()[:200]}")

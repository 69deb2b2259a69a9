"""Structures with what several metrics ask of them, each found once."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import as_structure, entries_of
from ase_crysdiff.crystal.soundness import gate_all
from ase_crysdiff.errors import InputError
from ase_crysdiff.isolation import TIMEOUT, Failure, Workers, map_isolated
from ase_crysdiff.metrics.matching import formula_key, reduced

#: What the gate says of None.
NO_STRUCTURE = "no structure"


class Examined(Sequence[Structure | None]):
    """Requested structures, the verdict of the gate on each, and their reduced cells.

    Every metric takes any sequence of structures. Given this one it does not judge and reduce them
    again.

    Args:
        structures: One entry per requested structure, a structure or ASE atoms; None for one that
            failed. Whatever else is among them fails the gate.
        failures: Reason by position, for all that fail the gate, if they are known already; by
            default the gate is asked.
    """

    def __init__(
        self,
        structures: Structure | Atoms | Iterable[Any],
        failures: Mapping[int, str] | None = None,
    ) -> None:
        self._structures: list[Structure | None] = []
        self._unusable: dict[int, str] = {}
        for position, entry in enumerate(entries_of(structures)):
            try:
                self._structures.append(None if entry is None else as_structure(entry))
            except InputError as error:
                self._structures.append(None)
                self._unusable[position] = str(error)
        if failures is not None:
            self.failures = failures
        self._cells: dict[int, Structure | Failure] = {}

    def __len__(self) -> int:
        return len(self._structures)

    @overload
    def __getitem__(self, position: int) -> Structure | None: ...
    @overload
    def __getitem__(self, position: slice) -> list[Structure | None]: ...
    def __getitem__(self, position: int | slice) -> Structure | list[Structure | None] | None:
        return self._structures[position]

    @cached_property
    def failures(self) -> Mapping[int, str]:
        """Reason by position, for the structures that fail the gate."""
        return gate_all(self._structures) | self._unusable

    @cached_property
    def sound(self) -> Mapping[int, Structure]:
        """The structures that pass the gate, by position."""
        return {
            i: s for i, s in enumerate(self._structures) if s is not None and i not in self.failures
        }

    @cached_property
    def keys(self) -> Mapping[int, Hashable]:
        """Key of the reduced composition of each sound structure, by position."""
        return {i: formula_key(s) for i, s in self.sound.items()}

    def cells(
        self, positions: Iterable[int], *, workers: Workers = 0, timeout: float = TIMEOUT
    ) -> dict[int, Structure | Failure]:
        """Primitive Niggli cells of some sound structures, as matchers want them.

        Args:
            positions: Of the structures.
            workers: Processes, which may hang or die at the cost of the structure in work; 0 works
                in this one, without a time limit.
            timeout: Seconds of processor time for one structure.

        Returns:
            By position the cell, or why there is none.
        """
        wanted = list(positions)
        missing = [i for i in wanted if i not in self._cells]
        found = map_isolated(
            reduced, [self.sound[i] for i in missing], workers=workers, timeout=timeout
        )
        self._cells |= dict(zip(missing, found, strict=True))
        return {i: self._cells[i] for i in wanted}


def examined(structures: Sequence[Structure | None]) -> Examined:
    """The structures with their verdicts; those that have them already as they are."""
    return structures if isinstance(structures, Examined) else Examined(structures)

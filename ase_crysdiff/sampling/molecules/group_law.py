"""Which groups a molecule has: heavy atoms and the number of hydrogens on each, as they occur in
training.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.elements import SYMBOLS, atomic_number
from ase_crysdiff.crystal.molecule_bonds import VALENCES, can_be_joined
from ase_crysdiff.data.group_outlook import GroupWishes
from ase_crysdiff.errors import InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.shapes import Int, Tensor

#: Element and number of hydrogens of each group, sorted.
Groups = tuple[tuple[int, int], ...]
#: Atomic numbers and counts of a molecule, sorted; hydrogen among them.
Formula = tuple[tuple[int, int], ...]
#: Draws of which the first counts whose groups can be one molecule.
_TRIES = 32


class GroupLaw:
    """How often molecules have which groups.

    Args:
        histogram: Molecules by groups, written as `data.molecules.written` does.
    """

    def __init__(self, histogram: Mapping[str, int]) -> None:
        self.groups: list[Groups] = [_read(text) for text in histogram]
        self.counts = list(map(float, histogram.values()))
        self.formulas = [formula_of(groups) for groups in self.groups]
        self._odds: dict[int, NDArray[np.float64]] = {}
        for groups, count in zip(self.groups, self.counts, strict=True):
            for z, hydrogens in groups:
                odds = self._odds.setdefault(z, np.zeros(5))
                odds[min(hydrogens, 4)] += count

    def with_heavy_atoms(self, number: int) -> int:
        """How many molecules of training have so many heavy atoms."""
        counts = zip(self.groups, self.counts, strict=True)
        return int(sum(count for groups, count in counts if len(groups) == number))

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers of heavy atoms that occur."""
        return frozenset(self._odds)

    def of_formula(
        self, formula: Formula, streams: Streams, wishes: GroupWishes | None = None
    ) -> list[Groups]:
        """Groups of molecules of a formula, one list for each stream.

        A formula that training has seen takes its lists, another one such of `by_elements` as can
        be one molecule, where some can; these hear of no wishes.

        Args:
            formula: With one heavy atom at least, all of known elements.
            streams: Random numbers.
            wishes: Of each molecule.

        Raises:
            InputError: If its atoms cannot carry that many hydrogens.
        """
        known = [i for i, own in enumerate(self.formulas) if own == formula]
        if not known:
            return self.by_elements(formula, streams, _TRIES)
        return self._picked(known, streams, wishes)

    def by_elements(self, formula: Formula, streams: Streams, tries: int = 1) -> list[Groups]:
        """Groups of atoms, one list for each stream: each heavy atom gets as many hydrogens as
        atoms of its element have, given that they add up.

        Args:
            formula: With one heavy atom at least, all of known elements.
            streams: Random numbers.
            tries: Draws, of which the first counts whose groups can be one molecule without open
                bonds, and the last if none can. With one draw groups may have any open bonds.

        Raises:
            InputError: If its atoms cannot carry that many hydrogens.
        """
        amounts = dict(formula)
        heavy = tuple(z for z, count in formula if z > 1 for _ in range(count))
        shares = self._shares(heavy, amounts.get(1, 0))
        rng = streams.rng(
            "hydrogens", 0, [len(heavy)] * len(streams), torch.device("cpu"), torch.float64
        )
        numbers = rng.uniform(tries).view(len(streams), len(heavy), tries).transpose(1, 2)
        draws = ((self._drawn(heavy, shares, row) for row in rows) for rows in numbers.tolist())
        return [_first_joined(some) for some in draws]

    def free(
        self,
        streams: Streams,
        num_atoms: int | None = None,
        elements: frozenset[int] | None = None,
        system: frozenset[int] | None = None,
        wishes: GroupWishes | None = None,
    ) -> list[Groups]:
        """Groups as they occur, one list for each stream.

        Args:
            streams: Random numbers.
            num_atoms: Of each molecule, hydrogens among them; None for any.
            elements: Only these may occur; None for any.
            system: Exactly these occur; None for any.
            wishes: Of each molecule.

        Raises:
            InputError: If no molecule of the training is like that.
        """
        allowed = [
            i
            for i, formula in enumerate(self.formulas)
            if _obeys(formula, num_atoms, elements, system)
        ]
        if not allowed:
            raise InputError(
                f"No molecule that the model has seen {_wished(num_atoms, elements, system)}. Give "
                "a composition, or ask for less."
            )
        return self._picked(allowed, streams, wishes)

    def _picked(
        self, places: Sequence[int], streams: Streams, wishes: GroupWishes | None
    ) -> list[Groups]:
        odds = [self.counts[i] for i in places]
        if wishes is None or not wishes.names:
            chosen = streams.pick("groups", list(places), odds)
        else:
            of_each = wishes.odds([self.groups[i] for i in places], odds)
            chosen = streams.pick("groups", list(places), of_each)
        return [self.groups[i] for i in chosen]

    def _shares(self, heavy: tuple[int, ...], hydrogens: int) -> NDArray[np.float64]:
        """How likely the heavy atoms from each one on have so many hydrogens together, shape (heavy
        atoms + 1, hydrogens + 1).

        Raises:
            InputError: If all of them never have as many as there are.
        """
        shares = np.zeros((len(heavy) + 1, hydrogens + 1))
        shares[-1, 0] = 1
        for place in range(len(heavy) - 1, -1, -1):
            odds = self._share_of(heavy[place])
            for own, share in enumerate(odds[: hydrogens + 1]):
                shares[place, own:] += share * shares[place + 1, : hydrogens + 1 - own]
        if not shares[0, -1] > 0:
            raise InputError(
                f"{hydrogens} hydrogen atoms do not fit on "
                f"{' '.join(SYMBOLS[z] for z in heavy)} as the model knows these elements."
            )
        return shares

    def _drawn(
        self, heavy: tuple[int, ...], shares: NDArray[np.float64], numbers: Sequence[float]
    ) -> Groups:
        """Hydrogens of each heavy atom, one after the other, so that they add up."""
        left = shares.shape[1] - 1
        found = []
        for place, (z, number) in enumerate(zip(heavy, numbers, strict=True)):
            odds = self._share_of(z)[: left + 1]
            odds = odds * shares[place + 1, left - np.arange(len(odds))]
            own = int((number * odds.sum() >= odds.cumsum()).sum())
            own = min(own, int(np.flatnonzero(odds)[-1]))
            found.append((z, own))
            left -= own
        return tuple(sorted(found))

    def _share_of(self, z: int) -> NDArray[np.float64]:
        odds = self._odds[z]
        share: NDArray[np.float64] = odds / odds.sum()
        return share


def _first_joined(draws: Iterable[Groups]) -> Groups:
    """The first groups that can be one molecule, the last if none can."""
    groups: Groups = ()
    for groups in draws:
        known = all(z in VALENCES for z, _ in groups)
        if known and can_be_joined([VALENCES[z] - hydrogens for z, hydrogens in groups]):
            break
    return groups


def atoms_of(groups: Groups) -> Int[Tensor, " atoms"]:
    """Atomic numbers of the rows of a molecule, group by group."""
    return torch.tensor([a for z, hydrogens in groups for a in (z, *[1] * hydrogens)])


def formula_of(groups: Groups) -> Formula:
    """The formula of groups."""
    return amounts_of([int(z) for z in atoms_of(groups)])


def amounts_of(species: Sequence[int]) -> Formula:
    """The formula of atoms."""
    return tuple((z, species.count(z)) for z in sorted(set(species)))


@lru_cache(maxsize=8192)
def _read(text: str) -> Groups:
    """Groups of a text such as `C0 C3 O1`."""
    found = re.findall(r"([A-Z][a-z]?)(\d+)", text)
    return tuple(sorted((atomic_number(symbol), int(count)) for symbol, count in found))


def _obeys(
    formula: Formula,
    num_atoms: int | None,
    elements: frozenset[int] | None,
    system: frozenset[int] | None,
) -> bool:
    own = {z for z, _ in formula}
    return (
        (num_atoms is None or sum(n for _, n in formula) == num_atoms)
        and (elements is None or own <= elements)
        and (system is None or own == system)
    )


def _wished(
    num_atoms: int | None, elements: frozenset[int] | None, system: frozenset[int] | None
) -> str:
    """Constraints, for a message."""
    words = [] if num_atoms is None else [f"has {num_atoms} atoms"]
    for wish, said in ((elements, "only"), (system, "exactly")):
        if wish is not None:
            words.append(f"is of {said} {', '.join(SYMBOLS[z] for z in sorted(wish))}")
    return " and ".join(words)

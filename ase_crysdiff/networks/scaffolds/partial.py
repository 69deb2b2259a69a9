"""Scaffolds on the way: what is decided, what is still to be placed, what may come next."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, ordered
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

#: Elements with their atoms in the primitive cell, in the order of decisions.
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Partial:
    """A scaffold on the way.

    Args:
        pairs: Elements with their atoms, in the order of decisions.
        group: Number of the space group; 0 before it is chosen.
        letters: Places of the letters of the sites so far in the alphabet.
        turns: Element in turn of each site, as a place in `pairs`.
        needs: Atoms still to be placed of the element in turn and of those to come.
        used: Bit i is set if position i has no free coordinate and is occupied.
        lowest: First letter that the element in turn may take.
        log_probability: Of all decisions so far, nats.
    """

    pairs: Pairs
    group: int = 0
    letters: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    needs: tuple[int, ...] = ()
    used: int = 0
    lowest: int = 0
    log_probability: float = 0.0

    @staticmethod
    def of(counts: Mapping[int, int], log_probability: float = 0.0) -> "Partial":
        """Nothing decided yet.

        Args:
            counts: Atoms of each element in the primitive cell, by atomic number.
            log_probability: Of this composition among others.

        Raises:
            InputError: If there are more elements than the model knows places for.
        """
        check_elements(counts)
        pairs = tuple(ordered(counts))
        needs = tuple(count for _, count in pairs)
        return Partial(pairs, needs=needs, log_probability=log_probability)

    @property
    def turn(self) -> int:
        """The element in turn, as a place in `pairs`."""
        return len(self.pairs) - len(self.needs)

    @property
    def finished(self) -> bool:
        """Whether all atoms are placed."""
        return self.group > 0 and not self.needs

    def finishes(self, choice: int) -> bool:
        """Whether nothing is left to decide after this decision."""
        if not self.group or len(self.needs) > 1:
            return False
        return space_group(self.group).positions[choice].multiplicity == self.needs[0]

    def follow(self, choice: int, log_probability: float) -> "Partial":
        """After a decision, for a group or the place of a letter, with that probability of all
        decisions.
        """
        if not self.group:
            return replace(self, group=choice, log_probability=log_probability)
        position = space_group(self.group).positions[choice]
        fixed = position.free == 0
        left = self.needs[0] - position.multiplicity
        done = left == 0
        return Partial(
            self.pairs,
            self.group,
            (*self.letters, choice),
            (*self.turns, self.turn),
            self.needs[1:] if done else (left, *self.needs[1:]),
            self.used | fixed << choice,
            0 if done else choice + fixed,
            log_probability,
        )

    def scaffold(self) -> Scaffold:
        """The finished scaffold."""
        sites = zip(self.turns, self.letters, strict=True)
        return Scaffold(self.group, tuple((self.pairs[t][0], LETTERS[x]) for t, x in sites))


def check_elements(counts: Sized) -> None:
    """Refuse more elements than the model knows places for.

    Args:
        counts: An entry for each element.

    Raises:
        InputError: If there are, or if there is none.
    """
    if not 1 <= len(counts) <= MAX_ELEMENTS:
        raise InputError(
            f"The model of scaffolds knows places for 1 to {MAX_ELEMENTS} elements; got "
            f"{len(counts)}."
        )

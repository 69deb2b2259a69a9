"""Scaffolds on the way: what is decided, what is still to be placed, what may come next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, letters_that_follow, ordered
from ase_crysdiff.symmetry.feasible import feasible_groups
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group


@dataclass(frozen=True)
class Partial:
    """A scaffold on the way.

    Args:
        pairs: Elements with their atoms, in the order of decisions.
        group: Number of the space group; 0 before it is chosen.
        sites: Element in turn, letter, and atoms that were still to be placed, of each site.
        needs: Atoms still to be placed of the element in turn and of those to come.
        used: Bit i is set if position i has no free coordinate and is occupied.
        lowest: First letter that the element in turn may take.
        log_probability: Of all decisions so far, nats.
    """

    pairs: tuple[tuple[int, int], ...]
    group: int = 0
    sites: tuple[tuple[int, int, int], ...] = ()
    needs: tuple[int, ...] = ()
    used: int = 0
    lowest: int = 0
    log_probability: float = 0.0

    @staticmethod
    def of(counts: Mapping[int, int]) -> "Partial":
        """Nothing decided yet.

        Raises:
            InputError: If there are more elements than the model knows places for.
        """
        check_elements(counts)
        pairs = tuple(ordered(counts))
        return Partial(pairs, needs=tuple(count for _, count in pairs))

    @property
    def finished(self) -> bool:
        """Whether all atoms are placed."""
        return self.group > 0 and not self.needs

    def choices(self, groups: frozenset[int] | None) -> Sequence[int]:
        """What may be decided next: groups, or places of letters.

        Args:
            groups: The only groups that may be chosen; None for no restriction.
        """
        if self.group:
            return letters_that_follow(self.group, self.needs, self.used, self.lowest)
        possible = feasible_groups(self.needs)
        return [n for n in possible if groups is None or n in groups]

    def follow(self, choice: int, log_probability: float) -> "Partial":
        """After a decision of this probability."""
        total = self.log_probability + log_probability
        if not self.group:
            return replace(self, group=choice, log_probability=total)
        position = space_group(self.group).positions[choice]
        fixed = position.free == 0
        turn = len(self.pairs) - len(self.needs)
        left = self.needs[0] - position.multiplicity
        done = left == 0
        return replace(
            self,
            sites=(*self.sites, (turn, choice, self.needs[0])),
            needs=self.needs[1:] if done else (left, *self.needs[1:]),
            used=self.used | fixed << choice,
            lowest=0 if done else choice + fixed,
            log_probability=total,
        )

    def scaffold(self) -> Scaffold:
        """The finished scaffold."""
        sites = ((self.pairs[turn][0], LETTERS[letter]) for turn, letter, _ in self.sites)
        return Scaffold(self.group, tuple(sites))


def check_elements(counts: Mapping[int, int]) -> None:
    """Refuse more elements than the model knows places for.

    Raises:
        InputError: If there are, or if there is none.
    """
    if not 1 <= len(counts) <= MAX_ELEMENTS:
        raise InputError(
            f"The model of scaffolds knows places for 1 to {MAX_ELEMENTS} elements; got "
            f"{len(counts)}."
        )

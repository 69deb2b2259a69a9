"""Scaffolds from a model: one drawn for each of several compositions, or the likeliest of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.symmetry.decisions import (
    MAX_ELEMENTS,
    Decisions,
    letters_that_follow,
    ordered,
)
from ase_crysdiff.symmetry.feasible import feasible_groups
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import LETTERS, space_group

#: Matrix products of fewer rows are rounded in another way, so that an answer would hang on what is
#: computed beside it.
_LEAST_ROWS = 4


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
        if not 1 <= len(counts) <= MAX_ELEMENTS:
            raise InputError(
                f"Scaffolds are drawn for 1 to {MAX_ELEMENTS} elements, got {len(counts)}."
            )
        pairs = tuple(ordered(dict(counts)))
        return Partial(pairs, needs=tuple(count for _, count in pairs))

    @property
    def finished(self) -> bool:
        """Whether all atoms are placed."""
        return self.group > 0 and not self.needs

    def choices(self, groups: frozenset[int] | None) -> list[int]:
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


class ScaffoldDecoder:
    """Decides for scaffolds by a model's probabilities, with what cannot be completed left out.

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: ScaffoldModel) -> None:
        self.model = model

    @torch.no_grad()
    def draw(
        self,
        counts: Sequence[Mapping[int, int]],
        uniform: Callable[[int], Sequence[float]],
        *,
        groups: frozenset[int] | None = None,
        temperature: float = 1.0,
        hull: int = 0,
    ) -> list[Partial]:
        """One scaffold for each composition, drawn from the model.

        Args:
            counts: Atoms of each element in the primitive cell, by atomic number.
            uniform: Random numbers in [0, 1) of a decision, one for each composition.
            groups: The only space groups that may be chosen; None for no restriction.
            temperature: Divides the logarithms of the probabilities of letters and groups.
            hull: Class of the energy above the hull that is wished; 0 leaves it open.

        Raises:
            InputError: If none of the groups can hold one of the compositions.
        """
        partials, decision = [Partial.of(c) for c in counts], 0
        while not all(p.finished for p in partials):
            live = [i for i, p in enumerate(partials) if not p.finished]
            numbers = uniform(decision)
            for i, (choices, logs) in zip(
                live, self._options([partials[i] for i in live], groups, hull), strict=True
            ):
                sharpened = np.exp((logs - logs.max()) / temperature)
                steps = np.cumsum(sharpened) / sharpened.sum()
                place = min(int(np.searchsorted(steps, numbers[i])), len(choices) - 1)
                partials[i] = partials[i].follow(choices[place], float(logs[place]))
            decision += 1
        return partials

    @torch.no_grad()
    def likeliest(
        self,
        counts: Mapping[int, int],
        number: int,
        *,
        groups: frozenset[int] | None = None,
        beam: int = 64,
        hull: int = 0,
    ) -> list[Partial]:
        """The likeliest scaffolds of a composition, the best first, by beam search.

        Args:
            counts: Atoms of each element in the primitive cell, by atomic number.
            number: At most so many.
            groups: The only space groups that may be chosen; None for no restriction.
            beam: Unfinished scaffolds that are followed.
            hull: Class of the energy above the hull that is wished; 0 leaves it open.

        Raises:
            InputError: If none of the groups can hold the composition.
        """
        live, found = [Partial.of(counts)], []
        while live:
            grown = [
                partial.follow(choice, float(log))
                for partial, (choices, logs) in zip(
                    live, self._options(live, groups, hull), strict=True
                )
                for choice, log in zip(choices, logs, strict=True)
            ]
            found += [p for p in grown if p.finished]
            found.sort(key=lambda p: -p.log_probability)
            found = found[:number]
            # Probabilities only fall: what is below the last of a full list never gets into it.
            floor = found[-1].log_probability if len(found) == number else -np.inf
            live = [p for p in grown if not p.finished and p.log_probability > floor]
            live = sorted(live, key=lambda p: -p.log_probability)[:beam]
        return found

    def _options(
        self, partials: Sequence[Partial], groups: frozenset[int] | None, hull: int
    ) -> list[tuple[list[int], np.ndarray]]:
        """What each may decide next, with the logarithms of the probabilities."""
        group_logits, letter_logits = self._logits(partials, hull)
        found = []
        for row, partial in enumerate(partials):
            choices = partial.choices(groups)
            if not choices:
                atoms = "".join(f"{z}:{n} " for z, n in partial.pairs).strip()
                raise InputError(
                    f"None of the allowed space groups can hold the composition ({atoms})."
                )
            logits = (letter_logits if partial.group else group_logits)[row, choices]
            found.append((choices, torch.log_softmax(logits.double(), -1).numpy()))
        return found

    def _logits(self, partials: Sequence[Partial], hull: int) -> tuple[Tensor, Tensor]:
        """Of the next decision of each: groups, and letters."""
        length = max(len(p.sites) for p in partials) + 1
        rows = [self._row(p, length, hull) for p in partials]
        rows += [rows[-1]] * (_LEAST_ROWS - len(rows))
        batch = Decisions(*(torch.tensor(np.stack(column)) for column in zip(*rows, strict=True)))
        group, letters = self.model(batch)
        ends = torch.tensor([len(p.sites) for p in partials])
        return group[: len(partials)], letters[torch.arange(len(partials)), ends]

    def _row(self, partial: Partial, length: int, hull: int) -> tuple[np.ndarray, ...]:
        """The fields of `Decisions` for one; the site in question comes last."""
        elements, counts = np.zeros((2, MAX_ELEMENTS), np.int64)
        for i, (number, count) in enumerate(partial.pairs):
            elements[i], counts[i] = number, count
        letters, turn, remaining = np.zeros((3, length), np.int64)
        for i, (element, letter, left) in enumerate(partial.sites):
            turn[i], letters[i], remaining[i] = element, letter, left
        if partial.needs:
            end = len(partial.sites)
            turn[end], remaining[end] = len(partial.pairs) - len(partial.needs), partial.needs[0]
        nothing = np.zeros((length, 0), bool)
        return (
            elements,
            counts,
            np.array(hull),
            np.array(partial.group),
            np.zeros(0, bool),
            letters,
            turn,
            remaining,
            nothing,
        )

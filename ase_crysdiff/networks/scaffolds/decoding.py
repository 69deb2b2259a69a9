"""Scaffolds from a model: one drawn for each of several compositions, or the likeliest of one."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.partial import Partial, check_elements
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.symmetry.decisions import MAX_ELEMENTS, Decisions, decisions_of
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Matrix products of fewer rows are rounded in another way, so that an answer would hang on what is
#: computed beside it.
_LEAST_ROWS = 4
#: Scaffolds that are scored at once.
_CHUNK = 128


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

    @torch.no_grad()
    def log_probabilities(
        self,
        scaffolds: Sequence[Scaffold],
        *,
        groups: frozenset[int] | None = None,
        hull: int = 0,
    ) -> Float[np.ndarray, " scaffolds"]:
        """Logarithms of the probabilities of scaffolds, each given its composition, nats.

        That of the canonical description, the only one that the model has seen.

        Args:
            scaffolds: Of any compositions.
            groups: The only space groups that may be chosen; None for no restriction. A scaffold of
                another group has the probability 0.
            hull: Class of the energy above the hull that is wished; 0 leaves it open.

        Raises:
            InputError: If a scaffold has more elements than the model knows places for.
        """
        rows = [_given(scaffold.canonical(), groups, hull) for scaffold in scaffolds]
        found = np.zeros(len(rows))
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["letters"]))
        for start in range(0, len(rows), _CHUNK):
            chunk = order[start : start + _CHUNK]
            filled = [rows[i] for i in chunk] + [rows[chunk[-1]]] * (_LEAST_ROWS - len(chunk))
            batch = Decisions.of(filled)
            found[chunk] = self._of_decisions(batch)[: len(chunk)]
        return found

    def _of_decisions(self, batch: Decisions) -> np.ndarray:
        """Logarithm of the probability of each sequence."""
        group, letters = self.model(batch)
        chosen = batch.group[:, None]
        of_group = _masked(group, batch.groups).gather(1, chosen)
        of_group = of_group.masked_fill(~batch.groups.gather(1, chosen), -torch.inf)[:, 0]
        # Empty sites, where nothing is allowed, are decided with certainty.
        empty = ~batch.allowed.any(-1, keepdim=True)
        of_letters = _masked(letters, batch.allowed | empty).masked_fill(empty, 0)
        total = of_group + of_letters.gather(2, batch.letters[..., None]).sum((1, 2))
        return total.numpy()

    def _options(
        self, partials: Sequence[Partial], groups: frozenset[int] | None, hull: int
    ) -> list[tuple[Sequence[int], np.ndarray]]:
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
            logits = (letter_logits if partial.group else group_logits)[row, list(choices)]
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


def _given(scaffold: Scaffold, groups: frozenset[int] | None, hull: int) -> dict[str, np.ndarray]:
    """The decisions of a scaffold, of these groups only."""
    check_elements(scaffold.counts)
    row = decisions_of(scaffold, hull)
    if groups is not None:
        wished = np.isin(np.arange(len(row["groups"])), list(groups))
        row["groups"] = row["groups"] & wished
    return row


def _masked(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logarithms of probabilities that are spent on what is allowed alone."""
    return torch.log_softmax(logits.double().masked_fill(~allowed, -torch.inf), -1)

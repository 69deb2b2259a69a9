"""What a model of scaffolds says about the next decision of scaffolds on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.partial import Pairs, Partial
from ase_crysdiff.networks.scaffolds.reading import Reader
from ase_crysdiff.shapes import Bool, Float, Int, Tensor
from ase_crysdiff.symmetry.decisions import (
    MAX_ELEMENTS,
    NUM_HULL_CLASSES,
    groups_that_hold,
    letters_that_follow,
)
from ase_crysdiff.symmetry.tables import mirrored

#: Atoms of each element in the primitive cell, by atomic number.
Counts = Mapping[int, int]


@dataclass(frozen=True)
class Wish:
    """What is wished of scaffolds beside their composition.

    Args:
        groups: The only space groups that may be chosen; None for no restriction.
        hull: Class of the energy above the hull; 0 leaves it open.
        guidance_weight: How much the class counts: logits are l0 + w (l - l0), with l0 those of the
            open class. 1 is the model's conditional probability, 0 ignores the class; any other
            weight doubles the cost.

    Raises:
        InputError: If there is no such class.
    """

    groups: frozenset[int] | None = None
    hull: int = 0
    guidance_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.hull < NUM_HULL_CLASSES:
            raise InputError(
                f"Classes of the energy above the hull are 0 to {NUM_HULL_CLASSES - 1}, got "
                f"{self.hull}."
            )
        # Mirror images are one crystal, known by the lower group of a pair.
        if self.groups is not None:
            object.__setattr__(self, "groups", frozenset(mirrored(n) for n in self.groups))

    @property
    def classes(self) -> dict[int, float]:
        """Classes of the energy above the hull, and how much the logits of each count."""
        if self.hull == 0 or self.guidance_weight == 0:
            return {0: 1.0}
        if self.guidance_weight == 1:
            return {self.hull: 1.0}
        return {self.hull: self.guidance_weight, 0: 1 - self.guidance_weight}

    def groups_for(self, needs: tuple[int, ...]) -> Bool[np.ndarray, " groups"]:
        """Which groups may be chosen for these atoms; column n is group n."""
        return _groups_for(tuple(sorted(needs)), self.groups)


@lru_cache(1 << 12)
def _groups_for(
    needs: tuple[int, ...], groups: frozenset[int] | None
) -> Bool[np.ndarray, " groups"]:
    able = groups_that_hold(needs)
    return able if groups is None else able & np.isin(np.arange(len(able)), list(groups))


def root_of(wish: Wish, counts: Counts) -> Partial:
    """Nothing decided yet, for a composition.

    Raises:
        InputError: If none of the wished groups can hold it.
    """
    root = Partial.of(counts)
    if not wish.groups_for(root.needs).any():
        atoms = " ".join(f"{z}:{n}" for z, n in root.pairs)
        raise InputError(f"None of the allowed space groups can hold the composition ({atoms}).")
    return root


def roots_of(
    wish: Wish, counts: Counts | Sequence[Counts], log_weights: Sequence[float] | None
) -> list[Partial]:
    """Nothing decided yet, for each of several compositions that the wished groups can hold, with
    the logarithm of its share.

    Args:
        wish: What is wished.
        counts: A composition, or several.
        log_weights: Logarithms of their shares, up to one number; None for equal ones.

    Raises:
        InputError: If none of them can be held, or there is not one weight for each.
    """
    several = [counts] if isinstance(counts, Mapping) else list(counts)
    logs = np.zeros(len(several)) if log_weights is None else np.array(log_weights, float)
    if not several or logs.shape != (len(several),) or not np.isfinite(logs).all():
        raise InputError(
            f"{len(several)} compositions need the finite logarithm of a weight each; got "
            f"{logs.tolist()}."
        )
    able = [i for i, c in enumerate(several) if wish.groups_for(tuple(c.values())).any()]
    if not able:
        return [root_of(wish, several[0])]
    shares = logs[able] - np.logaddexp.reduce(logs[able])
    return [Partial.of(several[i], float(x)) for i, x in zip(able, shares, strict=True)]


class Readers:
    """The model under a wish: one `Reader` for each class that counts, and their logits together.

    Args:
        model: In evaluation mode.
        pairs: Elements with their atoms, in the order of decisions, of every row. Each composition
            is read once.
        wish: Its classes count.
    """

    def __init__(self, model: ScaffoldModel, pairs: Sequence[Pairs], wish: Wish) -> None:
        kinds = {kind: row for row, kind in enumerate(dict.fromkeys(pairs))}
        elements, counts = np.zeros((2, len(kinds), MAX_ELEMENTS), np.int64)
        for kind, row in kinds.items():
            elements[row, : len(kind)], counts[row, : len(kind)] = zip(*kind, strict=True)
        given = torch.from_numpy(elements), torch.from_numpy(counts)
        self._readers = [
            (weight, Reader(model, *given, hull)) for hull, weight in wish.classes.items()
        ]
        self.select([kinds[kind] for kind in pairs])

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order, some of them possibly several times."""
        for _, reader in self._readers:
            reader.select(torch.tensor(rows))

    def groups(self) -> Float[Tensor, "rows groups"]:
        """Logits of the space groups."""
        return self._mixed(lambda reader: reader.groups)

    def letters(
        self,
        group: Int[Tensor, " rows"],
        before: Int[Tensor, "rows sites"],
        turn: Int[Tensor, "rows sites"],
        remaining: Int[Tensor, "rows sites"],
    ) -> Float[Tensor, "rows sites letters"]:
        """As of `Reader`."""
        return self._mixed(lambda reader: reader.letters(group, before, turn, remaining))

    def _mixed(self, logits: Callable[[Reader], Tensor]) -> Tensor:
        return torch.stack([weight * logits(reader) for weight, reader in self._readers]).sum(0)


def log_shares(
    logits: Float[Tensor, "*rows choices"], allowed: Bool[Tensor, "*rows choices"]
) -> Float[Tensor, "*rows choices"]:
    """Logarithms of the probabilities, in double precision, of which nothing is spent on what is
    not allowed.
    """
    return torch.log_softmax(logits.double().masked_fill(~allowed, -torch.inf), -1)


class Frontier:
    """Unfinished scaffolds after equally many decisions, with what the model has read of them.

    Args:
        model: In evaluation mode.
        partials: Nothing of them is decided yet.
        wish: What is wished of them.
    """

    def __init__(self, model: ScaffoldModel, partials: Sequence[Partial], wish: Wish) -> None:
        self.partials, self._wish = list(partials), wish
        self._readers = Readers(model, [p.pairs for p in partials], wish)

    def advance(self, parents: Sequence[int], partials: Sequence[Partial]) -> None:
        """Go on with scaffolds that are one decision further.

        Args:
            parents: Places of what they were before.
            partials: The scaffolds.
        """
        if partials and list(parents) != list(range(len(self.partials))):
            self._readers.select(parents)
        self.partials = list(partials)

    def options(self) -> Float[np.ndarray, "partials choices"]:
        """Logarithms of the probabilities of the next decisions, groups or letters; that of what is
        not allowed is minus infinity. To be asked once for each decision.
        """
        partials = self.partials
        if not partials[0].group:
            allowed = np.stack([self._wish.groups_for(p.needs) for p in partials])
            return log_shares(self._readers.groups(), torch.from_numpy(allowed)).numpy()
        allowed = np.stack(
            [letters_that_follow(p.group, p.needs, p.used, p.lowest) for p in partials]
        )
        before = [p.letters[-1] if p.letters else 0 for p in partials]
        sites = torch.tensor([before, [p.turn for p in partials], [p.needs[0] for p in partials]])
        group = torch.tensor([p.group for p in partials])
        logits = self._readers.letters(group, *sites[..., None])
        return log_shares(logits[:, 0], torch.from_numpy(allowed)).numpy()

"""Other elements for known crystals: some parts are hidden and drawn again by the masked model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.network import (
    HIDDEN,
    STABLE,
    UNKNOWN,
    SiteElements,
    present,
)
from ase_crysdiff.networks.site_elements.parts import parts_of
from ase_crysdiff.networks.species_embeddings import NUM_ELEMENTS
from ase_crysdiff.shapes import Bool, Float, Int, Tensor
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.scaffold import Scaffold

#: Atomic numbers of the parts of a crystal.
Elements: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class ExchangeSettings:
    """How elements are exchanged; temperature and scale were tuned by the share of draws from
    which `dao-p` relaxes new crystals near the hull.

    Args:
        sweeps: How often some parts are hidden and drawn again.
        hidden: Probability of each part to be hidden in a sweep; one part is hidden at least.
        temperature: Divides the logarithms of the probabilities; below 1 sharpens.
        guidance_scale: How far the probabilities go from those among all crystals (0) to those
            among stable ones (1) and beyond.
    """

    sweeps: int = 1
    hidden: float = 0.5
    temperature: float = 0.7
    guidance_scale: float = 2.0

    def __post_init__(self) -> None:
        if self.sweeps < 1 or not 0 <= self.hidden <= 1 or not self.temperature > 0:
            raise InputError(
                "sweeps must be at least 1, hidden lie in [0, 1] and temperature be above 0, got "
                f"{self.sweeps}, {self.hidden} and {self.temperature}."
            )


class ElementExchange:
    """Draws elements for the parts of crystals.

    The parts of a crystal have different elements, always. What is drawn for a crystal depends on
    its own source of randomness alone, not on the other crystals of a call.

    Args:
        network: The masked model.
        settings: How to draw.
        elements: Atomic numbers that may be drawn; None for all that the network knows.
    """

    def __init__(
        self,
        network: SiteElements,
        settings: ExchangeSettings | None = None,
        elements: Collection[int] | None = None,
    ) -> None:
        self.network, self.settings = network.eval(), settings or ExchangeSettings()
        self.elements = frozenset(range(1, NUM_ELEMENTS) if elements is None else elements)

    def propose(
        self,
        crystals: Sequence[SymmetricCrystal | Scaffold],
        rngs: Sequence[np.random.Generator],
        *,
        allowed: Collection[int] | None = None,
        required: Collection[int] = (),
        fixed: Collection[int] = (),
    ) -> list[Elements]:
        """Elements for each crystal, by part in the order of its scaffold's elements.

        Args:
            crystals: What to begin with; a scaffold is a crystal whose geometry nobody knows.
            rngs: Source of randomness of each crystal.
            allowed: Atomic numbers that may occur; None for all.
            required: Atomic numbers that must occur.
            fixed: Elements of the crystals that stay where they are.

        Raises:
            InputError: If there are not as many sources of randomness as crystals.
            IncompatibleError: If a crystal has too few parts for what is required, or more than
                there are elements for.
        """
        if len(rngs) != len(crystals):
            raise InputError(f"{len(crystals)} crystals need as many rngs, got {len(rngs)}.")
        permitted = self.elements if allowed is None else self.elements & frozenset(allowed)
        parts = [parts_of(crystal) for crystal in crystals]
        found: list[Elements] = [()] * len(parts)
        for size in sorted({len(p.elements) for p in parts}):
            members = [i for i, p in enumerate(parts) if len(p.elements) == size]
            given = torch.tensor([parts[i].elements for i in members])
            stays = torch.isin(given, torch.tensor(sorted(fixed), dtype=torch.long))
            wishes = _Wishes.of(permitted, required, given, stays)
            drawn = self._draw(
                PartBatch.of([parts[i] for i in members]), given, wishes, [rngs[i] for i in members]
            )
            for i, row in zip(members, drawn.tolist(), strict=True):
                found[i] = tuple(row)
        return found

    @torch.no_grad()
    def _draw(
        self,
        batch: PartBatch,
        elements: Int[Tensor, "crystals parts"],
        wishes: "_Wishes",
        rngs: Sequence[np.random.Generator],
    ) -> Int[Tensor, "crystals parts"]:
        size = elements.shape[1]
        for _ in range(self.settings.sweeps):
            luck = _uniform(rngs, size).masked_fill(wishes.stays, 2.0)
            hidden = (luck < self.settings.hidden) | (luck == luck.amin(1, keepdim=True))
            hidden = (hidden | ~wishes.met(elements)[:, None]) & ~wishes.stays
            order = luck.masked_fill(~hidden, 3.0).argsort(dim=1, stable=True)
            elements = elements.masked_fill(hidden, HIDDEN)
            for step in range(int(hidden.sum(1).max())):
                rows = torch.nonzero(hidden.sum(1) > step).flatten()
                place = order[rows, step]
                luck = _uniform([rngs[i] for i in rows.tolist()], NUM_ELEMENTS)
                logits = self._logits(batch, elements)[rows, place] / self.settings.temperature
                chances = logits - torch.log(-torch.log(luck.clamp(1e-9, 1 - 1e-7)))  # Gumbel
                may = wishes.possible(elements)[rows]
                elements = elements.index_put(
                    (rows, place), chances.masked_fill(~may, -torch.inf).argmax(1)
                )
        return elements

    def _logits(
        self, batch: PartBatch, elements: Int[Tensor, "crystals parts"]
    ) -> Float[Tensor, "crystals parts elements"]:
        """Log-probabilities, moved towards those of stable crystals."""
        scale = self.settings.guidance_scale
        given = torch.full((len(batch),), STABLE)
        stable = self.network(batch, elements, given).log_softmax(-1)
        if scale == 1:
            return stable
        free = self.network(batch, elements, torch.full_like(given, UNKNOWN)).log_softmax(-1)
        return torch.lerp(free, stable, scale)


def _uniform(rngs: Sequence[np.random.Generator], width: int) -> Float[Tensor, "crystals width"]:
    return torch.from_numpy(np.stack([rng.random(width, np.float32) for rng in rngs]))


@dataclass(frozen=True)
class _Wishes:
    """Which elements may and must occur in each crystal.

    Args:
        permitted: By atomic number.
        required: By atomic number.
        stays: Parts that keep their element.
    """

    permitted: Bool[Tensor, " elements"]
    required: Bool[Tensor, " elements"]
    stays: Bool[Tensor, "crystals parts"]

    @staticmethod
    def of(
        permitted: Collection[int], required: Collection[int], given: Tensor, stays: Tensor
    ) -> "_Wishes":
        """Checked against the crystals."""
        size = given.shape[1]
        if not set(required) <= set(permitted):
            raise IncompatibleError(
                f"The elements {sorted(set(required) - set(permitted))} are required, but may not "
                "occur or are not known."
            )
        kept = [frozenset(row[mask].tolist()) for row, mask in zip(given, stays, strict=True)]
        for elements in kept:
            rest, free = set(required) - elements, size - len(elements)
            if len(rest) > free or len(set(permitted) - elements) < free:
                raise IncompatibleError(
                    f"A crystal has {free} parts whose elements are free, which does not fit "
                    f"{len(rest)} required and {len(set(permitted) - elements)} possible elements. "
                    "Take crystals with another number of elements."
                )
        marks = torch.zeros(2, NUM_ELEMENTS, dtype=torch.bool)
        marks[0, sorted(permitted)] = True
        marks[1, sorted(required)] = True
        return _Wishes(marks[0], marks[1], stays)

    def met(self, elements: Int[Tensor, "crystals parts"]) -> Bool[Tensor, " crystals"]:
        """Whether all parts that may change have elements that may occur, and all that must occur
        are there.
        """
        good = (self.permitted[elements] | self.stays).all(1)
        return good & (self._missing(elements).sum(1) == 0)

    def possible(
        self, elements: Int[Tensor, "crystals parts"]
    ) -> Bool[Tensor, "crystals elements"]:
        """Elements for the next hidden part of each crystal: none of its others; and one that is
        still required, where no more parts are hidden than elements are missing.
        """
        missing = self._missing(elements)
        tight = missing.sum(1) >= (elements == HIDDEN).sum(1)
        return torch.where(tight[:, None], missing, self.permitted & ~present(elements))

    def _missing(self, elements: Tensor) -> Tensor:
        return self.required & ~present(elements)

"""New elements for a known crystal by their learned probability on each site, given the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ase_crysdiff.networks.site_elements.exchange import ElementExchange
from ase_crysdiff.prototypes.exchange import ElementWish, Exchange
from ase_crysdiff.symmetry.crystal import SymmetricCrystal


@dataclass(frozen=True)
class LearnedExchange(Exchange):
    """Hides some elements of a crystal and draws them again, one after the other, by a masked
    model that sees the space group, the sites, how they lie about each other, and the elements that
    are there.

    Args:
        model: What draws them.
        elements: Those that may come at all.
    """

    model: ElementExchange
    elements: frozenset[int]

    def propose(
        self,
        crystals: Sequence[SymmetricCrystal],
        wish: ElementWish,
        rngs: Sequence[np.random.Generator],
    ) -> list[dict[int, int] | None]:
        required = wish.required or frozenset()
        allowed = self.elements & (required or wish.allowed)
        old = [list(crystal.scaffold.counts) for crystal in crystals]
        found: list[dict[int, int] | None] = [None] * len(crystals)
        able = [i for i, elements in enumerate(old) if self._fits(len(elements), allowed, wish)]
        new = self.model.propose(
            [crystals[i] for i in able],
            [rngs[i] for i in able],
            allowed=allowed,
            required=required,
        )
        for i, elements in zip(able, new, strict=True):
            found[i] = dict(zip(old[i], elements, strict=True))
        return found

    def _fits(self, size: int, allowed: frozenset[int], wish: ElementWish) -> bool:
        """Whether a crystal of so many elements can become one with others that obeys the wish."""
        if wish.required is None:
            return size <= len(allowed & self.model.elements)
        return size == len(wish.required) and wish.required <= allowed & self.model.elements

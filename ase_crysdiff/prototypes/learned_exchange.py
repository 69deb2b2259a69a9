"""New elements for a known crystal by their learned probability on each site, given the others."""

from dataclasses import dataclass

import numpy as np

from ase_crysdiff.errors import IncompatibleError
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
        self, crystal: SymmetricCrystal, wish: ElementWish, rng: np.random.Generator
    ) -> dict[int, int] | None:
        required = wish.required or frozenset()
        old = list(crystal.scaffold.counts)
        if wish.required is not None and len(required) != len(old):
            return None
        try:
            new = self.model.propose(
                [crystal],
                [rng],
                allowed=self.elements & (required or wish.allowed),
                required=required,
            )[0]
        except IncompatibleError:  # more sites than elements for them
            return None
        return dict(zip(old, new, strict=True))

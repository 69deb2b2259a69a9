"""New elements in the place of a known crystal's own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np

from ase_crysdiff.prototypes.library import Library
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.tables import Floats, Ints


@dataclass(frozen=True)
class ElementWish:
    """Which elements a crystal may and must have.

    Args:
        allowed: Atomic numbers that may occur.
        required: Atomic numbers that must occur, and no others; None leaves that open.
    """

    allowed: frozenset[int]
    required: frozenset[int] | None = None


class Exchange(ABC):
    """A way to draw the elements on the sites of known crystals."""

    @abstractmethod
    def propose(
        self,
        crystals: Sequence[SymmetricCrystal],
        wish: ElementWish,
        rngs: Sequence[np.random.Generator],
    ) -> list[dict[int, int] | None]:
        """What takes the place of each element of each crystal, by atomic number.

        Args:
            crystals: The templates.
            wish: Which elements may and must come.
            rngs: Source of randomness of each crystal.

        Returns:
            Of each crystal different elements for different ones; None where no exchange obeys the
            wish.
        """


@dataclass(frozen=True)
class RandomExchange(Exchange):
    """Exchanges each element by chance for one that is near it, whatever the others become.

    Args:
        distance: Of all elements, shape (elements + 1, elements + 1).
        elements: Those that may come at all.
        temperature: Distance over which an exchange becomes e times rarer.
        probability: With which an element is exchanged.
    """

    distance: Floats
    elements: frozenset[int]
    temperature: float = 0.07
    probability: float = 0.5

    @cached_property
    def odds(self) -> Floats:
        """Probability of each element in the place of another: row old, column new."""
        weights = np.exp(-self.distance / self.temperature)
        weights[:, [z for z in range(len(weights)) if z not in self.elements]] = 0.0
        np.fill_diagonal(weights, 0.0)
        weights *= self.probability / np.maximum(weights.sum(1, keepdims=True), 1e-300)
        np.fill_diagonal(weights, 1 - self.probability)
        return weights

    def propose(
        self,
        crystals: Sequence[SymmetricCrystal],
        wish: ElementWish,
        rngs: Sequence[np.random.Generator],
    ) -> list[dict[int, int] | None]:
        return [self._one(c, wish, rng) for c, rng in zip(crystals, rngs, strict=True)]

    def _one(
        self, crystal: SymmetricCrystal, wish: ElementWish, rng: np.random.Generator
    ) -> dict[int, int] | None:
        old = list(crystal.scaffold.counts)
        if wish.required is not None:
            return self._arranged(old, sorted(wish.required), rng)
        free = np.zeros(len(self.odds), bool)
        free[sorted(wish.allowed)] = True
        new: list[int] = []
        for z in old:
            weights = self.odds[z] * free
            if not weights.sum() > 0:
                return None
            new.append(int(rng.choice(len(weights), p=weights / weights.sum())))
            free[new[-1]] = False
        return dict(zip(old, new, strict=True))

    def _arranged(
        self, old: list[int], required: list[int], rng: np.random.Generator
    ) -> dict[int, int] | None:
        """The required elements in one of all orders."""
        if len(old) != len(required):
            return None
        orders = list(permutations(required))
        weights = np.array([self.odds[old, list(new)].prod() for new in orders])
        if not weights.sum() > 0:
            return None
        chosen = int(rng.choice(len(orders), p=weights / weights.sum()))
        return dict(zip(old, orders[chosen], strict=True))

    def weights(self, species: Ints, wish: ElementWish) -> Floats:
        """How likely an exchange by chance makes of each crystal one that obeys a wish; what is
        left out of it is that no element may come twice.

        Args:
            species: Atomic numbers of each crystal's elements, shape (crystals, slots).
            wish: Which elements may and must come.
        """
        if wish.required is None:
            found: Floats = self.odds[:, sorted(wish.allowed)].sum(1)[species].prod(1)
            return found if species.shape[1] <= len(wish.allowed) else 0 * found
        if len(wish.required) != species.shape[1]:
            return np.zeros(len(species))
        total = np.zeros(len(species))
        for order in permutations(sorted(wish.required)):
            total += self.odds[species, np.array(order)].prod(1)
        return total


def template_weights(library: Library, exchange: RandomExchange, wish: ElementWish) -> Floats:
    """How often each crystal of a library is to be a template: equally often, so that prototypes
    come as often as they occur, but for a wish by how likely an exchange obeys it.

    Args:
        library: The crystals.
        exchange: By chance.
        wish: Which elements may and must come.

    Returns:
        Shape (crystals,).
    """
    found = np.zeros(len(library))
    for slots in np.unique(library.num_slots).tolist():
        rows = np.nonzero(library.num_slots == slots)[0]
        found[rows] = exchange.weights(library.species_in(rows), wish)
    return found

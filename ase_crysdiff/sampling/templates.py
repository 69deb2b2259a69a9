"""New crystals: templates drawn from a library, with other elements on their sites."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch

from ase_crysdiff.conditions.population import steering_of
from ase_crysdiff.prototypes.exchange import (
    ElementWish,
    Exchange,
    RandomExchange,
    template_weights,
)
from ase_crysdiff.prototypes.library import Library, reduced_formula
from ase_crysdiff.prototypes.retrieval import Candidate
from ase_crysdiff.prototypes.symmetry import Symmetry
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import Drawn, batch_of, turns, wished_in
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.steered import chosen, particles
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import Floats

#: Templates that are tried for one new crystal before it is given up.
_TRIES = 100
#: Templates lie at most so far above the hull where there are such, eV/atom; of many nobody knows.
_TEMPLATE_ENERGY = 0.03
#: Wishes whose templates are remembered.
_REMEMBERED = 4096


class Templates:
    """The crystals of a library as templates for new ones.

    Args:
        library: The crystals.
        usual: Atoms of the largest template, unless the number of atoms or a prototype is given.
        chance: Exchange of near elements, which says how often a crystal may become what is wished.
        exchange: How new crystals get their elements; None exchanges by chance.
        odds: By how much more often than the others templates of a space group come, by its number;
            1 for those that are not named.
    """

    def __init__(
        self,
        library: Library,
        usual: int,
        chance: RandomExchange,
        exchange: Exchange | None = None,
        odds: Mapping[int, float] | None = None,
    ) -> None:
        self.library, self.usual, self.chance = library, usual, chance
        #: Of each space group, by its number.
        self.odds: Floats = np.ones(231)
        for group, factor in (odds or {}).items():
            self.odds[group] = factor
        self.exchange = chance if exchange is None else exchange
        self.sums = lru_cache(maxsize=_REMEMBERED)(self._sums)

    def crystals(self, request: SampleRequest, streams: Streams) -> list[Drawn | str]:
        """A new crystal for each stream, or why none was found; where the request steers, each is
        chosen among candidates of its own.
        """
        steering = steering_of(request.conditions)
        if steering is None:
            return self._drawn(request, streams)
        candidates = self._drawn(request, particles(streams, steering, turns(request)))
        return [candidates[i] for i in chosen(batch_of(candidates), steering, streams)]

    def _drawn(self, request: SampleRequest, streams: Streams) -> list[Drawn | str]:
        """The first sound exchange for each stream."""
        task = request.task
        assert isinstance(task, DeNovo)
        wish = self._wish(task)
        wished = [wished_in(request, index) for index in streams.indices]
        groups = [request.space_group or (None if w is None else w.group) for w in wished]
        sums = [self.sums(task, request.space_group, one) for one in wished]
        lacking = "" if request.known else " of a formula that the library lacks"
        found: list[Drawn | str] = [f"{_TRIES} exchanges gave no sound crystal{lacking}"] * len(
            sums
        )
        left = list(range(len(sums)))
        for step in range(_TRIES):
            if not left:
                break
            rngs = _generators(streams.take(left), step)
            luck = [rng.random() for rng in rngs]
            rows = [
                int(np.searchsorted(sums[i], x * sums[i][-1], "right"))
                for i, x in zip(left, luck, strict=True)
            ]
            templates = [self.library.crystal(row) for row in rows]
            exchanges = self.exchange.propose(templates, wish, rngs)
            for i, row, template, elements in zip(left, rows, templates, exchanges, strict=True):
                one = self._made(request, row, template, elements, groups[i])
                if one is not None:
                    found[i] = one
            left = [i for i in left if isinstance(found[i], str)]
        return found

    def _made(
        self,
        request: SampleRequest,
        row: int,
        template: SymmetricCrystal,
        elements: dict[int, int] | None,
        group: int | None,
    ) -> Drawn | None:
        """A template with other elements; None if it is not what is asked for, or unsound."""
        if elements is None:
            return None
        contents = [(elements[z], count) for z, count in template.scaffold.counts.items()]
        if reduced_formula(contents) in self.library.formulas and not request.known:
            return None
        same = all(old == new for old, new in elements.items())
        return Drawn.of(Candidate(row, elements, 0.0, same), self.library, group=group)

    def _wish(self, task: DeNovo) -> ElementWish:
        allowed = self.library.elements if task.elements is None else task.elements
        return ElementWish(frozenset(allowed), task.chemical_system)

    def _sums(self, task: DeNovo, group: int | None, wished: Prototype | Scaffold | None) -> Floats:
        """Sums of the weights of all crystals up to each; the last is 0 if none may be a template.

        Args:
            task: What is asked for.
            group: Number of a wished space group.
            wished: A wished prototype.
        """
        weights = template_weights(self.library, self.chance, self._wish(task))
        weights *= self.odds[self.library.group]
        sizes = self.library.num_atoms
        preferred = [~(self.library.energy > _TEMPLATE_ENERGY)]
        if task.num_atoms is not None:
            weights *= sizes == task.num_atoms
        else:
            preferred.append(sizes <= self.usual)
        for rows in () if wished is not None else preferred:
            if (weights * rows).any():
                weights *= rows
        if group is not None or wished is not None:
            symmetry = Symmetry(self.library, group, wished)
            weights *= symmetry.rows(np.nonzero(weights)[0])
        return np.cumsum(weights)


def _generators(streams: Streams, step: int) -> list[np.random.Generator]:
    """A generator for one try at each crystal."""
    ones = [1] * len(streams)
    drawn = streams.rng("prototype", step, ones, torch.device("cpu"), torch.float64).uniform(4)
    return [np.random.default_rng([int(x * 2**24) for x in row]) for row in drawn.tolist()]

"""New crystals: templates drawn from a library, with other elements on their sites."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch

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
from ase_crysdiff.sampling.answers import Drawn
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
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

    def crystal(
        self, request: SampleRequest, wished: Prototype | Scaffold | None, stream: Streams
    ) -> Drawn | str:
        """A new crystal for one stream, or why none was found."""
        task = request.task
        assert isinstance(task, DeNovo)
        sums = self.sums(task, request.space_group, wished)
        group = request.space_group or (None if wished is None else wished.group)
        for step in range(_TRIES):
            rng = _generator(stream, step)
            row = int(np.searchsorted(sums, rng.random() * sums[-1], "right"))
            template = self.library.crystal(row)
            elements = self.exchange.propose(template, self._wish(task), rng)
            if elements is None:
                continue
            contents = [(elements[z], count) for z, count in template.scaffold.counts.items()]
            if reduced_formula(contents) in self.library.formulas and not request.known:
                continue
            same = all(old == new for old, new in elements.items())
            candidate = Candidate(row, elements, 0.0, same)
            if drawn := Drawn.of(candidate, self.library, group=group):
                return drawn
        lacking = "" if request.known else " of a formula that the library lacks"
        return f"{_TRIES} exchanges gave no sound crystal{lacking}"

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


def _generator(stream: Streams, step: int) -> np.random.Generator:
    """A generator for one try at one crystal."""
    drawn = stream.rng("prototype", step, [1], torch.device("cpu"), torch.float64).uniform(4)[0]
    return np.random.default_rng([int(x * 2**24) for x in drawn.tolist()])

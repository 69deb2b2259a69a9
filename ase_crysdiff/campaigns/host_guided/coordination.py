"""Which element of a set of crystals has the most varied surroundings?"""

import logging
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pymatgen.analysis.local_env import CrystalNN
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError

log = logging.getLogger(__name__)


def coordination_numbers(structure: Structure) -> list[tuple[str, int]]:
    """Symbol and coordination number of every site.

    Source: Pan et al. 2021 (CrystalNN), as pymatgen has it, with its default settings.
    """
    finder = CrystalNN()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (site.specie.symbol, int(finder.get_cn(structure, i)))
            for i, site in enumerate(structure)
        ]


def entropies(found: Iterable[Sequence[tuple[str, int]]]) -> dict[str, float]:
    """Shannon entropy, nats, of the coordination numbers of each element over all crystals."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for crystal in found:
        for symbol, number in crystal:
            counts[symbol][number] += 1
    return {symbol: _entropy(numbers) for symbol, numbers in sorted(counts.items())}


def most_varied(structures: Sequence[Structure]) -> tuple[str, Mapping[str, float]]:
    """The element whose coordination numbers have the largest entropy, and the entropies of all.

    Source: CHGGen (Materials Horizons 2025), which takes out the species of broad surroundings and
    keeps the rigid rest.

    Raises:
        InputError: If no structure can be judged, or there is one element only.
    """
    found = []
    for structure in structures:
        try:
            found.append(coordination_numbers(structure))
        # Of an atom without neighbours, or whose Voronoi cell has no end; Qhull's errors are
        # RuntimeErrors, too.
        except (ValueError, RuntimeError) as error:
            log.info("%s has no say about coordination: %s", structure.formula, error)
    values = entropies(found)
    if len(values) < 2:
        raise InputError(
            "Guests can be chosen from two elements or more whose surroundings can be judged. Name "
            "the guests."
        )
    return max(values, key=lambda symbol: values[symbol]), values


def _entropy(counts: Counter[int]) -> float:
    total = counts.total()
    return math.log(total) - sum(n * math.log(n) for n in counts.values()) / total

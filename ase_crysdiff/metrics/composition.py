"""Can the composition be charge-neutral?"""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec

from pymatgen.core import Structure

from ase_crysdiff.crystal.soundness import unusable_species
from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.metrics.base import MetricResult, rate

Counts = tuple[tuple[str, int], ...]


def compositional_validity(structures: Sequence[Structure | None]) -> MetricResult:
    """Share of structures whose composition passes SMACT's screening in CDVAE's form.

    The value depends on the version of SMACT, whose default oxidation states changed in version 3;
    it is in the settings.
    """
    failures = {
        i: r
        for i, r in ((i, unusable_species(s)) for i, s in enumerate(structures))
        if r is not None
    }
    verdicts = [
        i not in failures and is_neutral(reduced_counts(s)) for i, s in enumerate(structures)
    ]
    return rate(verdicts, failures, {"smact": version("smact"), "rule": "CDVAE"})


def has_smact() -> bool:
    """Whether SMACT is installed; it comes with the extra `metrics`."""
    return find_spec("smact") is not None


def reduced_counts(structure: Structure | None) -> Counts:
    """Element symbols and counts of the reduced composition, sorted, without oxidation states."""
    assert structure is not None
    amounts = structure.composition.element_composition.get_el_amt_dict()
    counts = {symbol: round(n) for symbol, n in amounts.items()}
    divisor = math.gcd(*counts.values())
    return tuple(sorted((symbol, n // divisor) for symbol, n in counts.items()))


@lru_cache(maxsize=100_000)
def is_neutral(counts: Counts) -> bool:
    """Whether some choice of oxidation states is neutral with all cations less electronegative than
    all anions.

    A single element and a compound of metals only pass. One oxidation state per element, as
    published; the published codes try every combination, which here is a sum over reachable charges
    for every place where electronegativity may divide cations from anions: the same verdict without
    the blow-up.

    Source: Davies et al. 2019 (SMACT); Xie et al. 2022 (CDVAE) for the rule.

    Args:
        counts: Element symbols and counts, reduced, sorted.
    """
    states, negativities, metals = _element_data()
    symbols = [s for s, _ in counts]
    if len(symbols) == 1 or all(s in metals for s in symbols):
        return True
    levels = sorted({x for s in symbols if (x := negativities.get(s)) is not None})
    for border in [*levels, math.inf]:
        charges = {0}
        for symbol, count in counts:
            x = negativities.get(symbol)
            allowed = [
                q for q in states.get(symbol, ()) if x is None or q == 0 or (q > 0) == (x < border)
            ]
            charges = {c + count * q for c in charges for q in allowed}
        if 0 in charges:
            return True
    return False


@lru_cache(maxsize=1)
def _element_data() -> tuple[dict[str, tuple[int, ...]], dict[str, float], frozenset[str]]:
    """SMACT's default oxidation states, Pauling electronegativities and list of metals."""
    try:
        import smact
    except ImportError as error:
        raise MissingExtraError(
            "compositional_validity needs SMACT: pip install 'ase-crysdiff[metrics]'"
        ) from error
    elements = smact.element_dictionary()
    states = {s: tuple(e.oxidation_states or ()) for s, e in elements.items()}
    negativities = {
        s: float(e.pauling_eneg) for s, e in elements.items() if e.pauling_eneg is not None
    }
    return states, negativities, frozenset(smact.metals)

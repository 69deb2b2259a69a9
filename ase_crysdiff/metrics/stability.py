"""Are the crystals stable against decomposition into known compounds?

Asked only where the hull is complete: a crystal below a table that lacks its rivals is not stable,
but not judged, and the rates are those of the others. A crystal deeper below a complete hull than
any that can be made is rather an error of the potential than a discovery: the rates without such
crystals stand beside those with them.
"""

import math
from collections.abc import Mapping, Sequence

from pymatgen.core import Structure

from ase_crysdiff.metrics.base import MetricResult, mean, rate
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.hull import DEEPEST

#: Rates are given at these heights above the hull, eV/atom; papers take any of them for "stable" or
#: "metastable".
THRESHOLDS = (0.0, 0.03, 0.08, 0.1)
#: A compound that is on the hull comes out this far above it in another cell, eV/atom.
TOLERANCE = 1e-4
METASTABLE = 0.1


def trusted_energies(
    energies: Energies, rejected: Mapping[int, str]
) -> tuple[list[float | None], dict[int, str]]:
    """Energies above the hull that count, and why the others do not.

    Args:
        energies: Of relaxed structures.
        rejected: Reason by position, for structures whose energy is not to be believed: not
            converged, or collapsed.
    """
    failures = dict(sorted({**energies.failures, **rejected}.items()))
    heights = energies.energy_above_hull.tolist()
    unknown = {*failures, *energies.incomplete}
    return [None if i in unknown or math.isnan(e) else e for i, e in enumerate(heights)], failures


def energy_above_hull(energies: Energies, rejected: Mapping[int, str]) -> MetricResult:
    """Mean energy above the hull, eV/atom, of the structures that have a trustworthy one; its
    histogram says more.

    Args:
        energies: Of relaxed structures.
        rejected: Reason by position, for structures whose energy is not to be believed: not
            converged, or collapsed.
    """
    heights, failures = trusted_energies(energies, rejected)
    upper = sum(
        e is not None and not listed
        for e, listed in zip(heights, energies.is_listed.tolist(), strict=True)
    )
    known = [e for e in heights if e is not None]
    settings = {
        **_of_hull(energies),
        "hull_not_listed": upper,
        "mean_absolute": sum(map(abs, known)) / len(known) if known else math.nan,
    }
    return mean(heights, failures, settings)


def energy_uncertainty(energies: Energies, rejected: Mapping[int, str]) -> MetricResult:
    """Mean of the standard deviations of the energies' errors, eV/atom, of the structures for which
    the potential says it; `outside` counts those of them that are outside of what it knows.

    Args:
        energies: Of relaxed structures.
        rejected: Reason by position, for structures whose energy is not to be believed: not
            converged, or collapsed.
    """
    failures = dict(sorted({**energies.failures, **rejected}.items()))
    found = enumerate(energies.uncertainty.tolist())
    known = [None if i in failures or math.isnan(value) else value for i, value in found]
    outside = len(energies.doubts.keys() - failures.keys())
    return mean(known, failures, {**_of_hull(energies), "outside": outside})


def stability(
    structures: Sequence[Structure | None], energies: Energies, rejected: Mapping[int, str]
) -> MetricResult:
    """Share of the structures on the hull or below it, among those that were requested less those
    whose hull is incomplete; elements and duplicates count, too.

    Args:
        structures: As requested.
        energies: Of the relaxed structures.
        rejected: Reason by position, for structures whose energy is not to be believed: not
            converged, or collapsed.
    """
    return _below(structures, energies, rejected, 0.0)


def metastability(
    structures: Sequence[Structure | None], energies: Energies, rejected: Mapping[int, str]
) -> MetricResult:
    """Share of the structures at most 0.1 eV/atom above the hull, the stable ones included, among
    those that were requested less those whose hull is incomplete.

    Args:
        structures: As requested.
        energies: Of the relaxed structures.
        rejected: Reason by position, for structures whose energy is not to be believed: not
            converged, or collapsed.
    """
    return _below(structures, energies, rejected, METASTABLE)


def _below(
    structures: Sequence[Structure | None],
    energies: Energies,
    rejected: Mapping[int, str],
    threshold: float,
) -> MetricResult:
    heights, failures = trusted_energies(energies, rejected)

    unjudged = unjudged_of(energies, failures)
    judged = len(heights) - len(unjudged)

    def verdicts(limit: float) -> list[bool | None]:
        return [
            None if i in unjudged else e is not None and e <= limit + TOLERANCE
            for i, e in enumerate(heights)
        ]

    found = verdicts(threshold)
    unary = sum(ok is True and is_unary(s) for ok, s in zip(found, structures, strict=True))
    rates = {t: sum(map(bool, verdicts(t))) / judged for t in THRESHOLDS} if judged else {}
    limits = {"threshold": threshold, "comparison": "<=", "tolerance": TOLERANCE}
    too_deep = sum(e is not None and e < -DEEPEST for e in heights)
    depths = {"deepest": DEEPEST, "too_deep": too_deep}
    if judged:
        depths["without_too_deep"] = (sum(map(bool, found)) - too_deep) / judged
    counted = {"judged": judged, "hull_incomplete": len(unjudged), "elements": unary}
    settings = {**_of_hull(energies), **limits, **depths, **counted, "rates": rates}
    return rate(found, failures, settings, judged)


def unjudged_of(energies: Energies, failures: Mapping[int, str]) -> frozenset[int]:
    """Positions of the structures whose stability is not judged, because the hull is incomplete
    there; what failed is a miss on any hull.
    """
    return frozenset(energies.incomplete) - frozenset(failures)


def is_unary(structure: Structure | None) -> bool:
    """Whether a structure is of one element."""
    return (
        structure is not None
        and len({getattr(site.specie, "Z", None) for site in structure if site.is_ordered}) == 1
    )


def _of_hull(energies: Energies) -> dict[str, object]:
    return {k: v for k, v in energies.settings.items() if k != "element_references"}

"""Are the crystals stable against decomposition into known compounds?"""

import math
from collections.abc import Mapping, Sequence

from pymatgen.core import Structure

from ase_crysdiff.metrics.base import MetricResult, mean, rate
from ase_crysdiff.metrics.formation import Energies

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
    return [None if i in failures or math.isnan(e) else e for i, e in enumerate(heights)], failures


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
    """Share of the requested structures on the hull or below it; elements and duplicates count,
    too.

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
    """Share of the requested structures at most 0.1 eV/atom above the hull, the stable ones
    included.

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

    def verdicts(limit: float) -> list[bool]:
        return [e is not None and e <= limit + TOLERANCE for e in heights]

    found = verdicts(threshold)
    unary = sum(ok and is_unary(s) for ok, s in zip(found, structures, strict=True))
    rates = {limit: sum(verdicts(limit)) / len(heights) for limit in THRESHOLDS} if heights else {}
    limits = {"threshold": threshold, "comparison": "<=", "tolerance": TOLERANCE}
    settings = {**_of_hull(energies), **limits, "rates": rates, "elements": unary}
    return rate(found, failures, settings)


def is_unary(structure: Structure | None) -> bool:
    """Whether a structure is of one element."""
    return (
        structure is not None
        and len({getattr(site.specie, "Z", None) for site in structure if site.is_ordered}) == 1
    )


def _of_hull(energies: Energies) -> dict[str, object]:
    return {k: v for k, v in energies.settings.items() if k != "element_references"}

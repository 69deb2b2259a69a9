"""Are two structures the same crystal? StructureMatcher, with each structure reduced once."""

import math
import warnings
from collections.abc import Hashable

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

SETTINGS = {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0, "relation": "fit, either order"}
_MATCHER = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)

#: A distance of this size or more is no match; in units of (volume per atom)^(1/3).
CSP_TOLERANCE = 0.5
CSP_SETTINGS = {"ltol": 0.3, "stol": CSP_TOLERANCE, "angle_tol": 10.0, "relation": "get_rms_dist(prediction, target)"}
# Cells come reduced, so the matcher need not look for primitive cells again.
_CSP_MATCHER = StructureMatcher(ltol=0.3, stol=CSP_TOLERANCE, angle_tol=10, primitive_cell=False)


def formula_key(structure: Structure) -> Hashable:
    """Reduced composition by atomic number: only structures with equal keys can match."""
    counts: dict[int, int] = {}
    for site in structure:
        counts[site.specie.Z] = counts.get(site.specie.Z, 0) + 1
    return count_key(counts)


def count_key(counts: dict[int, int]) -> Hashable:
    """The key of a count per atomic number."""
    divisor = math.gcd(*counts.values())
    return tuple(sorted((z, n // divisor) for z, n in counts.items()))


def reduced(structure: Structure) -> Structure:
    """Bare elements in the primitive Niggli cell, as the matcher would make it for every comparison anew."""
    bare = Structure(structure.lattice, [site.specie.Z for site in structure], structure.frac_coords)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bare.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def match(a: Structure, b: Structure) -> bool:
    """Whether two reduced structures are the same; symmetric, unlike the matcher itself."""
    if len(a) != len(b):
        return False
    fit = _MATCHER.fit
    return bool(fit(a, b, skip_structure_reduction=True) or fit(b, a, skip_structure_reduction=True))


def rms_distance(prediction: Structure, target: Structure) -> float | None:
    """Least RMS displacement between two reduced structures with the tolerances of structure prediction; None without a match.

    In units of (volume per atom)^(1/3), below 0.5. Accepts on the RMS, where `match` accepts on the largest displacement:
    the two relations must not be mixed. Volume and handedness are invisible to it, and in rare cases the order matters.
    """
    if len(prediction) != len(target) or formula_key(prediction) != formula_key(target):
        return None
    found = _CSP_MATCHER.get_rms_dist(prediction, target)
    return None if found is None else float(found[0])

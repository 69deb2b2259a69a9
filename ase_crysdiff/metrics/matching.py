"""Are two structures the same crystal? StructureMatcher, with each structure reduced once."""

import math
import warnings
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypeAlias

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

#: Acceptance on the largest displacement of a site, or on the root mean square of all, which is
#: looser.
Relation: TypeAlias = Literal["fit", "rms"]

_MATCHER = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
# Cells come reduced, so the matcher need not look for primitive cells again.
_RMS_MATCHER = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5, primitive_cell=False)

#: A distance of this size or more is no match; in units of (volume per atom)^(1/3).
CSP_TOLERANCE = 0.5
CSP_SETTINGS = {
    "ltol": 0.3,
    "stol": CSP_TOLERANCE,
    "angle_tol": 10.0,
    "relation": "get_rms_dist(prediction, target)",
}
_CSP_MATCHER = StructureMatcher(ltol=0.3, stol=CSP_TOLERANCE, angle_tol=10, primitive_cell=False)


def settings(relation: Relation) -> dict[str, Any]:
    """What a report says of `match`."""
    entry = {"fit": "fit", "rms": "get_rms_dist"}[relation]
    return {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0, "relation": f"{entry}, either order"}


def formula_key(structure: Structure) -> Hashable:
    """Reduced composition by atomic number: only structures with equal keys can match."""
    return count_key(Counter(site.specie.Z for site in structure))


def count_key(counts: Mapping[int, int]) -> Hashable:
    """The key of a count per atomic number."""
    divisor = math.gcd(*counts.values())
    return tuple(sorted((z, n // divisor) for z, n in counts.items()))


def reduced(structure: Structure) -> Structure:
    """Bare elements in the primitive Niggli cell, as the matcher would make it for every comparison
    anew.

    Sites are sorted by element, so that their order in the input has no say in which atom the
    matcher starts from.
    """
    numbers = [site.specie.Z for site in structure]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    bare = Structure(
        structure.lattice, [numbers[i] for i in order], structure.frac_coords[order] % 1.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cell = bare.get_reduced_structure(reduction_algo="niggli")
        # One formula unit cannot be divided further; looking for a smaller cell is the dearest
        # part.
        return cell if math.gcd(*Counter(numbers).values()) == 1 else cell.get_primitive_structure()


def match(a: Structure, b: Structure, relation: Relation = "fit") -> bool:
    """Whether two reduced structures are the same; symmetric, unlike the matcher itself.

    Args:
        a: In its reduced cell.
        b: In its reduced cell.
        relation: "fit" judges the largest displacement of a site, "rms" the root mean square.
    """
    if len(a) != len(b):
        return False
    return _related(a, b, relation) or _related(b, a, relation)


def _related(a: Structure, b: Structure, relation: Relation) -> bool:
    if relation == "rms":
        return _RMS_MATCHER.get_rms_dist(a, b) is not None
    return bool(_MATCHER.fit(a, b, skip_structure_reduction=True))


def rms_distance(prediction: Structure, target: Structure) -> float | None:
    """Least RMS displacement between two reduced structures with the tolerances of structure
    prediction; None without a match.

    In units of (volume per atom)^(1/3), below 0.5. Accepts on the RMS, where `match` accepts on the
    largest displacement: the two relations must not be mixed. Volume and handedness are invisible
    to it, and in rare cases the order matters.
    """
    if len(prediction) != len(target) or formula_key(prediction) != formula_key(target):
        return None
    found = _CSP_MATCHER.get_rms_dist(prediction, target)
    return None if found is None else float(found[0])

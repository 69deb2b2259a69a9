"""`evaluate`: all metrics at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.crystal.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.composition import compositional_validity
from ase_crysdiff.metrics.distributions import density_distance, num_atoms_distance, num_elements_distance
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity


def evaluate(
    structures: Sequence[Structure | None],
    *,
    reference: Reference | PackedCrystals | Sequence[Structure] | str | Path | None = None,
) -> Mapping[str, MetricResult]:
    """Scores structures as they are; nothing is relaxed.

    Args:
        structures: One entry per requested structure; None for one that failed, which counts as a miss.
        reference: Known crystals (structures, packed crystals or the path of a packed file) for novelty and distributions.

    Returns:
        Results by name: `structural_validity`, `distance_validity`, `compositional_validity`, `uniqueness`, and with a
        reference `novelty`, `density_distance`, `num_elements_distance`, `num_atoms_distance`.

    Raises:
        InputError: If there are no structures.
        MissingExtraError: If SMACT is not installed.
    """
    if not len(structures):
        raise InputError("There are no structures to score.")
    structures = list(structures)
    results = {
        "structural_validity": structural_validity(structures),
        "distance_validity": distance_validity(structures),
        "compositional_validity": compositional_validity(structures),
        "uniqueness": uniqueness(structures),
    }
    if reference is not None:
        known = _reference(reference)
        results |= {
            "novelty": novelty(structures, known),
            "density_distance": density_distance(structures, known),
            "num_elements_distance": num_elements_distance(structures, known),
            "num_atoms_distance": num_atoms_distance(structures, known),
        }
    return results


def _reference(reference: Reference | PackedCrystals | Sequence[Structure] | str | Path) -> Reference:
    if isinstance(reference, Reference):
        return reference
    if isinstance(reference, str | Path):
        return Reference(PackedCrystals.load(reference))
    return Reference(reference)

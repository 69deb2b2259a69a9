"""`evaluate`: all metrics at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pymatgen.core import Structure

from ase_crysdiff.crystal.packed import PackedCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.composition import compositional_validity
from ase_crysdiff.metrics.distributions import density_distance, num_atoms_distance, num_elements_distance
from ase_crysdiff.metrics.match_rate import compare, crmse, diffcsp, match_rate, rmse, volume_error
from ase_crysdiff.metrics.metre import metre
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.uniqueness import uniqueness
from ase_crysdiff.metrics.validity import distance_validity, structural_validity


def evaluate(
    structures: Sequence[Structure | None],
    *,
    reference: Reference | PackedCrystals | Sequence[Structure] | str | Path | None = None,
    targets: Sequence[Structure] | None = None,
    workers: int = 1,
) -> Mapping[str, MetricResult]:
    """Scores structures as they are; nothing is relaxed.

    Args:
        structures: One entry per requested structure; None for one that failed, which counts as a miss.
        reference: Known crystals (structures, packed crystals or the path of a packed file) for novelty and distributions.
        targets: True structures, for predictions: the first k structures are the samples for the first target, the next k
            those for the second, and so on.
        workers: Processes that compare predictions with targets; 1 stays in this one, where a comparison has no time limit.

    Returns:
        Results by name: `structural_validity`, `distance_validity`, `compositional_validity`, `uniqueness`; with a
        reference `novelty`, `density_distance`, `num_elements_distance`, `num_atoms_distance`; with targets `match_rate`,
        `rmse`, `crmse`, `volume_error`, `metre`, `metre_crmse`, and `match_rate_diffcsp`, `rmse_diffcsp` with DiffCSP's filter
        of compositions.

    Raises:
        InputError: If there are no structures, or not the same number for every target.
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
    if targets is not None:
        results |= _against_targets(structures, list(targets), 0 if workers == 1 else workers)
    return results


def _against_targets(
    structures: Sequence[Structure | None], targets: Sequence[Structure], workers: int
) -> dict[str, MetricResult]:
    if not len(targets) or len(structures) % len(targets):
        raise InputError(
            f"{len(structures)} structures cannot be shared out equally among {len(targets)} targets. Give the same number of "
            "samples for each, target after target, with None in the place of a sample that failed."
        )
    k = len(structures) // len(targets)
    rows = [structures[i * k : (i + 1) * k] for i in range(len(targets))]
    plain = compare(rows, targets, workers=workers)
    filtered = diffcsp(plain)
    per_reference, per_reference_crmse = metre(plain, rows, targets, workers=workers)
    return {
        "match_rate": match_rate(plain),
        "rmse": rmse(plain),
        "crmse": crmse(plain),
        "volume_error": volume_error(plain),
        "match_rate_diffcsp": match_rate(filtered),
        "rmse_diffcsp": rmse(filtered),
        "metre": per_reference,
        "metre_crmse": per_reference_crmse,
    }


def _reference(reference: Reference | PackedCrystals | Sequence[Structure] | str | Path) -> Reference:
    if isinstance(reference, Reference):
        return reference
    if isinstance(reference, str | Path):
        return Reference(PackedCrystals.load(reference))
    return Reference(reference)

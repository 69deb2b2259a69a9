"""`score`: all metrics of structures that are relaxed and have energies already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.relaxed import Relaxed
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.isolation import Workers, opened
from ase_crysdiff.metrics.base import MetricResult
from ase_crysdiff.metrics.composition import compositional_validity, has_smact
from ase_crysdiff.metrics.coverage import coverage, features
from ase_crysdiff.metrics.displacement import rmsd_to_relaxed
from ase_crysdiff.metrics.distributions import (
    density_distance,
    num_atoms_distance,
    num_elements_distance,
    num_primitive_atoms_distance,
)
from ase_crysdiff.metrics.energies import Energies
from ase_crysdiff.metrics.examined import Examined, examined
from ase_crysdiff.metrics.match_rate import compare, crmse, diffcsp, match_rate, rmse, volume_error
from ase_crysdiff.metrics.metre import metre
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Known, Reference
from ase_crysdiff.metrics.space_groups import TIGHT, space_groups, symmetries, symmetry_success
from ase_crysdiff.metrics.stability import (
    energy_above_hull,
    energy_uncertainty,
    is_unary,
    metastability,
    stability,
    unjudged_of,
)
from ase_crysdiff.metrics.sun import Profile, Records, msun, profile_named, sun
from ase_crysdiff.metrics.uniqueness import Classes, classes, unique
from ase_crysdiff.metrics.validity import distance_validity, structural_validity

Results: TypeAlias = dict[str, MetricResult]

NO_SMACT = (
    "SMACT is not installed, so no composition was screened for charge balance: pip install "
    "'ase-crysdiff[metrics]'."
)


def score(
    structures: Sequence[Structure | None],
    *,
    relaxed: Relaxed | None = None,
    energies: Energies | None = None,
    reference: Known | None = None,
    targets: Sequence[Structure] | None = None,
    profile: str = "package",
    workers: Workers = 0,
) -> Results:
    """All metrics that the findings allow; nothing is relaxed here.

    The gate, the reduction of cells, the symmetry finder and the matcher look at each structure
    once, and once more at each relaxed structure. The names of the results are those of
    `pymatgen_ext.evaluate`.

    Args:
        structures: One entry per requested structure; None for one that failed, which counts as a
            miss. An `Examined` sequence brings the verdicts of the gate along.
        relaxed: What the structures relaxed to, from `relaxed_by` or `relaxed_from`.
        energies: Of the relaxed structures, from `energies_above_hull`.
        reference: Known crystals.
        targets: True structures, for predictions: the first k structures are the samples for the
            first target, the next k those for the second, and so on.
        profile: Whose rule `sun` and `msun` follow: "package", "miad", "flowmm", "mattergen" or
            "lemat".
        workers: Processes for matcher, symmetry finder and featuriser, which may hang or die at the
            cost of one structure, or an executor; 0 works in this one, where nothing has a time
            limit.

    Returns:
        Results by name.

    Raises:
        InputError: If there are no structures, or not the same number for every target.
        UnknownNameError: If there is no profile of that name.
        IncompatibleError: If the profile wants known crystals and the reference is fingerprints.
    """
    if not len(structures):
        raise InputError("There are no structures to score.")
    rule = profile_named(profile)
    if energies is not None:
        check_profile(profile, reference)
    with opened(workers) as crew:
        return _scored(
            examined(structures),
            relaxed,
            energies,
            reference,
            targets,
            rule,
            profile,
            crew,
        )


def check_profile(profile: str, reference: Known | None) -> None:
    """Refuses a rule of S.U.N. that the reference cannot serve, before anything is computed.

    Args:
        profile: Name of the rule.
        reference: Known crystals; None asks for no S.U.N.

    Raises:
        UnknownNameError: If there is no profile of that name.
        IncompatibleError: If it wants known crystals and the reference is fingerprints.
    """
    rule = profile_named(profile)
    if reference is not None and rule.relation != "fit" and not isinstance(reference, Reference):
        raise IncompatibleError(
            f"The profile {profile!r} matches by {rule.relation}, which fingerprints cannot. Give "
            "known crystals as the reference, or take another profile."
        )


def _scored(
    structures: Examined,
    relaxed: Relaxed | None,
    energies: Energies | None,
    reference: Known | None,
    targets: Sequence[Structure] | None,
    rule: Profile,
    profile: str,
    workers: Workers,
) -> Results:
    results, given = _of_geometry(structures, reference, workers, "")
    if has_smact():
        results["compositional_validity"] = compositional_validity(structures)
    if isinstance(reference, Reference):
        results |= _of_distributions(structures, reference, workers)
    if relaxed is not None:
        more, after = _of_geometry(relaxed.structures, reference, workers, "_relaxed")
        results |= more
        results["rmsd_to_relaxed"] = rmsd_to_relaxed(
            structures, relaxed.structures, relaxed.rejected
        )
        if energies is not None:
            results |= _of_energies(relaxed, energies)
            if reference is not None:
                judged = given if rule.judged == "generated" else after
                records = _records(judged, relaxed, energies, reference, rule, workers)
                named = {"profile": profile, **relaxed.settings}
                results |= {
                    "sun": _with(sun(records, rule), named),
                    "msun": _with(msun(records, rule), named),
                }
    if targets is not None:
        results |= _against_targets(structures, list(targets), workers)
    return results


@dataclass(frozen=True)
class _Judged:
    """Structures with what uniqueness and novelty have found of them by the relation "fit".

    Args:
        structures: As generated or as relaxed.
        same: Classes of equal crystals.
        new: Novelty; None without a reference.
    """

    structures: Examined
    same: Classes
    new: MetricResult | None


def _of_geometry(
    structures: Sequence[Structure | None], reference: Known | None, workers: Workers, suffix: str
) -> tuple[Results, _Judged]:
    """Metrics that are asked of the generated and of the relaxed structures."""
    given = examined(structures)
    found = symmetries(given, workers=workers)
    known = reference.symmetries if isinstance(reference, Reference) else []
    same = classes(given, workers=workers)
    new = None if reference is None else novelty(given, reference, workers=workers)
    results = {
        "structural_validity": structural_validity(given),
        "distance_validity": distance_validity(given),
        "uniqueness": unique(same),
        "symmetry_success": symmetry_success(found),
        "symmetry_success_tight": symmetry_success(found, TIGHT),
        "space_groups": space_groups(found, known),
    }
    if isinstance(reference, Reference):
        results["num_primitive_atoms_distance"] = num_primitive_atoms_distance(found, reference)
    if new is not None:
        results["novelty"] = new
    named = {f"{name}{suffix}": result for name, result in results.items()}
    return named, _Judged(given, same, new)


def _of_distributions(structures: Examined, reference: Reference, workers: Workers) -> Results:
    results = {
        "density_distance": density_distance(structures, reference),
        "num_elements_distance": num_elements_distance(structures, reference),
        "num_atoms_distance": num_atoms_distance(structures, reference),
    }
    if reference.features is not None:
        recall, precision = coverage(features(structures, workers=workers), reference.features)
        results |= {"cov_recall": recall, "cov_precision": precision}
    return results


def _of_energies(relaxed: Relaxed, energies: Energies) -> Results:
    results = {
        "energy_above_hull": energy_above_hull(energies, relaxed.rejected),
        "stability": stability(relaxed.structures, energies, relaxed.rejected),
        "metastability": metastability(relaxed.structures, energies, relaxed.rejected),
    }
    if not np.isnan(energies.uncertainty).all():
        results["energy_uncertainty"] = energy_uncertainty(energies, relaxed.rejected)
    return {name: _with(result, relaxed.settings) for name, result in results.items()}


def _records(
    judged: _Judged,
    relaxed: Relaxed,
    energies: Energies,
    reference: Known,
    rule: Profile,
    workers: Workers,
) -> Records:
    """What S.U.N. is computed from; classes and novelty are those already found, unless the profile
    has a matcher of its own.
    """
    same, new = judged.same, judged.new
    if rule.relation != "fit" or new is None:
        same = classes(judged.structures, rule.relation, workers=workers)
        new = novelty(judged.structures, reference, rule.relation, workers=workers)
    unknown = [*energies.failures, *energies.incomplete]
    heights = np.where(
        np.isin(np.arange(len(energies)), unknown), np.nan, energies.energy_above_hull
    )
    failures = {**energies.failures, **same.failures, **relaxed.rejected}
    return Records(
        same.labels,
        new.per_structure,
        heights.tolist(),
        [is_unary(s) for s in judged.structures],
        dict(sorted(failures.items())),
        frozenset(relaxed.rejected) - frozenset(relaxed.failures),
        {**new.settings, **energies.settings},
        unjudged_of(energies, failures),
    )


def _with(result: MetricResult, settings: Mapping[str, Any]) -> MetricResult:
    return MetricResult(
        result.value,
        result.interval,
        result.per_structure,
        result.failures,
        {**result.settings, **settings},
    )


def _against_targets(
    structures: Sequence[Structure | None], targets: Sequence[Structure], workers: Workers
) -> Results:
    if not len(targets) or len(structures) % len(targets):
        raise InputError(
            f"{len(structures)} structures cannot be shared out equally among {len(targets)} "
            "targets. Give the same number of "
            "samples for each, target after target, with None in the place of a sample that failed."
        )
    k = len(structures) // len(targets)
    rows = [structures[i * k : (i + 1) * k] for i in range(len(targets))]
    plain = compare(rows, targets, workers=workers)
    per_reference, per_reference_crmse = metre(plain, rows, targets, workers=workers)
    results = {
        "match_rate": match_rate(plain),
        "rmse": rmse(plain),
        "crmse": crmse(plain),
        "volume_error": volume_error(plain),
        "metre": per_reference,
        "metre_crmse": per_reference_crmse,
    }
    if has_smact():
        filtered = diffcsp(plain)
        results |= {"match_rate_diffcsp": match_rate(filtered), "rmse_diffcsp": rmse(filtered)}
    return results

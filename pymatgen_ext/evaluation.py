"""`evaluate`: all metrics at once."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.relaxed import Relaxed, relaxed_by
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import IncompatibleError, InputError
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
from ase_crysdiff.metrics.formation import Energies, energies_above_hull
from ase_crysdiff.metrics.match_rate import compare, crmse, diffcsp, match_rate, rmse, volume_error
from ase_crysdiff.metrics.metre import metre
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Known, Reference
from ase_crysdiff.metrics.space_groups import space_groups, symmetries, symmetry_success
from ase_crysdiff.metrics.stability import energy_above_hull, is_unary, metastability, stability
from ase_crysdiff.metrics.sun import Profile, Records, msun, profile_named, sun
from ase_crysdiff.metrics.uniqueness import Classes, classes, unique
from ase_crysdiff.metrics.validity import distance_validity, structural_validity
from ase_crysdiff.potentials.loading import PotentialLike, as_potential
from pymatgen_ext.stability import HullLike, hull_from

ReferenceLike: TypeAlias = Known | PackedCrystals | Sequence[Structure] | str | Path
Results: TypeAlias = dict[str, MetricResult]

NO_SMACT = (
    "SMACT is not installed, so no composition was screened for charge balance: pip install "
    "'ase-crysdiff[metrics]'."
)


def evaluate(
    structures: Sequence[Structure | None],
    *,
    reference: ReferenceLike | None = None,
    hull: HullLike | None = None,
    potential: "PotentialLike | None" = None,
    targets: Sequence[Structure] | None = None,
    profile: str = "package",
    workers: int = 1,
) -> Mapping[str, MetricResult]:
    """Scores structures: always as they are, and with a potential relaxed, too.

    Results by name:

    - always `structural_validity`, `distance_validity`, `uniqueness`, `symmetry_success`,
      `space_groups`; with SMACT installed `compositional_validity`;
    - with a reference `novelty`, and if it holds crystals and not only fingerprints
      `density_distance`, `num_elements_distance`, `num_atoms_distance`,
      `num_primitive_atoms_distance`; if it holds features `cov_recall`, `cov_precision`;
    - with a potential `rmsd_to_relaxed` and, for the relaxed structures, `uniqueness_relaxed`,
      `novelty_relaxed`, `structural_validity_relaxed`, `distance_validity_relaxed`,
      `symmetry_success_relaxed`, `space_groups_relaxed`;
    - with a potential and a hull `energy_above_hull`, `stability`, `metastability`; with a
      reference besides `sun`, `msun`;
    - with targets `match_rate`, `rmse`, `crmse`, `volume_error`, `metre`, `metre_crmse`, and with
      SMACT installed `match_rate_diffcsp`, `rmse_diffcsp` with DiffCSP's filter of compositions.

    Args:
        structures: One entry per requested structure; None for one that failed, which counts as a
            miss.
        reference: Known crystals: structures, packed crystals, the path of a packed file, a
            `Reference` or anything else that can tell whether it contains a structure.
        hull: Formation energies of known compounds, as in `energy_above_hull`; needs a potential.
        potential: Relaxes in batches and gives energies: a name, a potential or any ASE calculator.
        targets: True structures, for predictions: the first k structures are the samples for the
            first target, the next k those for the second, and so on.
        profile: Whose rule `sun` and `msun` follow: "package", "miad", "flowmm", "mattergen" or
            "lemat".
        workers: Processes for matcher, symmetry finder and featuriser, which may hang or die at the
            cost of one structure; 1 stays in this one, where nothing has a time limit.

    Raises:
        InputError: If there are no structures, not the same number for every target, or a hull
            without a potential.
        UnknownNameError: If there is no profile or potential of that name.

    Warns:
        UserWarning: If SMACT is not installed.
    """
    structures = _checked(structures)
    if not has_smact():
        warnings.warn(NO_SMACT, stacklevel=2)
    profile_named(profile)
    if hull is not None and potential is None:
        raise InputError(
            "A hull is compared with energies: give a potential, too, such as potential='chgnet'."
        )
    known = None if reference is None else _reference(reference)
    if potential is None:
        return score(structures, reference=known, targets=targets, profile=profile, workers=workers)
    resolved = as_potential(potential)
    heights = None if hull is None else hull_from(hull, resolved)
    relaxed = relaxed_by(structures, resolved)
    energies = (
        None if heights is None else energies_above_hull(relaxed.structures, resolved, heights)
    )
    return score(
        structures,
        relaxed=relaxed,
        energies=energies,
        reference=known,
        targets=targets,
        profile=profile,
        workers=workers,
    )


def score(
    structures: Sequence[Structure | None],
    *,
    relaxed: Relaxed | None = None,
    energies: Energies | None = None,
    reference: Known | None = None,
    targets: Sequence[Structure] | None = None,
    profile: str = "package",
    workers: int = 1,
) -> Results:
    """What `evaluate` does once structures are relaxed and have energies; nothing is relaxed here.

    Args:
        structures: As in `evaluate`.
        relaxed: The same structures, relaxed; see `relaxed_from`.
        energies: Of the relaxed structures.
        reference: Known crystals.
        targets: As in `evaluate`.
        profile: As in `evaluate`.
        workers: As in `evaluate`.

    Raises:
        InputError: As in `evaluate`.
        UnknownNameError: As in `evaluate`.
    """
    structures, crew = _checked(structures), 0 if workers == 1 else workers
    results, same = _as_given(structures, reference, crew, "")
    if has_smact():
        results["compositional_validity"] = compositional_validity(structures)
    if isinstance(reference, Reference):
        results |= _distributions(structures, reference, crew)
    if relaxed is not None:
        after, same_after = _as_given(relaxed.structures, reference, crew, "_relaxed")
        results |= after
        results["rmsd_to_relaxed"] = rmsd_to_relaxed(
            structures, relaxed.structures, relaxed.rejected
        )
        if energies is not None:
            results |= _of_energies(relaxed, energies)
            if reference is not None:
                rule = profile_named(profile)
                generated = rule.judged == "generated"
                judged = structures if generated else relaxed.structures
                records = _records(
                    judged,
                    relaxed,
                    energies,
                    reference,
                    rule,
                    crew,
                    results,
                    same if generated else same_after,
                )
                named = {"profile": profile, **relaxed.settings}
                results |= {
                    "sun": _with(sun(records, rule), named),
                    "msun": _with(msun(records, rule), named),
                }
    if targets is not None:
        results |= _against_targets(structures, list(targets), crew)
    return results


def _as_given(
    structures: Sequence[Structure | None], reference: Known | None, crew: int, suffix: str
) -> tuple[Results, Classes]:
    """Metrics that are asked of the generated and of the relaxed structures."""
    found = symmetries(structures, workers=crew)
    known = reference.symmetries if isinstance(reference, Reference) else []
    same = classes(structures, workers=crew)
    results = {
        "structural_validity": structural_validity(structures),
        "distance_validity": distance_validity(structures),
        "uniqueness": unique(same),
        "symmetry_success": symmetry_success(found),
        "space_groups": space_groups(found, known),
    }
    if isinstance(reference, Reference):
        results["num_primitive_atoms_distance"] = num_primitive_atoms_distance(found, reference)
    if reference is not None:
        results["novelty"] = novelty(structures, reference, workers=crew)
    return {f"{name}{suffix}": result for name, result in results.items()}, same


def _distributions(
    structures: Sequence[Structure | None], reference: Reference, crew: int
) -> Results:
    results = {
        "density_distance": density_distance(structures, reference),
        "num_elements_distance": num_elements_distance(structures, reference),
        "num_atoms_distance": num_atoms_distance(structures, reference),
    }
    if reference.features is not None:
        recall, precision = coverage(features(structures, workers=crew), reference.features)
        results |= {"cov_recall": recall, "cov_precision": precision}
    return results


def _of_energies(relaxed: Relaxed, energies: Energies) -> Results:
    results = {
        "energy_above_hull": energy_above_hull(energies, relaxed.rejected),
        "stability": stability(relaxed.structures, energies, relaxed.rejected),
        "metastability": metastability(relaxed.structures, energies, relaxed.rejected),
    }
    return {name: _with(result, relaxed.settings) for name, result in results.items()}


def _records(
    judged: Sequence[Structure | None],
    relaxed: Relaxed,
    energies: Energies,
    reference: Known,
    rule: Profile,
    crew: int,
    results: Results,
    same: Classes,
) -> Records:
    """What S.U.N. is computed from; classes and novelty are those already found, unless the profile
    has a matcher of its own.
    """
    if rule.relation == "fit":
        new = results["novelty" if rule.judged == "generated" else "novelty_relaxed"]
    elif isinstance(reference, Reference):
        same, new = (
            classes(judged, rule.relation, workers=crew),
            novelty(judged, reference, rule.relation, workers=crew),
        )
    else:
        raise IncompatibleError(
            f"This profile matches by {rule.relation}, which fingerprints cannot. Give known "
            "crystals as the reference, or take "
            "another profile."
        )
    heights = np.where(
        np.isin(np.arange(len(energies)), list(energies.failures)),
        np.nan,
        energies.energy_above_hull,
    )
    return Records(
        same.labels,
        new.per_structure,
        heights.tolist(),
        [is_unary(s) for s in judged],
        dict(sorted({**energies.failures, **same.failures, **relaxed.rejected}.items())),
        frozenset(relaxed.rejected) - frozenset(relaxed.failures),
        {**new.settings, **energies.settings},
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
    structures: Sequence[Structure | None], targets: Sequence[Structure], crew: int
) -> Results:
    if not len(targets) or len(structures) % len(targets):
        raise InputError(
            f"{len(structures)} structures cannot be shared out equally among {len(targets)} "
            "targets. Give the same number of "
            "samples for each, target after target, with None in the place of a sample that failed."
        )
    k = len(structures) // len(targets)
    rows = [structures[i * k : (i + 1) * k] for i in range(len(targets))]
    plain = compare(rows, targets, workers=crew)
    per_reference, per_reference_crmse = metre(plain, rows, targets, workers=crew)
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


def _checked(structures: Sequence[Structure | None]) -> list[Structure | None]:
    if not len(structures):
        raise InputError("There are no structures to score.")
    return list(structures)


def _reference(reference: ReferenceLike) -> Known:
    if isinstance(reference, str | Path):
        return Reference(PackedCrystals.load(reference))
    if isinstance(reference, PackedCrystals):
        return Reference(reference)
    if isinstance(reference, Known):
        return reference
    return Reference(reference)

"""`evaluate`: all metrics at once."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from ase import Atoms
from pymatgen.core import Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.isolation import Workers, computes_here, opened, workers_of

if TYPE_CHECKING:
    from ase_crysdiff.metrics.base import MetricResult
    from ase_crysdiff.metrics.sources import HullLike, ReferenceLike
    from ase_crysdiff.potentials.loading import PotentialLike


@own_state()
def evaluate(
    structures: Structure | Atoms | Iterable[Any],
    *,
    reference: "ReferenceLike | None" = "shipped",
    hull: "HullLike | None" = "shipped",
    potential: "PotentialLike | None" = None,
    targets: Sequence[Structure] | None = None,
    profile: str = "package",
    workers: Workers = 0,
    executor: Executor | None = None,
) -> "Mapping[str, MetricResult]":
    """Scores structures: always as they are, and with a potential relaxed, too.

    Results by name, which print as a table:

    - always `structural_validity`, `distance_validity`, `uniqueness`, `symmetry_success` (at
      0.1 Å), `symmetry_success_tight` (at 0.01 Å), `space_groups`; with SMACT installed
      `compositional_validity`;
    - with a reference `novelty`, and if it holds crystals and not only fingerprints
      `density_distance`, `num_elements_distance`, `num_atoms_distance`,
      `num_primitive_atoms_distance`; if it holds features `cov_recall`, `cov_precision`;
    - with a potential `rmsd_to_relaxed` and, for the relaxed structures, `uniqueness_relaxed`,
      `novelty_relaxed`, `structural_validity_relaxed`, `distance_validity_relaxed`,
      `symmetry_success_relaxed`, `symmetry_success_tight_relaxed`, `space_groups_relaxed`;
    - with a potential and a hull `energy_above_hull`, `stability`, `metastability`, and, of a
      potential that says how far it is to be believed, `energy_uncertainty`; with a reference
      besides `sun`, `msun`;
    - with targets `match_rate`, `rmse`, `crmse`, `volume_error`, `metre`, `metre_crmse`, and with
      SMACT installed `match_rate_diffcsp`, `rmse_diffcsp` with DiffCSP's filter of compositions.

    Args:
        structures: One entry per requested structure, a structure or ASE atoms; None for one that
            failed, which counts as a miss. So does whatever else is among them, and `failures` of
            each result has the reason.
        reference: Known crystals: "shipped" for the fingerprints that come with the package, a
            partial list; structures, packed crystals, the path of a packed file or of anything
            that can be packed, a `Reference` or anything else that can tell whether it contains a
            structure; None scores no novelty.
        hull: Formation energies of known compounds: "shipped" for the table that comes with the
            package; a `Hull`, a CSV file (columns reduced_formula and
            hull_energy_per_atom), a mapping by formula, or structures relaxed with the potential,
            the elements among them; None gives no energies above the hull. Without a potential
            there are no energies, and the shipped hull is not asked for any.
        potential: Relaxes in batches and gives energies: a name, a potential or any ASE
            calculator; None relaxes nothing.
        targets: True structures, for predictions: the first k structures are the samples for the
            first target, the next k those for the second, and so on.
        profile: Whose rule `sun` and `msun` follow: "package", "miad", "flowmm", "mattergen" or
            "lemat".
        workers: Processes for matcher, symmetry finder, featuriser and a potential, which may hang
            or die at the cost of one structure; 0 works in this one, where nothing has a time
            limit.
        executor: Any executor of `concurrent.futures`, such as that of a Dask client, whose
            workers do so instead; nothing has a time limit there, either.

    Raises:
        InputError: If there are no structures, not the same number for every target, a hull of
            yours without a potential, a potential without reference energies for the hull or one
            that cannot be sent to other processes, or if `workers` is no number of processes.
        UnknownNameError: If there is no profile or potential of that name.
        IncompatibleError: If the profile wants known crystals and the reference is fingerprints.
        WorkerError: If processes cannot be started, or the executor is broken.

    Warns:
        UserWarning: If SMACT is not installed.
    """
    from ase_crysdiff.campaigns.evaluation.relaxed import relaxed_by
    from ase_crysdiff.campaigns.evaluation.score import NO_SMACT, check_profile, score
    from ase_crysdiff.metrics.composition import has_smact
    from ase_crysdiff.metrics.examined import Examined
    from ase_crysdiff.metrics.formation import energies_above_hull
    from ase_crysdiff.metrics.scores import Scores
    from ase_crysdiff.metrics.sources import SHIPPED, check_references, hull_from, reference_from
    from ase_crysdiff.metrics.sun import profile_named
    from ase_crysdiff.potentials.loading import as_potential

    # Everything that can be refused is refused before the first structure is looked at.
    wanted = workers_of(workers, executor)
    given, relaxed, energies = Examined(structures), None, None
    if not len(given):
        raise InputError("There are no structures to score.")
    if not has_smact():
        warnings.warn(NO_SMACT, stacklevel=2)
    profile_named(profile)
    is_shipped = isinstance(hull, str) and hull == SHIPPED
    if hull is not None and not is_shipped and potential is None:
        raise InputError(
            "A hull is compared with energies: give a potential, too, such as potential='chgnet'."
        )
    known = None if reference is None else reference_from(reference)
    resolved = None if potential is None else as_potential(potential)
    heights = None if hull is None or resolved is None else hull_from(hull, resolved)
    if resolved is not None and heights is not None:
        check_profile(profile, known)
        check_references(heights, resolved)
    with opened(wanted) as crew:
        if resolved is not None:
            relaxed = relaxed_by(
                given, resolved if computes_here(crew) else potential, workers=crew
            )
            if heights is not None:
                energies = energies_above_hull(relaxed.structures, resolved, heights)
        found = score(
            given,
            relaxed=relaxed,
            energies=energies,
            reference=known,
            targets=targets,
            profile=profile,
            workers=crew,
        )
    return Scores(found)

"""Coverage: does every known crystal have a generated neighbour, and every generated one a known
neighbour?
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Structure
from scipy.spatial.distance import cdist

from ase_crysdiff.errors import InputError, MissingExtraError
from ase_crysdiff.isolation import Failure, Workers, map_isolated
from ase_crysdiff.metrics.base import MetricResult, wilson
from ase_crysdiff.metrics.examined import examined

#: CrystalNN takes 14 ms for a site.
_TIMEOUT = 60.0
#: Rows of a distance matrix that are in memory at once.
ROWS = 1000
_LENGTHS = (61, 132)


class Cutoffs(NamedTuple):
    """Largest distances of neighbours, of structure and of composition. Source: Xie et al. 2022 and
    successors.
    """

    structure: float
    composition: float


CUTOFFS = {
    "mp_20": Cutoffs(0.4, 10.0),
    "carbon_24": Cutoffs(0.2, 4.0),
    "perov_5": Cutoffs(0.2, 4.0),
}


@dataclass(frozen=True)
class Features:
    """Fingerprints of crystals; rows of NaN for those among the failures.

    Args:
        structure: Mean over the sites of CrystalNN's order parameters, (crystals, 61).
        composition: Magpie features, standardised as in CDVAE, (crystals, 132).
        failures: Reason by position.
    """

    structure: NDArray[np.float64]
    composition: NDArray[np.float64]
    failures: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.structure)

    @property
    def sound(self) -> NDArray[np.int_]:
        """Positions that have fingerprints."""
        return np.nonzero(~np.isnan(self.structure[:, 0]))[0]


def features(
    structures: Sequence[Structure | None], *, workers: Workers = 0, timeout: float = _TIMEOUT
) -> Features:
    """Fingerprints of structures: 14 ms per site, so keep those of a reference.

    Source: Xie et al. 2022 (CDVAE), with matminer's featurisers.

    Args:
        structures: None and what fails the gate is among the failures.
        workers: Processes, which may hang or die at the cost of the structure in work; 0 works in
            this one.
        timeout: Seconds for one structure.

    Raises:
        MissingExtraError: If matminer is not installed.
    """
    _featurisers()
    given = examined(structures)
    failures = dict(given.failures)
    found = tuple(np.full((len(structures), n), np.nan) for n in _LENGTHS)
    answers = map_isolated(featurise, list(given.sound.values()), workers=workers, timeout=timeout)
    for i, answer in zip(given.sound, answers, strict=True):
        if isinstance(answer, Failure):
            failures[i] = f"matminer: {answer.reason}"
        else:
            found[0][i], found[1][i] = answer
    return Features(found[0], found[1], dict(sorted(failures.items())))


def featurise(structure: Structure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two fingerprints of one structure.

    Raises:
        InputError: If the structure has no finite fingerprint.
    """
    sites, elements = _featurisers()
    bare = Structure(
        structure.lattice, [site.specie.Z for site in structure], structure.frac_coords % 1.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        local = np.mean([sites.featurize(bare, i) for i in range(len(bare))], axis=0)
    if not np.isfinite(local).all():
        raise InputError("CrystalNN gave a fingerprint that is not finite.")
    means, deviations = _scaler()
    magpie = np.array(elements.featurize(Composition(bare.composition)), dtype=float)
    return local, np.nan_to_num((magpie - means) / deviations, nan=0.0)


@lru_cache(maxsize=1)
def _featurisers() -> tuple[Any, Any]:
    try:
        from matminer.featurizers.composition.composite import ElementProperty
        from matminer.featurizers.site.fingerprint import CrystalNNFingerprint
    except ImportError as error:
        raise MissingExtraError(
            "Coverage needs matminer: pip install 'ase-crysdiff[metrics]'"
        ) from error
    return CrystalNNFingerprint.from_preset("ops"), ElementProperty.from_preset(
        "magpie", impute_nan=False
    )


@lru_cache(maxsize=1)
def _scaler() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and standard deviations that the published codes share."""
    table = json.loads(
        (files("ase_crysdiff.resources") / "magpie_scaler.json").read_text(encoding="utf-8")
    )
    return np.array(table["means"]), np.array(table["stds"])


def coverage(
    generated: Features, known: Features, cutoffs: Cutoffs = CUTOFFS["mp_20"]
) -> tuple[MetricResult, MetricResult]:
    """COV-R and COV-P: shares of known and of generated crystals that have a neighbour on the other
    side.

    As published, the nearest neighbour of the structure and that of the composition may be two
    different crystals; the value for which one neighbour must satisfy both is `joint` in the
    settings. Both exceed 99 % for good models and for copies of the training set: they tell what
    went wrong, not who is best.

    Source: Xie et al. 2022 (CDVAE); cutoffs as in DiffCSP, FlowMM and MiAD.

    Args:
        generated: Of the requested structures; one without fingerprints counts in the denominator
            of COV-P.
        known: Of the test set; known crystals without fingerprints are left out.
        cutoffs: Largest distances.

    Raises:
        InputError: If one side is empty.
    """
    if not len(generated) or not len(known.sound):
        raise InputError(
            f"Coverage compares two sets, got {len(generated)} structures and {len(known.sound)} "
            "known crystals."
        )
    a, b = generated.sound, known.sound
    near = _Nearest(len(a), len(b))
    for start in range(0, len(a), ROWS):
        rows = a[start : start + ROWS]
        near.add(
            start,
            cdist(generated.structure[rows], known.structure[b]),
            cdist(generated.composition[rows], known.composition[b]),
            cutoffs,
        )
    settings = {
        "structure_cutoff": cutoffs.structure,
        "composition_cutoff": cutoffs.composition,
        "matminer": version("matminer"),
        "known": len(b),
        "known_without_fingerprint": len(known) - len(b),
    }
    recall = _share(near.known, near.joint_known, np.arange(len(b)), len(b), cutoffs)
    precision = _share(near.generated, near.joint_generated, a, len(generated), cutoffs)
    return (
        MetricResult(
            recall.value, recall.interval, recall.per_structure, {}, {**settings, **recall.settings}
        ),
        MetricResult(
            precision.value,
            precision.interval,
            precision.per_structure,
            generated.failures,
            {**settings, **precision.settings},
        ),
    )


class _Nearest:
    """Least distances of both sides, gathered block by block."""

    def __init__(self, generated: int, known: int) -> None:
        self.generated, self.known = np.full((2, generated), np.inf), np.full((2, known), np.inf)
        self.joint_generated, self.joint_known = (
            np.zeros(generated, dtype=bool),
            np.zeros(known, dtype=bool),
        )

    def add(
        self,
        start: int,
        structure: NDArray[np.float64],
        composition: NDArray[np.float64],
        cutoffs: Cutoffs,
    ) -> None:
        rows = slice(start, start + len(structure))
        for k, distances in enumerate((structure, composition)):
            self.generated[k, rows] = distances.min(1)
            self.known[k] = np.minimum(self.known[k], distances.min(0))
        both = (structure <= cutoffs.structure) & (composition <= cutoffs.composition)
        self.joint_generated[rows] = both.any(1)
        self.joint_known |= both.any(0)


def _share(
    nearest: NDArray[np.float64],
    joint: NDArray[np.bool_],
    positions: NDArray[np.int_],
    total: int,
    cutoffs: Cutoffs,
) -> MetricResult:
    hit = (nearest[0] <= cutoffs.structure) & (nearest[1] <= cutoffs.composition)
    hits = int(hit.sum())
    verdicts = [False] * total
    for position, verdict in zip(positions.tolist(), hit.tolist(), strict=True):
        verdicts[position] = verdict
    amsd, amcd = (float(row.mean()) if len(row) else math.nan for row in nearest)
    settings = {
        "joint": int(joint.sum()) / total,
        "mean_structure_distance": amsd,
        "mean_composition_distance": amcd,
    }
    return MetricResult(hits / total, wilson(hits, total), tuple(verdicts), {}, settings)

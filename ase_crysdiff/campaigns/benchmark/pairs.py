"""Samples beside the crystals that they should be."""

from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.campaigns.work import WorkItem
from ase_crysdiff.metrics.match_rate import compare_pair


def distance(pair: tuple[Structure | None, Structure]) -> float | None:
    """RMS displacement of a sample from a crystal, with the tolerances of structure prediction.

    Args:
        pair: The sample, None if there is none, and the crystal.

    Returns:
        In units of (volume per atom)^(1/3); None without a match.
    """
    return compare_pair(pair).distance


def with_targets(
    rows: Sequence[Sequence[Structure | None]], targets: Sequence[Structure]
) -> list[list[WorkItem]]:
    """Each sample beside its target, as work under the key "target-sample", a list per target."""
    return [
        [(f"{i}-{k}", (sample, target)) for k, sample in enumerate(row)]
        for i, (row, target) in enumerate(zip(rows, targets, strict=True))
    ]

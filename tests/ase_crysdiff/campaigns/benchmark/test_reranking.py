"""Samples of a target relaxed and ordered anew: what leads, what stays last, what is kept."""

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.campaigns.benchmark.reranking import reranked
from ase_crysdiff.metrics.matching import rms_distance
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.storage import Store

SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
).get_primitive_structure()
CHLORIDE = Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
BROKEN = Structure(Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.01] * 3])


def candidates(*log_votes):
    """A crystal that is none, the wrong structure of NaCl and the right one, in this order."""
    row = [BROKEN.copy(), CHLORIDE.copy(), SALT.copy()]
    for structure, votes in zip(row, log_votes, strict=True):
        structure.properties["crysdiff_log_votes"] = votes
    return row


@pytest.mark.parametrize(("votes", "right"), [(-0.1, True), (-20.0, False)])
def test_energy_and_the_order_of_the_sampler_decide_together(tmp_path, votes, right):
    (row,) = reranked(
        Store(tmp_path / "kept", {}),
        "reranked",
        [candidates(0.0, 0.0, votes)],
        load_potential("dao-p"),
        0,
    )
    assert (rms_distance(row[0], SALT) is not None) is right
    assert row[2].frac_coords.tolist() == BROKEN.frac_coords.tolist()
    moved = row[0 if right else 1]
    assert moved.volume / len(moved) != pytest.approx(SALT.volume / 2, rel=1e-4)


def test_what_is_done_is_not_done_again(tmp_path):
    store, rows = Store(tmp_path / "kept", {}), [candidates(0.0, 0.0, -0.1), [None]]
    first = reranked(store, "reranked", rows, load_potential("dao-p"), 0)
    unasked = load_potential("dao-p")
    unasked.evaluate = None  # whoever asks it for an energy fails
    again = reranked(store, "reranked", rows, unasked, 0)
    assert [s and s.as_dict() for row in again for s in row] == [
        s and s.as_dict() for row in first for s in row
    ]
    assert first[1] == [None]

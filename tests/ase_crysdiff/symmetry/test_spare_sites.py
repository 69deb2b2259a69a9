"""Sites that may stay empty: which are added, and what becomes of packed crystals."""

from collections import Counter

import numpy as np
import pytest
import torch

from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.state_space import MirageSpace
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.data.spare_sites import with_spare_sites
from ase_crysdiff.errors import InputError
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.spare_sites import spare_sites
from ase_crysdiff.symmetry.tables import LETTERS, space_group
from ase_crysdiff.testing.crystals import prototypes

FM3M = 225  # a (1 atom in a primitive cell), b (1), c (2), d (6), e (6, free), ...


def test_single_places_are_taken_once_and_cells_keep_to_their_room():
    draw = np.random.default_rng(0).random
    found = [spare_sites(FM3M, [0], [0.0, 0.0, 0.0, 1.0], 6, draw) for _ in range(200)]
    assert {tuple(sorted(more)) for more in found} == {(1, 2)}  # b and c; nothing else has room
    sizes = [p.multiplicity for p in space_group(FM3M).positions]
    for _ in range(100):
        more = spare_sites(FM3M, [0, 1], [0.0, 0.0, 1.0], 14, draw)
        assert sum(sizes[i] for i in (0, 1, *more)) <= 14
    assert spare_sites(FM3M, [0, 1], [0.0, 1.0], 2, draw) == []


def test_small_orbits_come_as_often_as_their_size_says():
    draw, count = np.random.default_rng(1).random, 4000
    found = Counter(spare_sites(2, [8], [0.0, 1.0], 24, draw)[0] for _ in range(count))
    # P-1: eight inversion centres of one atom, and the general position of two.
    expected = {**dict.fromkeys(range(8), 1 / 8.5), 8: 0.5 / 8.5}
    assert set(found) == set(expected)
    for letter, share in expected.items():
        assert found[letter] / count == pytest.approx(share, abs=0.02)
    none = sum(not spare_sites(1, [0], [3.0, 1.0], 24, draw) for _ in range(count))
    assert none / count == pytest.approx(0.75, abs=0.03)


def test_packed_crystals_keep_their_own_sites():
    structures = list(prototypes().values()) * 5
    packed = PackedScaffolds.of([find_symmetric(s) for s in structures])
    space = MirageSpace(4, spare=[0.2, 0.5, 0.3])
    fits = torch.nonzero(packed.num_atoms <= 4).flatten()
    found = with_spare_sites(packed, space)
    assert len(found) == len(fits) < len(packed)  # the large ones are left out
    assert int(found.num_atoms.max()) <= space.max_rows == 6
    again = with_spare_sites(packed, space)
    assert all(torch.equal(x, again.tensors()[name]) for name, x in found.tensors().items())
    ends, free_ends = found.num_sites.cumsum(0).tolist(), found.num_free.cumsum(0).tolist()
    added = 0
    for place, row in enumerate(fits.tolist()):
        own = packed.crystal(row)
        start = ends[place] - int(found.num_sites[place])
        sites = list(
            zip(
                found.species[start : ends[place]].tolist(),
                [LETTERS[i] for i in found.letter[start : ends[place]].tolist()],
                strict=True,
            )
        )
        count = len(own.scaffold.sites)
        assert sites[:count] == list(packed.scaffold(row).sites)
        assert all(z == VACANCY for z, _ in sites[count:])
        first = free_ends[place] - int(found.num_free[place])
        numbers = found.free_numbers[first : first + own.scaffold.free]
        np.testing.assert_allclose(numbers, packed.crystal(row).free_numbers, atol=1e-6)
        added += len(sites) - count
    assert added > 0


def test_a_fixed_number_of_rows_has_no_spare_sites():
    packed = PackedScaffolds.of([find_symmetric(prototypes()["NaCl"])])
    with pytest.raises(InputError, match="25 rows for every crystal"):
        with_spare_sites(packed, MirageSpace(20, slots=25))

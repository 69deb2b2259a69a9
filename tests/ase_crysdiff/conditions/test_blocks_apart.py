"""Blocks that are too close are pushed apart, and stay rigid."""

import numpy as np
import pytest
import torch
from framework_toys import PYRAZINE

from ase_crysdiff.conditions.blocks_apart import BlocksApart
from ase_crysdiff.errors import InputError
from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.geometry.torus import shortest_image
from ase_crysdiff.processes.rigid import RigidProcess
from ase_crysdiff.representations.lattice_polar import LatticePolar

EDGE = 12.0
JOINT = RigidProcess(LatticePolar([0.0] * 5 + [np.log(EDGE)], [0.2] * 6))
ZINC = BuildingBlock.of(np.array([30]), np.zeros((1, 3)))[0]
RING = BuildingBlock.of(np.array([s.specie.Z for s in PYRAZINE]), PYRAZINE.cart_coords)[0]


def relieved(blocks, centres, t=0.2, **settings):
    """The estimate of a denoiser that holds all blocks where they are, after the condition."""
    given = Blocks.of([(blocks, range(len(blocks)))])
    layout = given.layout()
    state = {
        "lattice": torch.zeros(1, 6),
        "centres": torch.tensor(centres, dtype=torch.float32) / EDGE,
        "rotations": torch.tensor([[1.0, 0, 0, 0]]).expand(len(blocks), 4).clone(),
    }

    def still(state, t, context):
        return {
            name: JOINT.from_clean(name, state, state[name], t, layout) for name in JOINT.components
        }

    told = BlocksApart(0.7, **settings).wrap(still, JOINT, layout)(state, t, given.context())
    clean = {n: JOINT.clean(n, state, told, t, layout) for n in JOINT.components}
    return given.placed(EDGE * torch.eye(3)[None], clean["centres"], clean["rotations"])


def gaps(crystal):
    way = shortest_image(crystal.frac_coords[:, None] - crystal.frac_coords[None])
    return EDGE * torch.linalg.vector_norm(way, dim=-1)


def test_two_atoms_come_as_far_apart_as_they_should():
    crystal = relieved([ZINC, ZINC], [[0, 0, 0], [0.5, 0, 0]])
    assert float(gaps(crystal)[0, 1]) == pytest.approx(0.7 * 2 * 1.22, abs=1e-4)


def test_what_is_far_apart_or_early_stays():
    for crystal in (
        relieved([ZINC, ZINC], [[0, 0, 0], [4.0, 0, 0]]),
        relieved([ZINC, ZINC], [[0, 0, 0], [4.0, 0, 0]], t=0.9),
    ):
        assert float(gaps(crystal)[0, 1]) == pytest.approx(4.0, abs=1e-4)
    early = relieved([ZINC, ZINC], [[0, 0, 0], [0.5, 0, 0]], t=0.9)
    assert float(gaps(early)[0, 1]) == pytest.approx(0.5, abs=1e-4)


def test_a_ring_is_pushed_and_turned_as_one():
    before = RING.positions
    corner = before[np.argmax(before[:, 0])]
    start = [[0, 0, 0], (corner + np.array([0.3, 0.4, 0.2])).tolist()]
    crystal = relieved([RING, ZINC], start, sweeps=20)
    ring = gaps(crystal)[:10, :10]
    wanted = np.linalg.norm(before[:, None] - before[None], axis=-1)
    assert np.allclose(ring.numpy(), wanted, atol=1e-3)
    radii = torch.tensor([0.31 if z == 1 else 0.76 if z == 6 else 0.71 for z in RING.species])
    least = (gaps(crystal)[10, :10] / (radii + 1.22)).min()
    assert float(least) > 0.65


def test_numbers_that_make_no_sense():
    with pytest.raises(InputError, match="fraction"):
        BlocksApart(0.0)

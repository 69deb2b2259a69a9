"""Known frameworks as arrangements of building blocks, and others assembled from them."""

import numpy as np
import pytest
import torch
from framework_toys import PYRAZINE, cell_of, packed_frameworks, pyrazine_cube
from pymatgen.core import Structure

from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.frameworks.batch import FrameworkBatch
from ase_crysdiff.frameworks.blocks import BuildingBlock
from ase_crysdiff.frameworks.cutting import cut
from ase_crysdiff.metrics.frameworks import framework_distances
from ase_crysdiff.prototypes.frameworks.building import build
from ase_crysdiff.prototypes.frameworks.kinds import BlockKinds, Scale, extents
from ase_crysdiff.prototypes.frameworks.library import FrameworkLibrary
from ase_crysdiff.prototypes.frameworks.placing import assembled, laid_upon
from ase_crysdiff.prototypes.frameworks.retrieval import Wanted, candidates

RING = BuildingBlock.of(
    np.array([s.specie.Z for s in PYRAZINE]), np.asarray(PYRAZINE.cart_coords, dtype=float)
)[0]


def turned(block: BuildingBlock, generator: torch.Generator) -> BuildingBlock:
    """The same body in another frame."""
    frame = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    frame = frame * torch.linalg.det(frame)
    return BuildingBlock(block.species, block.positions @ frame.numpy())


def lengthened(ring: BuildingBlock, by: float) -> BuildingBlock:
    """A ring that is stretched along the line of its nitrogen atoms."""
    ends = ring.positions[ring.species == 7]
    way = (ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1])
    stretch = np.eye(3) + (by - 1) * np.outer(way, way)
    return BuildingBlock(ring.species, ring.positions @ stretch)


def library_of(*structures: Structure) -> FrameworkLibrary:
    batch = FrameworkBatch.of([cut(cell_of(s)) for s in structures])
    return build(batch, [s.composition.reduced_formula for s in structures], progress=False)


def structure_of(cell) -> Structure:
    return Structure(cell.lattice, cell.species, cell.frac_coords)


@pytest.fixture(scope="module")
def library():
    tall = pyrazine_cube("Cu")
    tall = Structure(tall.lattice, tall.species, tall.frac_coords)
    tall.apply_strain([0.0, 0.0, 0.08])
    return library_of(pyrazine_cube("Zn"), tall, pyrazine_cube("Ni") * (2, 1, 1))


def test_frameworks_come_back_from_their_arrangements(library):
    again = FrameworkLibrary.of(library.tensors())
    assert sorted(again.names) == sorted(library.names)
    for row in range(len(library)):
        one, other = library.arrangement(row), again.arrangement(row)
        assert one.name == other.name
        assert np.allclose(one.rotations, other.rotations, atol=1e-3)
        assert np.allclose(np.linalg.det(other.rotations), 1.0)
    wanted = Wanted.of(cut(cell_of(pyrazine_cube("Zn"))).blocks, again, Scale())
    first = candidates(again, wanted)[0]
    assert first.known
    assert first.distance == 0.0
    away = framework_distances((structure_of(assembled(again, wanted, first)), pyrazine_cube("Zn")))
    assert max(away) < 0.01


def test_like_blocks_are_one_kind(library):
    assert len(library.kinds) == 4  # three metals and a ring
    assert library.elements == {1, 6, 7, 28, 29, 30}


def test_a_framework_that_was_measured_twice_stays_once():
    near = pyrazine_cube(edge=7.0)
    found = library_of(pyrazine_cube(), near, pyrazine_cube(edge=8.0))
    assert len(found) == 2


def test_blocks_in_any_frame_and_order_find_their_places(library, generator):
    own = list(cut(cell_of(pyrazine_cube("Zn"))).blocks)
    for order in ([3, 1, 0, 2], [2, 3, 1, 0]):
        blocks = [turned(own[k], generator) for k in order]
        wanted = Wanted.of(blocks, library, Scale())
        cell = assembled(library, wanted, candidates(library, wanted)[0])
        assert cell.species.tolist() == np.concatenate([b.species for b in blocks]).tolist()
        assert max(framework_distances((structure_of(cell), pyrazine_cube("Zn")))) < 0.01


def test_another_metal_takes_the_place_of_a_metal(library):
    blocks = cut(cell_of(pyrazine_cube("Cd"))).blocks
    wanted = Wanted.of(blocks, library, Scale())
    first = candidates(library, wanted)[0]
    assert not first.known
    assert first.distance < 0.2
    cell = assembled(library, wanted, first)
    assert max(framework_distances((structure_of(cell), pyrazine_cube("Cd")))) < 0.5
    assert np.linalg.det(cell.lattice) == pytest.approx(
        np.linalg.det(library.arrangement(first.row).lattice), rel=1e-3
    )


def test_longer_linkers_stretch_the_cell(library):
    own = cut(cell_of(pyrazine_cube("Zn"))).blocks
    blocks = [b if len(b) == 1 else lengthened(b, 1.5) for b in own]
    wanted = Wanted.of(blocks, library, Scale())
    first = next(c for c in candidates(library, wanted) if library.names[c.row].startswith("Zn"))
    cell = assembled(library, wanted, first)
    edges = np.linalg.norm(cell.lattice, axis=1)
    assert edges == pytest.approx(np.full(3, 6.98 + 1.39), abs=0.1)
    gaps = structure_of(cell).distance_matrix
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() > 0.9


def test_cells_of_a_kind_come_after_others(library):
    blocks = cut(cell_of(pyrazine_cube("Cd"))).blocks
    twice = library_of(pyrazine_cube("Zn"), pyrazine_cube("Cu"), pyrazine_cube("Ni", edge=7.9))
    wanted = Wanted.of(blocks, twice, Scale())
    edges = [float(np.exp(twice.cell(c.row)[0])) for c in candidates(twice, wanted)]
    assert edges == pytest.approx([6.98, 7.9, 6.98], abs=0.01)


def test_known_frameworks_can_be_left_out(library):
    wanted = Wanted.of(cut(cell_of(pyrazine_cube("Zn"))).blocks, library, Scale())
    assert candidates(library, wanted)[0].known
    others = candidates(library, wanted, known=False)
    assert others
    assert not any(one.known for one in others)


def test_none_has_so_many_blocks(library):
    wanted = Wanted.of([RING, RING], library, Scale())
    assert candidates(library, wanted) == []


def test_distances_of_blocks():
    kinds = BlockKinds([RING, BuildingBlock(np.array([30]), np.zeros((1, 3)))])
    scale = Scale()
    assert kinds.distances(RING, scale)[0] == pytest.approx(0.0, abs=1e-12)
    copper = BuildingBlock(np.array([29]), np.zeros((1, 3)))
    assert kinds.distances(copper, scale)[1] == pytest.approx(scale.metal)
    assert kinds.distances(copper, scale)[0] > scale.kind
    longer = lengthened(RING, 1.5)
    wanted = extents(longer.positions) - extents(RING.positions)
    assert kinds.distances(longer, scale)[0] == pytest.approx(np.abs(wanted).sum())
    assert extents(RING.positions) == pytest.approx(np.sort(extents(RING.positions))[::-1])


def test_alike_is_found_with_its_rotation(generator):
    kinds = BlockKinds([RING])
    other = turned(RING, generator)
    turn = kinds.alike(other)[0]
    laid = other.positions @ turn.T
    gaps = np.linalg.norm(laid[:, None] - RING.positions[None], axis=-1)
    assert gaps.min(1).max() < 1e-6
    assert kinds.alike(lengthened(RING, 1.5)) == {}


def test_unlike_blocks_lie_along_each_other(generator):
    other = turned(lengthened(RING, 1.3), generator)
    rotation = laid_upon(other, RING)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    laid = other.positions @ rotation.T
    assert np.abs(laid[:, 2]).max() < 1e-6  # both rings are flat
    ends, known = laid[other.species == 7], RING.positions[RING.species == 7]
    assert np.abs(np.cross(ends[0] - ends[1], known[0] - known[1])).max() < 1e-6


def test_refusals(library):
    tensors = library.tensors()
    del tensors["kind"]
    with pytest.raises(CheckpointError, match="lacks the tensors \\['kind'\\]"):
        FrameworkLibrary.of(tensors)
    with pytest.raises(InputError, match="No framework is left"):
        build(packed_frameworks(1).batch, [], progress=False)

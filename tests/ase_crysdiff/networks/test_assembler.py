"""The network that assembles blocks turns with the crystal, and knows no order of blocks."""

from dataclasses import replace

import pytest
import torch
from framework_toys import packed_frameworks

from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.geometry import rotations
from ase_crysdiff.networks.frameworks.assembler import Assembler
from ase_crysdiff.networks.frameworks.images import nearest_images
from ase_crysdiff.representations.lattice_matrix import LatticeMatrix
from ase_crysdiff.testing.crystals import random_batch

SIZES = {"hidden": 16, "edges": 16, "layers": 2, "images": 8, "atoms": 8}


@pytest.fixture(scope="module")
def blocks():
    return packed_frameworks(3).batch.blocks


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return Assembler(LatticeMatrix(), **SIZES).double().requires_grad_(False)


def noisy(blocks, generator):
    bodies, crystals = len(blocks.block_atoms), len(blocks)
    cells = 7 * torch.eye(3, dtype=torch.float64).expand(crystals, 3, 3)
    cells = cells + torch.randn(crystals, 3, 3, generator=generator, dtype=torch.float64)
    turns = torch.randn(bodies, 4, generator=generator, dtype=torch.float64)
    return {
        "lattice": cells.flatten(1),
        "centres": torch.rand(bodies, 3, generator=generator, dtype=torch.float64),
        "rotations": rotations.canonical(turns),
    }


def told(network, state, blocks):
    precise = replace(blocks, block_positions=blocks.block_positions.double())
    times = torch.full((len(blocks),), 0.4, dtype=torch.float64)
    return network(state, times, precise.context(), precise.layout(torch.float64))


def test_turned_with_the_crystal(network, blocks, generator):
    state = noisy(blocks, generator)
    turn = rotations.canonical(torch.randn(1, 4, generator=generator, dtype=torch.float64))
    matrix = rotations.to_matrix(turn)[0]
    turned = {
        "lattice": (state["lattice"].unflatten(1, (3, 3)) @ matrix.T).flatten(1),
        "centres": state["centres"],
        "rotations": rotations.multiply(turn.expand_as(state["rotations"]), state["rotations"]),
    }
    one, other = told(network, state, blocks), told(network, turned, blocks)
    assert torch.allclose(other.shifts, one.shifts @ matrix.T, atol=1e-9)
    assert torch.allclose(other.rotations, matrix @ one.rotations, atol=1e-9)


def test_shifts_of_everything_and_whole_cells_change_nothing(network, blocks, generator):
    state = noisy(blocks, generator)
    whole = torch.randint(-2, 3, state["centres"].shape, generator=generator)
    moved = {**state, "centres": state["centres"] + whole + torch.tensor([0.3, 0.7, 0.1])}
    one, other = told(network, state, blocks), told(network, moved, blocks)
    for name in one._fields:
        assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5)


def test_blocks_in_another_order(network, blocks, generator):
    state, alone = noisy(blocks, generator), blocks.select(torch.tensor([0]))
    count = int(alone.num_blocks)
    first = {n: x[:1] if n == "lattice" else x[:count] for n, x in state.items()}
    order = torch.randperm(count, generator=generator)
    parts = alone.block_positions.split(alone.block_atoms.tolist())
    species = alone.block_species.split(alone.block_atoms.tolist())
    mixed = Blocks(
        torch.cat([species[i] for i in order]),
        torch.cat([parts[i] for i in order]),
        alone.block_atoms[order],
        torch.arange(count),
        alone.num_blocks,
    )
    other = {n: x if n == "lattice" else x[order] for n, x in first.items()}
    one, two = told(network, first, alone), told(network, other, mixed)
    assert torch.allclose(one.shifts[order], two.shifts, atol=1e-10)
    assert torch.allclose(one.rotations[order], two.rotations, atol=1e-10)
    assert torch.allclose(one.lattice, two.lattice, atol=1e-10)


def test_a_crystal_alone_is_what_it_is_in_a_batch(network, blocks, generator):
    state = noisy(blocks, generator)
    together = told(network, state, blocks)
    start = 0
    for number, count in enumerate(blocks.num_blocks.tolist()):
        rows = slice(start, start + count)
        own = {n: x[number : number + 1] if n == "lattice" else x[rows] for n, x in state.items()}
        alone = told(network, own, blocks.select(torch.tensor([number])))
        assert torch.allclose(alone.shifts, together.shifts[rows], atol=1e-10)
        assert torch.allclose(alone.lattice, together.lattice[number], atol=1e-10)
        start += count


def test_shifts_have_no_mean(network, blocks, generator):
    shifts = told(network, noisy(blocks, generator), blocks).shifts
    means = [part.mean(0) for part in shifts.split(blocks.num_blocks.tolist())]
    assert float(torch.stack(means).abs().max()) < 1e-12


def test_single_atoms_have_no_orientation(network, blocks, generator):
    state = noisy(blocks, generator)
    single = blocks.block_atoms == 1
    other = torch.randn(len(single), 4, generator=generator, dtype=torch.float64)
    turned = torch.where(single[:, None], rotations.canonical(other), state["rotations"])
    one = told(network, state, blocks)
    two = told(network, {**state, "rotations": turned}, blocks)
    assert torch.allclose(one.shifts, two.shifts, atol=1e-12)
    assert torch.allclose(one.rotations[~single], two.rotations[~single], atol=1e-12)


def test_nearest_images_are_those_of_all_cells(generator):
    crystal = random_batch([5], generator).to(dtype=torch.float64)
    found = nearest_images(crystal.frac_coords, crystal.lattice, crystal.num_atoms, 9)
    cells = torch.cartesian_prod(*[torch.arange(-3.0, 4.0, dtype=torch.float64)] * 3)
    away = crystal.frac_coords[None, :, None] - crystal.frac_coords[:, None, None] + cells
    distances = torch.linalg.vector_norm(away @ crystal.lattice[0], dim=-1).flatten(1)
    wanted = distances.sort(1).values[:, 1:10]  # the first is the block itself
    lengths = torch.linalg.vector_norm(found.vectors, dim=-1)
    assert torch.allclose(lengths, wanted, atol=1e-9)
    assert bool(found.there.all())

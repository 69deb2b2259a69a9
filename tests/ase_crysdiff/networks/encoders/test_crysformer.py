import numpy as np
import pytest
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.encoders.crysformer.element_table import WIDTHS, element_table
from ase_crysdiff.networks.encoders.crysformer.fully_connected import Crysformer, GatedAddition
from ase_crysdiff.testing.crystals import random_batch

SIZES = [1, 2, 2, 5, 7]
#: Columns that are one in CGCNN's own table.
PUBLISHED = {
    1: [1, 19, 30, 36, 46, 64, 73, 78, 86],
    8: [16, 20, 34, 37, 51, 64, 74, 79, 86],
    14: [14, 21, 29, 40, 49, 61, 74, 79, 85],
    26: [8, 22, 29, 40, 53, 61, 72, 80, 83],
    57: [0, 24, 27, 42, 47, 60, 73, 81, 87],
}


def model(crystals, joint_norm=False, learned=16, **encoder):
    module = recipe("dao-g")
    config = module.published(crystals)
    config["stem"] = config["stem"] | {"learned": learned}
    config["encoder"] = config["encoder"] | {
        "hidden": 32,
        "layers": 2,
        "heads": 4,
        "frequencies": 8,
        "joint_norm": joint_norm,
    }
    config["encoder"] |= encoder
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        built = module.build(config)
    built.denoiser.double()
    return built


def predict(built, batch):
    batch = batch.to(dtype=torch.float64)
    state = built.joint.encode(batch)
    t = torch.linspace(0.1, 0.9, len(batch), dtype=torch.float64)
    with torch.no_grad():
        return built.denoiser(state, t, {"species": batch.species}, batch.layout)


def test_published_size(crystals):
    """Heads of the generator, no final norm, no dead embedding: 25,220,644 numbers, 9,292 of them
    frozen.
    """
    with torch.device("meta"):
        module = recipe("dao-g")
        denoiser = module.build(module.published(crystals)).denoiser
    assert sum(p.numel() for p in denoiser.parameters()) == 25_211_352
    assert denoiser.stem.table.numel() == 9_292
    layer = denoiser.encoder.layers[0]
    assert sum(p.numel() for p in layer.parameters()) == 2_077_074


def test_gated_addition_golden():
    gate = GatedAddition(2).double()
    with torch.no_grad():
        gate.gate.weight.copy_(torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]))
    x, y = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    np.testing.assert_allclose(gate(x, y).detach().numpy(), [[0.88079708, 1.88079708]], atol=1e-8)
    with torch.no_grad():
        gate.gate.weight.zero_()
    assert torch.equal(gate(x, y), (x + y) / 2)


def test_element_table_is_cgcnns_but_for_three_bins():
    table = element_table()
    assert table.shape == (101, 92)
    assert sum(WIDTHS) == 92
    assert table[0].sum() == 0
    found = {z: torch.nonzero(table[z]).flatten().tolist() for z in PUBLISHED}
    differing = [
        (z, a, b) for z in PUBLISHED for a, b in zip(found[z], PUBLISHED[z], strict=True) if a != b
    ]
    assert sorted((z, abs(a - b)) for z, a, b in differing) == [(1, 1), (14, 1), (57, 2)]
    assert torch.equal(table[60], table[61])


@pytest.mark.parametrize("joint_norm", [False, True])
def test_symmetries(crystals, generator, joint_norm):
    built = model(crystals, joint_norm)
    batch = random_batch(SIZES, generator)
    found = predict(built, batch)
    shifted = CrystalBatch(
        batch.lattice,
        batch.frac_coords + torch.tensor([0.3, 1.7, -0.4]),
        batch.species,
        batch.num_atoms,
    )
    images = torch.randint(-2, 3, batch.frac_coords.shape, generator=generator)
    moved = CrystalBatch(batch.lattice, batch.frac_coords + images, batch.species, batch.num_atoms)
    for other in (shifted, moved):
        again = predict(built, other)
        for name in found:
            torch.testing.assert_close(
                again[name], found[name], atol=2e-5, rtol=0
            )  # frac_coords are float32 numbers
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    turned = predict(
        built, CrystalBatch(batch.lattice @ q, batch.frac_coords, batch.species, batch.num_atoms)
    )
    torch.testing.assert_close(turned["frac_coords"], found["frac_coords"], atol=1e-4, rtol=0)
    expected = (found["lattice"].view(-1, 3, 3) @ q.double()).flatten(1)
    torch.testing.assert_close(turned["lattice"], expected, atol=1e-3, rtol=0)
    order = torch.tensor([0, 1, 2, 3, 4, 9, 5, 7, 6, 8, 16, 10, 11, 12, 13, 14, 15])
    permuted = predict(
        built,
        CrystalBatch(
            batch.lattice, batch.frac_coords[order], batch.species[order], batch.num_atoms
        ),
    )
    torch.testing.assert_close(
        permuted["frac_coords"], found["frac_coords"][order], atol=1e-12, rtol=0
    )
    torch.testing.assert_close(permuted["lattice"], found["lattice"], atol=1e-12, rtol=0)


def test_a_batch_is_its_members(crystals, generator):
    built = model(crystals)
    batch = random_batch(SIZES, generator).to(dtype=torch.float64)
    state = built.joint.encode(batch)
    with torch.no_grad():
        inputs = built.denoiser.stem(
            state, torch.zeros(5, dtype=torch.float64), {"species": batch.species}, batch.layout
        )
        whole = built.denoiser.encoder(inputs)
        start = 0
        for i, one in enumerate(batch.split()):
            inputs = built.denoiser.stem(
                built.joint.encode(one),
                torch.zeros(1, dtype=torch.float64),
                {"species": one.species},
                one.layout,
            )
            alone = built.denoiser.encoder(inputs)
            torch.testing.assert_close(
                alone.nodes, whole.nodes[start : start + SIZES[i]], atol=1e-12, rtol=0
            )
            torch.testing.assert_close(alone.crystals[0], whole.crystals[i], atol=1e-12, rtol=0)
            start += SIZES[i]


@pytest.mark.parametrize("pair", [(57, 58), (60, 61)])
def test_learned_embedding_tells_elements_apart(crystals, pair):
    """La and Ce, and two that share a row of the table."""
    lattice, frac = 4.0 * torch.eye(3)[None], torch.tensor([[0.1, 0, 0], [0.5, 0.5, 0.6]])
    batches = [CrystalBatch(lattice, frac, torch.tensor([z, 8]), torch.tensor([2])) for z in pair]
    for learned in (0, 16):
        first, second = (
            predict(model(crystals, learned=learned), batch)["frac_coords"] for batch in batches
        )
        assert bool((first - second).abs().max() > 1e-6) == (learned > 0 or pair == (57, 58))


def test_separate_norms_keep_the_geometry_visible():
    """In a cell of 10 Å a displaced atom changes the edges as much as in one of 3 Å; under the
    published norm far less.
    """
    changes = {}
    for joint_norm in (False, True):
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(0)
            layer = Crysformer(9, 32, 1, 4, 16, joint_norm).double().layers[0]
        for size in (3.0, 10.0):
            invariants = (size**2 * torch.eye(3)).flatten()[None].double()
            edges = []
            for moved in (0.25, 0.35):
                angles = 2 * np.pi * np.arange(16)[None] * np.array([[moved], [0.5], [0.0]])
                fourier = torch.from_numpy(
                    np.concatenate([np.sin(angles).ravel(), np.cos(angles).ravel()])
                ).view(1, 1, 1, -1)
                edges.append(layer.edge_terms(invariants, fourier).detach())
            changes[joint_norm, size] = float((edges[1] - edges[0]).norm())
    assert changes[False, 10.0] == pytest.approx(changes[False, 3.0], rel=1e-9)
    assert changes[True, 10.0] < 0.5 * changes[True, 3.0]

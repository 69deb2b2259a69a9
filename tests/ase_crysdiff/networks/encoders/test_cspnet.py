from pathlib import Path

import numpy as np
import pytest
import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import CheckpointError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.added_columns import with_added_columns
from ase_crysdiff.networks.assembly import denoiser_for
from ase_crysdiff.networks.base import NodeInput
from ase_crysdiff.networks.embeddings import fourier_features, time_embedding
from ase_crysdiff.networks.encoders import cspnet
from ase_crysdiff.networks.encoders.cspnet import CSPNet
from ase_crysdiff.networks.linear import product
from ase_crysdiff.testing.crystals import random_batch
from ase_crysdiff.testing.cspnet_reference import ReferenceCSPNet

SIZES = [1, 2, 2, 5, 7]
TINY = {"name": "cspnet", "hidden": 32, "layers": 2, "frequencies": 32}
DISTANCES = {**TINY, "distances": 16}
#: As published, and with the edges' distances and directions.
BOTH = pytest.mark.parametrize("encoder", [TINY, DISTANCES], ids=["published", "distances"])


def build(name, crystals, lattice=None, encoder=TINY):
    module = recipe(name)
    config = dict(
        module.published(crystals)
        if name == "miad" and lattice == "matrix"
        else module.configure(crystals)
    )
    if lattice == "matrix":
        config["lattice"] = {"name": "matrix"}
    config["encoder"] = encoder
    torch.random.default_generator.manual_seed(3)
    return module.build(config)


def inputs(model, batch, dtype=torch.float64):
    batch = batch.to(dtype=dtype)
    state = model.joint.encode(batch)
    context = {} if "species" in state else {"species": batch.species}
    return state, torch.linspace(0.1, 0.9, len(batch), dtype=dtype), context, batch.layout


def predict(model, batch, dtype=torch.float64):
    model.denoiser.to(dtype)
    with torch.no_grad():
        return model.denoiser(*inputs(model, batch, dtype))


def test_published_sizes(crystals):
    full = {"name": "cspnet", "hidden": 512, "layers": 6, "frequencies": 128}
    assert build("dao-g", crystals, "matrix", full).denoiser.num_parameters == 12_294_656
    assert build("miad", crystals, "matrix", full).denoiser.num_parameters == 12_346_468


def test_time_embedding_golden():
    rows = time_embedding(torch.tensor([1, 500, 1000]).double() / 1000)
    np.testing.assert_allclose(rows[0, :3], [0.841471, 0.801647, 0.761085], atol=1e-6)
    np.testing.assert_allclose(rows[0, 127:130], [1e-4, 0.540302, 0.597798], atol=1e-6)
    np.testing.assert_allclose(rows[1, [0, 127]], [-0.467772, 0.0499792], atol=1e-6)
    np.testing.assert_allclose(rows[2, 0], 0.826880, atol=1e-6)


def test_fourier_features_golden():
    sines, cosines = fourier_features(torch.zeros(2, 3).double(), 128)
    assert sines.shape == (2, 384)
    assert sines.shape[1] + cosines.shape[1] == 768
    assert (sines == 0).all()
    assert (cosines == 1).all()
    sines, cosines = fourier_features(torch.tensor([[0.25, 0.0, 0.125]]).double(), 3)
    np.testing.assert_allclose(sines, [[0, 1, 0, 0, 0, 0, 0, np.sqrt(0.5), 1]], atol=1e-12)
    np.testing.assert_allclose(cosines, [[1, 0, -1, 1, 1, 1, 1, np.sqrt(0.5), 0]], atol=1e-12)


@BOTH
@pytest.mark.parametrize("name", ["miad", "dao-g"])
@pytest.mark.parametrize("lattice", ["matrix", "polar"])
def test_fast_network_equals_published_equations(name, lattice, encoder, crystals, generator):
    model = build(name, crystals, lattice, encoder)
    batch = random_batch(SIZES, generator)
    fast = predict(model, batch)
    encoder = model.denoiser.encoder
    model.denoiser.encoder = ReferenceCSPNet(encoder)
    slow = predict(model, batch)
    for component, value in fast.items():
        np.testing.assert_allclose(value, slow[component], rtol=1e-9, atol=1e-12)


@BOTH
@pytest.mark.parametrize("tabulated", [False, True])
def test_blocks_in_portions_give_the_same_bits(
    tabulated, encoder, crystals, generator, monkeypatch
):
    model = build("miad", crystals, encoder=encoder)
    model.denoiser.eval()
    if tabulated:
        model.denoiser.encoder.tabulate()
    batch = random_batch([2] * 9 + [7] * 5, generator)
    whole = predict(model, batch, torch.float32)
    monkeypatch.setattr(cspnet, "CACHED", 32 * 60)  # one crystal of 7 atoms, 15 of 2
    for component, value in predict(model, batch, torch.float32).items():
        assert torch.equal(value, whole[component])


@BOTH
def test_fast_network_has_the_reference_gradients(encoder, crystals, generator):
    model = build("miad", crystals, "matrix", encoder)
    model.denoiser.double()
    arguments = inputs(model, random_batch([3, 3, 5], generator))
    gradients = []
    encoder = model.denoiser.encoder
    for network in (encoder, ReferenceCSPNet(encoder)):
        model.denoiser.encoder = network
        model.denoiser.zero_grad()
        sum((v**2).sum() for v in model.denoiser(*arguments).values()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters()]))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-7, atol=1e-9)


@BOTH
def test_bfloat16_products_stay_close(encoder, crystals, generator):
    """Only where the processor has them: some virtual machines end the program at the first one."""
    import subprocess
    import sys

    probe = "import torch; x = torch.ones(64, 64).bfloat16(); x @ x"
    if subprocess.run([sys.executable, "-c", probe], check=False, capture_output=True).returncode:
        pytest.skip("this processor cannot multiply bfloat16 matrices")
    model = build("miad", crystals, encoder=encoder)
    batch = random_batch(SIZES, generator)
    exact = predict(model, batch, torch.float32)
    model.denoiser.encoder.products = torch.bfloat16
    rough = predict(model, batch, torch.float32)
    for component, value in exact.items():
        # Coordinates without their mean are small differences of larger numbers.
        limit = 0.05 if component == "frac_coords" else 0.02
        assert float((rough[component] - value).norm() / value.norm()) < limit, component


@BOTH
@pytest.mark.parametrize("name", ["miad", "dao-g"])
@pytest.mark.parametrize("lattice", ["matrix", "polar"])
class TestSymmetry:
    def test_permutation(self, name, lattice, encoder, crystals, generator):
        model, batch = build(name, crystals, lattice, encoder), random_batch([7], generator)
        order = torch.randperm(7, generator=generator)
        moved = CrystalBatch(
            batch.lattice, batch.frac_coords[order], batch.species[order], batch.num_atoms
        )
        before, after = predict(model, batch), predict(model, moved)
        np.testing.assert_allclose(after["lattice"], before["lattice"], atol=1e-12)
        np.testing.assert_allclose(after["frac_coords"], before["frac_coords"][order], atol=1e-12)
        if "species" in before:
            np.testing.assert_allclose(after["species"], before["species"][order], atol=1e-12)

    def test_lattice_translations_and_a_common_shift(
        self, name, lattice, encoder, crystals, generator
    ):
        model, batch = build(name, crystals, lattice, encoder), random_batch(SIZES, generator)
        images = torch.randint(-3, 4, batch.frac_coords.shape, generator=generator)
        shift = torch.rand(1, 3, generator=generator)
        moved = CrystalBatch(
            batch.lattice,
            batch.frac_coords.double() + images + shift,
            batch.species,
            batch.num_atoms,
        )
        before, after = predict(model, batch), predict(model, moved)
        for component, value in before.items():
            np.testing.assert_allclose(after[component], value, atol=1e-9)

    @pytest.mark.parametrize("handedness", [1, -1])
    def test_rotations_and_reflections(
        self, name, lattice, encoder, handedness, crystals, generator
    ):
        model, batch = build(name, crystals, lattice, encoder), random_batch(SIZES, generator)
        q = (
            handedness
            * torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
        )
        turned = CrystalBatch(
            batch.lattice.double() @ q, batch.frac_coords, batch.species, batch.num_atoms
        )
        before, after = predict(model, batch), predict(model, turned)
        expected = before["lattice"]
        if lattice == "matrix":
            expected = (expected.unflatten(1, (3, 3)) @ q).flatten(1)
        np.testing.assert_allclose(after["lattice"], expected, atol=1e-9)
        np.testing.assert_allclose(after["frac_coords"], before["frac_coords"], atol=1e-9)

    def test_a_crystal_alone_equals_the_same_in_a_batch(
        self, name, lattice, encoder, crystals, generator
    ):
        """To the last bit, in single precision: reproducible sampling rests on it.

        The width is a multiple of 32, as in every shipped model: vectorised functions treat the
        last elements of a tensor differently when it does not fill their registers.
        """
        model, batch = build(name, crystals, lattice, encoder), random_batch(SIZES, generator)
        together = predict(model, batch, torch.float32)
        for i, single in enumerate(batch.split()):
            state, _, context, layout = inputs(model, single, torch.float32)
            t = torch.linspace(0.1, 0.9, len(batch))[i : i + 1]
            with torch.no_grad():
                alone = model.denoiser(state, t, context, layout)
            first = sum(SIZES[:i])
            assert torch.equal(alone["lattice"], together["lattice"][i : i + 1])
            assert torch.equal(
                alone["frac_coords"], together["frac_coords"][first : first + SIZES[i]]
            )


def test_product_of_few_rows_equals_the_batch(generator):
    x, weight = (
        torch.randn(64, 300, generator=generator),
        torch.randn(128, 300, generator=generator),
    )
    for rows in (1, 2, 3, 4, 7, 33):
        assert torch.equal(product(x[:rows], weight), product(x, weight)[:rows])


def test_encoder_interface_takes_any_layout():
    layout = Layout((1, 3, 3))
    assert [(b.count, b.size) for b in layout.blocks] == [(1, 1), (2, 3)]
    assert CSPNet(6, hidden=8, layers=1, frequencies=2).hidden == 8


def test_denoiser_has_a_head_per_component(crystals):
    model = build("miad", crystals)
    assert set(model.denoiser.heads) == set(model.joint.components)
    again = denoiser_for(model.joint, lambda n: CSPNet(n, 8, 1, 2))
    assert again.num_parameters < model.denoiser.num_parameters


@pytest.mark.parametrize("distances", [0, 16])
@pytest.mark.parametrize("frequencies", [8, 32])
def test_tables_change_nothing_beyond_rounding(frequencies, distances, generator):
    batch = random_batch(SIZES, generator).to(dtype=torch.float64)
    torch.random.default_generator.manual_seed(0)
    net = CSPNet(9, 32, 2, frequencies, distances).double()
    given = NodeInput(
        torch.randn(17, 32, dtype=torch.float64),
        torch.randn(5, 9, dtype=torch.float64),
        batch.frac_coords,
        batch.layout,
        lambda: batch.lattice,
    )
    with torch.no_grad():
        exact = net(given).nodes
        net.tabulate()
        looked_up = net(given).nodes
    assert not torch.equal(exact, looked_up), "the table was not used"
    assert float((exact - looked_up).norm() / exact.norm()) < 1e-6
    torch.testing.assert_close(
        net(given).nodes.detach(), exact, atol=1e-12, rtol=0
    )  # with gradients it is left alone


def test_sampling_overwrites_nothing_it_was_given(generator):
    batch = random_batch(SIZES, generator)
    net = CSPNet(9, 32, 2, 8)
    given = NodeInput(torch.randn(17, 32), torch.randn(5, 9), batch.frac_coords, batch.layout)
    before = [x.clone() for x in (given.nodes, given.crystals, given.frac_coords)]
    weights = [p.clone() for p in net.parameters()]
    net.tabulate()
    with torch.no_grad():
        net(given)
    for old, new in zip(before, (given.nodes, given.crystals, given.frac_coords), strict=True):
        assert torch.equal(old, new)
    for old, new in zip(weights, net.parameters(), strict=True):
        assert torch.equal(old, new)


def test_columns_of_zeros_compute_what_the_smaller_network_does(crystals, generator):
    small, large = build("miad", crystals), build("miad", crystals, encoder=DISTANCES)
    batch = random_batch(SIZES, generator)
    before = predict(small, batch)
    own = dict(small.denoiser.named_parameters())
    widened, names = with_added_columns(large.denoiser, own)
    assert names == [f"encoder.layers.{k}.edge_in.weight" for k in range(2)]
    weights.fill(large.denoiser, widened, Path("small"))
    for component, value in predict(large, batch).items():
        np.testing.assert_allclose(value, before[component], rtol=1e-12, atol=1e-14)


def test_nothing_else_is_filled_with_zeros(crystals):
    small = dict(build("miad", crystals).denoiser.named_parameters())
    large = build("miad", crystals, encoder=DISTANCES).denoiser
    first, second = (f"encoder.layers.{k}.edge_in.weight" for k in range(2))
    partly = {**small, first: dict(large.named_parameters())[first]}
    fewer = {**small, second: small[second][:, :-1]}
    absent = {name: tensor for name, tensor in small.items() if name != first}
    for tensors in (partly, fewer, absent):
        same, names = with_added_columns(large, tensors)
        assert not names
        assert all(same[name] is tensor for name, tensor in tensors.items())
        with pytest.raises(CheckpointError):
            weights.fill(large, same, Path("damaged"))
    own = dict(large.named_parameters())
    assert with_added_columns(large, own) == (own, [])


def test_distances_that_cannot_be_are_refused(generator):
    for wrong in (-1, True):
        with pytest.raises(InputError, match="distances of cspnet"):
            CSPNet(9, distances=wrong)
    batch = random_batch([2], generator)
    given = NodeInput(torch.randn(2, 8), torch.randn(1, 9), batch.frac_coords, batch.layout)
    with pytest.raises(InputError, match="stem gave none"):
        CSPNet(9, 8, 1, 4, distances=4)(given)

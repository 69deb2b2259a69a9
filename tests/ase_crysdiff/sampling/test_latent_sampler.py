"""Crystals from a latent prior: the flow in closed form, requests, and draws that depend on seed and index alone."""

import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.processes.latent_flow import LatentFlow
from ase_crysdiff.randomness import GeneratorDraws, Streams
from ase_crysdiff.recipes import crysldnet as crysldnet_recipe
from ase_crysdiff.recipes import weights
from ase_crysdiff.recipes.backbones import lasting
from ase_crysdiff.recipes.samplers import crysldnet
from ase_crysdiff.sampling.latent_sampler import START, STEPS, transport
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.schedules.plans import UniformPlan
from pymatgen_ext import StructureSampler

SIZES = {"2": 3, "3": 1, "5": 2}
ELEMENTS = [3, 8, 11, 17, 26]


@pytest.fixture(scope="module")
def exported(crystals, tmp_path_factory):
    """Random weights, but for decoded distances and cells of a crystal's size."""
    config = crysldnet_recipe.configure(crystals) | {
        "backbone": {"name": "crystal-graph", "hidden": 32, "layers": 2},
        "latent": {"width": 16, "normalised": True, "detached": True},
        "denoiser": {"name": "dit", "width": 32, "layers": 1, "heads": 2},
        "elements": ELEMENTS,
        "sizes": SIZES,
    }
    network, generator = crysldnet_recipe.build(config), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2, generator=generator)
        geometry = network.decoders.geometry
        geometry.cell[-1].weight *= 0.1
        geometry.cell[-1].bias[:] = torch.tensor([3.5, 3.5, 3.5, 0.1, 0.0, -0.1])
        geometry.distance.weight *= 0.1
        geometry.distance.bias[:] = 2.5
        network.decoders.elements.bias[92] = 100.0  # never seen in training
    folder = tmp_path_factory.mktemp("weights") / "crysldnet"
    save(folder, config, dict(network.named_parameters()))
    return folder


def save(folder, config, tensors):
    about = {"training": {}, "measured": {}, "sampling": {}, "licence": "MIT", "elements": ELEMENTS}
    weights.save(folder, tensors, {"name": "crysldnet", "config": config, **about})


@pytest.fixture(scope="module")
def sampler(exported):
    registry.register(registry.SAMPLERS, "crysldnet", crysldnet)
    yield StructureSampler("crysldnet", weights=str(exported), device="cpu")
    registry.unregister(registry.SAMPLERS, "crysldnet")


def draw(sampler, count=6, **wishes):
    return sampler.sample(count, **{"seed": 0, "redraws": 30, "progress": False} | wishes)


def test_flow_of_a_normal_distribution_is_a_shift_and_a_stretch():
    """Data N(m, s²): the estimate is E[x₀ | x] in closed form, and the flow carries noise z to m + s z."""
    mean, deviation = 1.5, 0.4

    def estimate(x, t):
        share = (1 - t) * deviation**2 / ((1 - t) ** 2 * deviation**2 + t**2)
        return mean + share * (x - (1 - t) * mean)

    noise = torch.randn(50, 3, generator=torch.Generator().manual_seed(5))
    errors = []
    for steps in (50, 500):
        draws = GeneratorDraws(50, torch.Generator().manual_seed(5))
        found = transport(LatentFlow(3), estimate, UniformPlan(steps, 1.0), draws)
        errors.append(float((found - (mean + deviation * noise)).abs().max()))
    assert errors[1] < 0.02
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.5)  # first order


@pytest.fixture(scope="module")
def samples(sampler):
    return draw(sampler, 10)


@pytest.mark.parametrize("wishes", [{"batch_size": 1}, {"batch_size": 5}])
def test_batch_size_changes_nothing(sampler, samples, wishes):
    assert list(draw(sampler, 6, **wishes)) == list(samples)[:6]


def test_seeds_differ(sampler, samples):
    assert list(draw(sampler, 2, seed=1)) != list(samples)[:2]


def test_crystals_have_sizes_and_elements_of_the_training(samples):
    assert {len(s) for s in samples} == {2, 3, 5}
    assert {e.Z for s in samples for e in s.composition} <= set(ELEMENTS)
    assert samples.report.evaluations == STEPS
    assert samples[0].properties["crysdiff_sampler"] == "crysldnet"
    assert len(samples[0].properties["crysdiff_weights"]) == 12


def test_geometry_is_that_of_the_decoders(exported):
    """The cell is the decoded one, and distances are as near to the decoded ones as positions can bring them."""
    model = crysldnet(exported)
    seen = []
    model.network.decoders.register_forward_hook(lambda module, given, decoded: seen.append(decoded.geometry))
    crystal = model.sample(SampleRequest(num_atoms=2), Streams(0, (4,)))
    (geometry,) = seen
    found = model.network.decoders.geometry.targets(crystal)
    torch.testing.assert_close(found["lengths"], geometry["lengths"], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found["angles"], geometry["angles"], atol=1e-3, rtol=1e-4)
    assert abs(float(found["distances"][1] - geometry["distances"][1])) < 0.01


def test_numbers_of_atoms_and_steps_are_as_asked(sampler, samples):
    assert {len(s) for s in draw(sampler, 3, num_atoms=3)} == {3}
    few = draw(sampler, 2, steps=5)
    assert few.report.evaluations == 5 == len(UniformPlan(5, START))
    assert list(few) != list(samples)[:2]


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({"composition": "NaCl"}, IncompatibleError, "cannot serve composition.*dao-g-flow.*Installed samplers"),
        ({"chemical_system": "Na-Cl"}, IncompatibleError, "cannot serve chemical_system.*Use miad"),
        ({"elements": ["Na"]}, IncompatibleError, "cannot serve elements"),
        ({"lattice": 4 * torch.eye(3).numpy()}, IncompatibleError, "cannot serve lattice"),
        ({"num_atoms": 1000}, InputError, "1 to 5 atoms, num_atoms is 1000"),
        ({"steps": 0}, InputError, "steps must be"),
    ],
)
def test_other_wishes_are_refused(sampler, wishes, error, message):
    with pytest.raises(error, match=message):
        draw(sampler, 1, **wishes)


def test_hosts_and_starts_are_refused(sampler, samples):
    with pytest.raises(IncompatibleError, match="cannot fill hosts"):
        sampler.inpaint(samples[0], {"Li": 1})
    with pytest.raises(IncompatibleError, match="cannot start from a structure"):
        sampler.vary(samples[0])


def test_weights_without_a_denoiser_are_refused(exported, tmp_path):
    card, tensors = weights.read(exported)
    save(tmp_path / "w", card.config, lasting(tensors))
    with pytest.raises(CheckpointError, match="holds no denoiser.*--whole"):
        crysldnet(tmp_path / "w")


def test_weights_without_sizes_take_those_of_miad(exported, tmp_path):
    card, tensors = weights.read(exported)
    save(tmp_path / "w", {key: value for key, value in card.config.items() if key != "sizes"}, tensors)
    shipped = weights.read_card(weights.find("miad")).config["sizes"]
    assert crysldnet(tmp_path / "w").sizes == {int(n): count for n, count in shipped.items()}

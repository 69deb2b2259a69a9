"""Converted networks give what the published equations give, and crystals are drawn from them."""

from pathlib import Path

import pytest
import torch
from published import (
    HIDDEN,
    LAYERS,
    WAVES,
    DiffCSP,
    FlowMM,
    grown,
    noise_tables,
    omega,
    prefixed,
    statistics,
)

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import CheckpointError, InputError, UnknownNameError
from ase_crysdiff.models import generative
from ase_crysdiff.models.conversion import convert
from pymatgen_ext import StructureSampler

SIZES = (1, 2, 4)
TIMES = [0.003, 0.4, 0.9]


@pytest.fixture
def crystals(generator):
    """Atomic numbers, fractional coordinates and lattices of crystals of several sizes."""
    numbers = torch.randint(1, 90, (sum(SIZES),), generator=generator)
    frac = torch.rand(sum(SIZES), 3, generator=generator, dtype=torch.float64)
    lattice = torch.randn(len(SIZES), 3, 3, generator=generator, dtype=torch.float64) * 3
    return numbers, frac, lattice


def ours(folder, state, context):
    """Predictions of converted weights, in double precision."""
    model, card = generative.load(folder)
    model.denoiser.double()
    times = torch.tensor(TIMES, dtype=torch.float64)
    layout = Layout(SIZES, dtype=torch.float64)
    with torch.no_grad():
        found = model.denoiser(state, times, context, layout)
        model.denoiser.encoder.tabulate()
        for name, value in model.denoiser(state, times, context, layout).items():
            torch.testing.assert_close(value, found[name], atol=1e-4, rtol=1e-4)
    return found, card


def compared(found, expected):
    """The largest difference of each component, over the largest number of it."""
    assert set(found) == set(expected[0])
    joined = {
        name: torch.stack([e[name] for e in expected])
        if name == "lattice"
        else torch.cat([e[name] for e in expected])
        for name in found
    }
    assert all(value.abs().max() > 1e-2 for value in joined.values())
    return {n: float((found[n] - v).abs().max() / v.abs().max()) for n, v in joined.items()}


def save_diffcsp(path, network, hyper_parameters=None, **changes):
    tensors = {**prefixed("decoder.", network.state_dict()), **noise_tables(), **changes}
    content = {"epoch": 999, "global_step": 106_000, "state_dict": tensors}
    torch.save({**content, "hyper_parameters": hyper_parameters or {}}, path)
    return path


@pytest.fixture
def diffcsp(tmp_path, generator, monkeypatch):
    """A checkpoint of DiffCSP as Lightning writes it, and its network."""
    network = grown(DiffCSP(), generator)
    decoder = {"ln": True, "ip": True, "edge_style": "fc", "act_fn": "silu", "max_neighbors": 20}
    said = {"data": {"eval_model_name": "mp20"}, "decoder": decoder, "cost_lattice": 1}
    tree = {name: omega(monkeypatch, value) for name, value in said.items()}
    return save_diffcsp(tmp_path / "diffcsp.ckpt", network, tree), network


def test_diffcsp(diffcsp, tmp_path, crystals):
    path, network = diffcsp
    card = convert("diffcsp", path, tmp_path / "out")
    encoder = {"name": "cspnet", "hidden": HIDDEN, "layers": LAYERS, "frequencies": WAVES}
    assert card.config["encoder"] == encoder
    assert (card.sampling.steps, card.sampling.corrections) == (1000, {"frac_coords": 1e-5})
    assert card.training["epoch"] == 999
    assert len(card.elements) == 89

    numbers, frac, lattice = crystals
    state = {"lattice": lattice.flatten(1), "frac_coords": frac}
    found, _ = ours(tmp_path / "out", state, {"species": numbers})
    network.double()
    with torch.no_grad():
        expected = [
            network(1000 * t, z, f, cell)
            for t, z, f, cell in zip(
                TIMES, numbers.split(SIZES), frac.split(SIZES), lattice, strict=True
            )
        ]
    assert max(compared(found, expected).values()) < 1e-5


def test_miad(tmp_path, crystals, generator):
    network = grown(DiffCSP(generates=True), generator)
    torch.save(prefixed("module.", network.state_dict()), tmp_path / "miad.pt")
    card = convert("miad", tmp_path / "miad.pt", tmp_path / "out", data="mp_20")
    assert card.config["state_space"] == {"name": "mirage", "slots": 25, "max_atoms": 20}

    numbers, frac, lattice = crystals
    numbers[0] = 0
    state = {"lattice": lattice.flatten(1), "frac_coords": frac, "species": numbers}
    found, _ = ours(tmp_path / "out", state, {})
    network.double()
    one_hot = torch.nn.functional.one_hot(numbers, 100).double()
    with torch.no_grad():
        expected = [
            network(1000 * t, z, f, cell)
            for t, z, f, cell in zip(
                TIMES, one_hot.split(SIZES), frac.split(SIZES), lattice, strict=True
            )
        ]
    assert max(compared(found, expected).values()) < 1e-5


def flowmm_tree():
    return {
        "data": {"dataset_name": "perov"},
        "model": {
            "self_cond": False,
            "manifold_getter": {
                "atom_type_manifold": "null_manifold",
                "coord_manifold": "flat_torus_01",
                "lattice_manifold": "lattice_params",
            },
        },
        "vectorfield": {"self_edges": False, "self_cond": "${model.self_cond}"},
        "integrate": {"num_steps": 50, "inference_anneal_slope": 10.0, "method": "euler"},
    }


@pytest.fixture
def flowmm(tmp_path, generator, monkeypatch):
    """A checkpoint of FlowMM with its moving average, and the averaged network."""
    network = grown(FlowMM(), generator)
    average = [parameter.detach() for parameter in network.parameters()]
    untaught = FlowMM().state_dict()
    tensors = {
        **prefixed("model.model.cspnet.", untaught),
        **prefixed("model.model.", statistics()),
        "model.num_updates": torch.tensor(7),
        **{f"model.shadow_params.{i}": tensor for i, tensor in enumerate(average)},
    }
    said = {"cfg": omega(monkeypatch, flowmm_tree())}
    torch.save({"state_dict": tensors, "hyper_parameters": said}, tmp_path / "flowmm.ckpt")
    return tmp_path / "flowmm.ckpt", network


def test_flowmm(flowmm, tmp_path, generator):
    path, network = flowmm
    card = convert("flowmm", path, tmp_path / "out")
    assert card.config["processes"]["lattice"]["log_length_mean"] == [1.4192] * 3
    assert (card.sampling.steps, card.sampling.solver) == (50, "euler")
    assert card.sampling.velocity_annealing == {"frac_coords": 10.0}

    numbers = torch.randint(1, 90, (sum(SIZES),), generator=generator)
    frac = torch.rand(sum(SIZES), 3, generator=generator, dtype=torch.float64)
    place = torch.randn(len(SIZES), 3, generator=generator, dtype=torch.float64)
    lengths = 4 + torch.rand(len(SIZES), 3, generator=generator, dtype=torch.float64)
    six = torch.cat([lengths, place], -1)
    found, _ = ours(tmp_path / "out", {"lattice": six, "frac_coords": frac}, {"species": numbers})
    network.double()
    about = {name: tensor[0].double() for name, tensor in statistics().items()}
    with torch.no_grad():
        expected = [
            network(1 - t, z, f, numbers_of_cell, about)
            for t, z, f, numbers_of_cell in zip(
                TIMES, numbers.split(SIZES), frac.split(SIZES), six, strict=True
            )
        ]
    # Their time runs to the data, ours away from them.
    turned = [{name: -value for name, value in one.items()} for one in expected]
    assert max(compared(found, turned).values()) < 1e-5


def test_crystals_are_drawn(flowmm, tmp_path):
    tensors = prefixed("model.cspnet.", {n: t / 100 for n, t in flowmm[1].state_dict().items()})
    at_rest = {**statistics(), "lat_u_t_mean": torch.zeros(1, 6)}
    content = {"state_dict": {**tensors, **prefixed("model.", at_rest)}}
    torch.save(content, tmp_path / "slow.ckpt")
    convert("flowmm", tmp_path / "slow.ckpt", tmp_path / "out", data="mp_20")
    # A network that hardly moves anything leaves the prior, whose cells are those of MP-20.
    sampler = StructureSampler("dao-g-flow", weights=tmp_path / "out")
    drawn = sampler.sample(6, composition="NaCl", formula_units=2, steps=4, seed=0)
    assert len(drawn) > 2, drawn.report
    assert {s.composition.formula for s in drawn} == {"Na2 Cl2"}
    assert all(59 < angle < 121 for s in drawn for angle in s.lattice.angles)


def test_diffusion_runs(diffcsp, tmp_path, generator):
    torch.save(grown(DiffCSP(generates=True), generator).state_dict(), tmp_path / "miad.pt")
    convert("diffcsp", diffcsp[0], tmp_path / "a")
    convert("miad", tmp_path / "miad.pt", tmp_path / "b", data="mp_20")
    for name, folder, asked in [("dao-g", "a", {"composition": "NaCl"}), ("miad", "b", {})]:
        sampler = StructureSampler(name, weights=tmp_path / folder)
        report = sampler.sample(3, steps=4, seed=0, redraws=0, **asked).report
        # Networks of random numbers draw no crystals; each draw is made and judged.
        assert (report.asked, sum(report.rejections.values())) == (3, 3)


REFUSED = {
    "layer norms": lambda t: t.pop("decoder.final_layer_norm.weight"),
    "not a predictor of energies": lambda t: t.update(
        {"decoder.scalar_out.weight": torch.zeros(1, HIDDEN)}
    ),
    "generates the elements, as real numbers": lambda t: t.update(
        {"decoder.type_out.weight": torch.zeros(100, HIDDEN)}
    ),
    "published noise": lambda t: t.update(
        {"sigma_scheduler.sigmas": t["sigma_scheduler.sigmas"] * 2}
    ),
    "embedding of time": lambda t: t.update(
        {"decoder.atom_latent_emb.weight": torch.zeros(HIDDEN, HIDDEN + 512)}
    ),
    "sines and cosines": lambda t: t.update(
        {"decoder.csp_layer_0.edge_mlp.0.weight": torch.zeros(HIDDEN, 2 * HIDDEN + 12)}
    ),
    "lacks 'atom_latent_emb.bias'": lambda t: t.pop("decoder.atom_latent_emb.bias"),
    "lacks 'coord_out.weight'": lambda t: t.pop("decoder.coord_out.weight"),
    "holds numbers that are not finite": lambda t: t.update(
        {"decoder.coord_out.weight": torch.full((3, HIDDEN), torch.nan)}
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_expressed_is_refused(reason, tmp_path, generator):
    network = grown(DiffCSP(), generator)
    tensors = {**prefixed("decoder.", network.state_dict()), **noise_tables()}
    REFUSED[reason](tensors)
    torch.save({"state_dict": tensors}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match=reason):
        convert("diffcsp", tmp_path / "odd.ckpt", tmp_path / "out", data="mp_20")
    assert not (tmp_path / "out").exists()


def test_variants_of_hyper_parameters_are_refused(diffcsp, flowmm, tmp_path):
    for said, reason in [
        ({"decoder": {"edge_style": "knn"}}, "edge_style: fc"),
        ({"decoder": {"ip": False}}, "ip: true"),
        ({"cost_lattice": 0.0}, "cost_lattice above 0"),
    ]:
        with pytest.raises(CheckpointError, match=reason):
            convert("diffcsp", diffcsp[0], tmp_path / "out", hyper_parameters=said)
    for said, reason in [
        ({"model": {"self_cond": True}}, "self_cond"),
        ({"vectorfield": {"self_edges": True}}, "self_edges"),
    ]:
        with pytest.raises(CheckpointError, match=reason):
            convert("flowmm", flowmm[0], tmp_path / "out", hyper_parameters=said)
    with pytest.raises(CheckpointError, match="null_manifold"):
        convert("flowmm", bits(tmp_path), tmp_path / "out", data="mp_20")


def test_another_family_is_named(diffcsp, flowmm, tmp_path):
    for family, path, found in [
        ("flowmm", diffcsp[0], "one of DiffCSP or MiAD"),
        ("diffcsp", flowmm[0], "one of FlowMM"),
        ("miad", flowmm[0], "one of FlowMM"),
        ("miad", diffcsp[0], "one for given compositions"),
    ]:
        with pytest.raises(CheckpointError, match=found):
            convert(family, path, tmp_path / "out")


def bits(folder):
    """A network for elements as seven bits."""
    tensors = prefixed("model.cspnet.", FlowMM().state_dict())
    tensors["model.cspnet.node_embedding.weight"] = torch.zeros(HIDDEN, 7)
    torch.save({"state_dict": tensors}, folder / "bits.ckpt")
    return folder / "bits.ckpt"


def test_data_sets(diffcsp, tmp_path, generator):
    path, network = diffcsp
    own = convert("diffcsp", path, tmp_path / "own", max_atoms=8, elements=[11, 17])
    assert own.config["state_space"]["max_atoms"] == 8
    assert own.elements == (11, 17)
    unsaid = save_diffcsp(tmp_path / "unsaid.ckpt", network)
    with pytest.raises(InputError, match="does not say what it was trained on"):
        convert("diffcsp", unsaid, tmp_path / "no")
    with pytest.raises(InputError, match="Did you mean 'mp_20'"):
        convert("diffcsp", unsaid, tmp_path / "no", data="mp_2")
    with pytest.raises(UnknownNameError, match="diffcsp, flowmm, miad"):
        convert("mattergen", unsaid, tmp_path / "no")
    with pytest.raises(InputError, match="holds weights already"):
        convert("diffcsp", path, tmp_path / "own")
    fixed = convert("diffcsp", unsaid, tmp_path / "other", data="carbon_24")
    assert fixed.elements == (6,)
    assert Path(tmp_path / "other" / "weights.safetensors").is_file()

"""CrysBFN through the public door, de novo and for compositions: same contract, same wishes."""

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from toys import tiny_config, write_weights

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.processes.state import CompositeState, auxiliaries
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.testing.samplers import CHECKS
from ase_crysdiff.training.settings import TrainSettings
from pymatgen_ext import StructureSampler


@pytest.fixture(scope="module")
def folders(crystals, tmp_path_factory):
    """Untrained weights for given and for generated species."""
    folder, config = tmp_path_factory.mktemp("w"), tiny_config("crysbfn", crystals)
    sampling = {"steps": 8, "solver": "end-back", "start": 1.0}
    return {
        "csp": write_weights("crysbfn", config, folder / "csp", sampling),
        "de novo": write_weights("crysbfn", {**config, "species": {}}, folder / "free", sampling),
    }


TASKS = {"csp": CSP(cells=(((11, 1), (17, 1)), ((11, 1), (17, 3)))), "de novo": DeNovo()}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("task", TASKS)
def test_contract(task, check, folders):
    check(load_sampler("crysbfn", folders[task]), SampleRequest(TASKS[task], steps=3))


def draw(folder, count=4, **wishes):
    sampler = StructureSampler("crysbfn", weights=str(folder), device="cpu")
    return sampler.sample(count, **{"seed": 0, "redraws": 30, "progress": False} | wishes)


def test_de_novo_obeys_wishes_for_elements_and_atoms(folders):
    found = draw(folders["de novo"], chemical_system="Na-Cl", num_atoms=4)
    assert len(found) == 4
    assert all(s.chemical_system == "Cl-Na" and len(s) == 4 for s in found)
    with pytest.raises(IncompatibleError):
        draw(folders["de novo"], composition="NaCl")


def test_de_novo_on_sites(folders):
    for s in draw(folders["de novo"], 2, prototype="Fm-3m a|b"):
        assert find_scaffold(s).group == 225


def test_hosts_stay_where_they_are(folders):
    host = Structure(Lattice.cubic(4.4), ["Cl"], [[0.1, 0.2, 0.3]])
    sampler = StructureSampler("crysbfn", weights=str(folders["csp"]), device="cpu")
    for s in sampler.inpaint(host, {"Na": 1}, num_samples=3, seed=0, redraws=30, progress=False):
        (kept,) = (site.frac_coords for site in s if site.specie.symbol == "Cl")
        np.testing.assert_allclose(kept, [0.1, 0.2, 0.3], atol=1e-6)
        np.testing.assert_allclose(s.lattice.matrix, host.lattice.matrix, atol=1e-6)


def test_one_network_serves_any_number_of_steps(folders):
    for steps in (1, 3, 20):
        assert draw(folders["csp"], 2, composition="NaCl", steps=steps).report.evaluations == steps


def state_of(model, t, generator, rows=(2, 3)):
    layout = Layout(rows)

    def rng(name, level):
        return GeneratorStream(layout.rows(level), generator, layout.dtype)

    clean = {
        "lattice": torch.zeros(len(rows), 6),
        "frac_coords": torch.rand(sum(rows), 3, generator=generator),
    }
    return model.joint.corrupt(clean, torch.full((len(rows),), t), layout, rng)[0], layout


def test_the_network_is_told_how_sure_beliefs_are(crystals, generator):
    model = recipe("crysbfn").build(tiny_config("crysbfn", crystals))
    state, layout = state_of(model, 0.6, generator)
    kept = state.components["frac_coords"]
    vaguer = type(kept)(
        kept.value, {"concentration": auxiliaries(state, "frac_coords")["concentration"] / 9}
    )
    other = CompositeState({**state.components, "frac_coords": vaguer})
    context, t = {"species": torch.tensor([11, 17, 11, 17, 17])}, torch.full((2,), 0.6)
    with torch.no_grad():
        first, second = (model.denoiser(s, t, context, layout) for s in (state, other))
    assert float((first["frac_coords"] - second["frac_coords"]).abs().max()) > 1e-4


def test_it_begins_with_what_a_flow_knows(crystals, generator, tmp_path):
    """A training from a flow first says what the flow says, in units of Bayesian flows: at t = 1,
    where both see uniform coordinates, its estimate is the flow's.
    """
    torch.default_generator.manual_seed(3)
    flow_config = tiny_config("dao-g-flow", crystals)
    flow = recipe("dao-g-flow").build(flow_config)
    made = recipe("crysbfn")
    config = made.adopted(flow_config, crystals)
    assert config["encoder"] == flow_config["encoder"]
    model = made.build(config)
    made.fill(model, dict(flow.denoiser.named_parameters()), tmp_path)
    state, layout = state_of(model, 1.0, generator)
    plain, t = {name: state[name] for name in state}, torch.ones(2)
    context = {"species": torch.tensor([11, 17, 11, 17, 17])}
    with torch.no_grad():
        velocity = flow.denoiser(plain, t, context, layout)
        prediction = model.denoiser(state, t, context, layout)
    for name in ("frac_coords", "lattice"):
        wanted = flow.joint.clean(name, plain, velocity, 1.0, layout)
        away = model.joint.clean(name, state, prediction, 1.0, layout) - wanted
        away = away - away.round() if name == "frac_coords" else away
        assert float(away.abs().max()) < 1e-5
    assert made.adopted({**flow_config, "family": "diffusion"}, crystals) is None


def test_species_are_learnt_de_novo(crystals):
    """A few steps of training lower the loss of every part."""
    torch.default_generator.manual_seed(3)
    config = {**tiny_config("crysbfn", crystals), "species": {}}
    made = recipe("crysbfn")
    model = made.build(config)
    task = made.task(model, config, crystals, TrainSettings(batch_size=32), torch.device("cpu"))
    optimiser = torch.optim.AdamW(task.network.parameters(), 3e-3)
    (known, *_) = task.data.epoch(0, 0)

    def losses():
        """Of one batch, over the same times and noise."""
        with torch.no_grad():
            found = [
                task.objective.loss(task.network, known, torch.Generator().manual_seed(i))[1]
                for i in range(8)
            ]
        return {name: sum(float(parts[name]) for parts in found) for name in found[0]}

    before = losses()
    for i in range(40):
        loss, _ = task.objective.loss(task.network, known, torch.Generator().manual_seed(100 + i))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = losses()
    assert after.keys() == {"lattice", "frac_coords", "species"}
    for name, value in after.items():
        assert value < before[name], f"{name}: {before[name]} before, {value} after"

"""Parts of models by name: processes that a config names, and those that earlier configs mean."""

import pytest
import torch
from toys import tiny_config

from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.models.parts import make_process, processes
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.processes.flow import TorusFlow
from ase_crysdiff.processes.gaussian_diffusion import GaussianDiffusion
from ase_crysdiff.randomness import GeneratorStream


@pytest.mark.parametrize("name", ["miad", "dao-g", "dao-g-flow"])
def test_processes_by_name_are_those_that_earlier_configs_mean(name, crystals):
    config = tiny_config(name, crystals)
    old = ("family", "lattice_target", "species")
    named = {k: v for k, v in config.items() if k not in old} | {"processes": processes(config)}
    batch = crystals.batch.select(torch.nonzero(crystals.batch.num_atoms == 5).flatten())
    one, other = (corrupted(recipe(name).build(c), batch) for c in (config, named))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)


def corrupted(model, batch):
    """Crystals half way to the prior, always with the same noise, and what is to be predicted."""
    batch = model.state_space.extend(batch).sorted()[0]
    layout = batch.layout

    def rng(component, level):
        generator = torch.Generator().manual_seed(len(component))
        return GeneratorStream(layout.rows(level), generator, layout.dtype)

    clean = model.joint.encode(batch)
    state, target = model.joint.corrupt(clean, torch.full((len(batch),), 0.5), layout, rng)
    return {f"state {k}": v for k, v in state.items()} | {
        f"target {k}": v for k, v in target.items()
    }


def test_processes_can_be_mixed(crystals):
    mixed = {"lattice": {"name": "gaussian-diffusion"}, "frac_coords": {"name": "torus-flow"}}
    model = recipe("dao-g").build({**tiny_config("dao-g", crystals), "processes": mixed})
    assert isinstance(model.joint.components["frac_coords"].process, TorusFlow)
    assert isinstance(model.joint.components["lattice"].process, GaussianDiffusion)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"family": "vae"}, InputError, "family must be one of"),
        ({"processes": {}}, InputError, "names no process for lattice"),
        ({"processes": {"lattice": {"name": "gausian"}}}, UnknownNameError, "No process is called"),
        (
            {"processes": {"lattice": {"name": "linear-flow", "speed": 2}}},
            InputError,
            "does not take {'speed': 2}",
        ),
    ],
)
def test_processes_that_cannot_be(config, error, said):
    with pytest.raises(error, match=said):
        make_process(config, "lattice")

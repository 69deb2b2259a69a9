import pytest
from toys import tiny_config, write_weights

from ase_crysdiff import registry
from ase_crysdiff.sampling.loading import load_sampler
from pymatgen_ext import StructureSampler


@pytest.fixture(scope="module")
def miad(toy_miad):
    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


#: Recipes of structure prediction, and how crystals are drawn from their models.
CSP = {
    "dao-g": {"steps": 10, "corrections": {}},
    "dao-g-flow": {"steps": 10, "solver": "heun", "start": 1.0},
    "crysbfn": {"steps": 10, "solver": "end-back", "start": 1.0},
}


@pytest.fixture(scope="module", params=CSP)
def csp_weights(request, crystals, tmp_path_factory):
    """Recipe and folder of structure prediction by diffusion, by flow matching and by Bayesian
    flow, untrained.
    """
    name, folder = request.param, tmp_path_factory.mktemp("w") / request.param
    return name, write_weights(name, tiny_config(name, crystals), folder, CSP[name])


@pytest.fixture(scope="module")
def csp(csp_weights):
    recipe, folder = csp_weights
    registry.register(
        registry.SAMPLERS, "toy-csp", lambda weights, device: load_sampler(recipe, folder, device)
    )
    yield StructureSampler("toy-csp", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-csp")

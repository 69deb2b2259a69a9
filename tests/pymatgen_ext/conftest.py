import pytest
from toys import tiny_config, write_weights

from ase_crysdiff import registry
from ase_crysdiff.sampling.loading import load_sampler
from pymatgen_ext import StructureSampler


@pytest.fixture(scope="module")
def miad(toy_miad):
    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


@pytest.fixture(scope="module", params=["diffusion", "flow"])
def csp_weights(request, toy_csp, crystals, tmp_path_factory):
    """Recipe and folder of structure prediction by diffusion and by flow matching, untrained."""
    if request.param == "diffusion":
        return "dao-g", toy_csp
    sampling = {"steps": 10, "solver": "heun", "start": 1.0}
    config = tiny_config("dao-g-flow", crystals)
    return "dao-g-flow", write_weights(
        "dao-g-flow", config, tmp_path_factory.mktemp("w") / "flow", sampling
    )


@pytest.fixture(scope="module")
def csp(csp_weights):
    recipe, folder = csp_weights
    registry.register(
        registry.SAMPLERS, "toy-csp", lambda weights, device: load_sampler(recipe, folder, device)
    )
    yield StructureSampler("toy-csp", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-csp")

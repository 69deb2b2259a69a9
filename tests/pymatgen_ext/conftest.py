import pytest
from toys import tiny_config, write_weights

from ase_crysdiff import registry
from ase_crysdiff.recipes.samplers import load_sampler
from pymatgen_ext import StructureSampler


@pytest.fixture(scope="module")
def miad(toy_miad):
    return StructureSampler("miad", weights=str(toy_miad), device="cpu")


@pytest.fixture(scope="module", params=["diffusion", "flow"])
def csp(request, toy_csp, crystals, tmp_path_factory):
    """Structure prediction by diffusion and by flow matching, untrained."""
    folder, recipe = toy_csp, "dao-g"
    if request.param == "flow":
        recipe, sampling = "dao-g-flow", {"steps": 10, "solver": "heun", "start": 1.0}
        folder = write_weights(recipe, tiny_config(recipe, crystals), tmp_path_factory.mktemp("w") / "flow", sampling)
    registry.register(registry.SAMPLERS, "toy-csp", lambda weights, device: load_sampler(recipe, folder, device))
    yield StructureSampler("toy-csp", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-csp")

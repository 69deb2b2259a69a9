import pytest
import torch

from ase_crysdiff.models import weights
from ase_crysdiff.potentials.loading import assemble
from ase_crysdiff.potentials.reference_energies import reference_energies
from ase_crysdiff.recipes import dao_p

ENCODER = {
    "name": "crysformer",
    "edges": "periodic",
    "hidden": 16,
    "layers": 1,
    "heads": 2,
    "key_width": 4,
    "cutoff": 4.0,
    "waves": [4, 4, 2],
    "expansion": 1,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Weights as training would leave them, with the energies that are checked at load."""
    config = {
        "recipe": "dao-p",
        "kind": "potential",
        "encoder": ENCODER,
        "references": [-2.0] * 100,
        "formation_references": {"11": -1.3, "17": -1.8},
        "elements": list(range(1, 90)),
    }
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        network = dao_p.RECIPE.build(config)
        with torch.no_grad():  # training starts from zero output; a test wants forces
            network.out.weight.normal_()
    config["reference_energies"] = reference_energies(assemble("dao-p", network, config))
    card = {
        "name": "dao-p",
        "config": config,
        "sampling": {},
        "training": {},
        "measured": {},
        "elements": config["elements"],
        "licence": "MIT",
    }
    target = tmp_path_factory.mktemp("weights") / "dao-p"
    weights.save(target, dict(network.cpu().float().named_parameters()), card)
    return target

"""Every registered recipe passes the public checks; broken ones do not."""

from dataclasses import replace

import pytest
import torch
from framework_toys import packed_frameworks
from toys import tiny_config

from ase_crysdiff import registry
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.labels import Labels
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.models.recipe import direct_recipe, recipe
from ase_crysdiff.potentials.base import Configurations
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.testing.pair_potential import PairPotential
from ase_crysdiff.testing.recipes import CHECKS
from ase_crysdiff.training.denoising import GenerativeRecipe

#: Recipes whose models are trained; the others make theirs at once and have tests of their own.
TRAINED = [n for n in registry.names(registry.RECIPES) if direct_recipe(n) is None]


@pytest.fixture(scope="module")
def labels():
    """Several places of the atoms for each of a few compositions."""
    given = Configurations.from_crystals(from_structures(rattled(20)).to(dtype=torch.float64))
    found = PairPotential(dtype=torch.float64).evaluate(given)
    kind = torch.zeros(len(given), dtype=torch.long)
    given = given.to(dtype=torch.float32)  # as packed files hold them
    forces, stress = found.forces.float(), found.stress.float()
    return Labels(given, found.energy, forces, stress, kind, {"references": "{}"})


@pytest.fixture(scope="module")
def symmetric(crystals):
    """Crystals with their scaffolds and a property, which some recipes learn from."""
    found = [find_symmetric(structure) for structure in rattled(60, deviation=0.0)]
    values = {"volume": torch.linalg.det(crystals.batch.lattice).abs()}
    return replace(crystals, scaffolds=PackedScaffolds.of(found), values=values)


@pytest.fixture
def data_for(symmetric, labels):
    """What a recipe is configured for: crystals, configurations with energies, or frameworks."""

    def choose(name):
        if name == "mofflow":
            return packed_frameworks()
        try:
            recipe(name).configure(symmetric)
        except (AttributeError, TypeError):
            return labels
        return symmetric

    return choose


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", TRAINED)
def test_registered(name, check, data_for):
    check(recipe(name), name, data_for(name))


class Broken(GenerativeRecipe):
    """A good recipe with a fault."""

    name = "broken"

    def __init__(self, fault):
        self.fault = fault

    def task(self, *arguments):
        task = super().task(*arguments)
        return replace(task, inputs={}) if self.fault == "gives_a_task" else task

    def exported(self, config, tensors, whole=False):
        if self.fault == "ships_what_it_loads":
            tensors = {f"new.{n}": t for n, t in tensors.items()}
        return config, tensors

    def configure(self, data):
        if self.fault == "does_not_disturb":
            data.batch.species.add_(1)
        config = dict(tiny_config("dao-g", data))
        changes = {
            "names_itself": {"recipe": "miad"},
            "is_json": {"sizes": (1, 2)},
            "same_network_from_json": {"widths": {2: 64}},
        }
        return config | changes.get(self.fault, {})

    def build(self, config):
        if self.fault == "refuses_unknown_parts":
            config = {**config, "encoder": {"name": "cspnet", "hidden": 32}}
        if "widths" in config:
            config = {
                **config,
                "encoder": {**config["encoder"], "hidden": config["widths"].get(2, 32)},
            }
        model = recipe("dao-g").build(config)
        if self.fault == "weights_are_sound":
            model.denoiser.requires_grad_(False)
        return model


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_broken_recipes_fail(check, crystals):
    import copy

    with pytest.raises(AssertionError):
        check(Broken(check.__name__), "dao-g", copy.deepcopy(crystals))


def test_the_toy_without_a_fault_passes(crystals):
    for check in CHECKS.values():
        check(Broken(None), "dao-g", crystals)

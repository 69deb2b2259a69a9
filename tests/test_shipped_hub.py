"""The hub that ships: its cards, and that no label of a published test part is in it."""

from collections import defaultdict

import pytest
from pymatgen.core import Composition

from ase_crysdiff.models import weights
from ase_crysdiff.predictors.modules.hub import ENCODER, load_hub
from ase_crysdiff.predictors.modules.training import formula_digest
from ase_crysdiff.tasks import task, tasks

HUB = load_hub()
FOLDER = weights.find(ENCODER).parent / "hub"
#: Published tasks of one kind of property: a label of one tells that of another.
KINDS = (
    {"eps_electronic", "poly_electronic", "dielectric_2d"},
    {"elastic_anisotropy", "poisson_ratio"},
    {"expt_formation_enthalpy", "formation_energy_2d"},
)
PUBLISHED = {one.name for one in tasks("published")}


@pytest.fixture(scope="module")
def tested(data):
    """Digests of the formulas of the test parts of every published task."""
    found = defaultdict(set)
    for name in PUBLISHED:
        for entry in task(name).read(data):
            if "test" in entry.parts:
                amounts = Composition(entry.group)
                whole = {element.Z: int(count) for element, count in amounts.items()}
                found[name].add(formula_digest(whole))
    return found


@pytest.mark.parametrize("name", HUB.modules)
def test_cards_of_modules_are_complete(name):
    module = HUB.modules[name]
    card, config = module.card, module.card.config
    assert card.name == name
    assert config["unit"] == task(config["target"]).unit
    assert {"data", "command", "rows", "split", "settings", "steps", "hours"} <= set(card.training)
    assert card.training["parameters"] == sum(t.numel() for t in module.bottleneck.values())
    results = card.measured["results"]
    constant = results["validation error of the median"]["value"]
    # Nearly all gaps of the perovskites are 0, so that no regression beats their median.
    assert results["validation MAE"]["value"] < (1.01 if "perov5" in name else 1.0) * constant
    assert "CC BY" in card.licence or "MIT" in card.licence or card.licence == "public domain"
    assert len(module.learned_from) > 30
    assert module.bottleneck["up.weight"].std() > 0


def test_the_hub_is_small():
    sizes = [p.stat().st_size for p in FOLDER.rglob("*.safetensors")]
    assert max(sizes) < 300_000
    assert sum(sizes) < 4_000_000


def test_it_belongs_to_the_encoder_that_ships():
    assert HUB.base == {"name": ENCODER, "sha256": weights.read_card(weights.find(ENCODER)).sha256}


@pytest.mark.parametrize("name", HUB.modules)
def test_no_label_of_a_published_test_part_is_in_it(name, tested):
    module = HUB.modules[name]
    target = module.card.config["target"]
    kinds = next((k for k in KINDS if target in k), {target}) if target in PUBLISHED else PUBLISHED
    for other in kinds:
        assert tested[other]
        assert not module.learned_from & tested[other], f"{name} has seen formulas of {other}"

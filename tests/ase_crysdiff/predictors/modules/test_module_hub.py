"""Hubs of modules: what is refused, and that merging is exact."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from toys import toy_module

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import CheckpointError, IncompatibleError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.networks.encoders.crysformer.modular import Bottleneck, side_by_side
from ase_crysdiff.networks.graph import build_graph
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.modules.beginning import with_module
from ase_crysdiff.predictors.modules.composition import check_units, merged
from ase_crysdiff.predictors.modules.features import module_features, rows, trunk
from ase_crysdiff.predictors.modules.hub import (
    ENCODER,
    load_hub,
    save_module,
    trunk_of,
)
from ase_crysdiff.predictors.modules.training import formula_digest, formula_digests, fresh
from ase_crysdiff.testing.crystals import rattled
from ase_crysdiff.training.described_crystals import described

FEATURES = 256


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("first", "second", "third")):
        save_module(tmp_path / name, toy_module(name, seed))
    return tmp_path


@pytest.fixture(scope="module")
def crystals():
    return from_structures(rattled(5))


def test_a_module_is_read_as_it_was_written(folder):
    module = load_hub(folder).modules["second"]
    again = toy_module("second", 1)
    assert module.learned_from == {1, 2}
    assert module.card.config["target"] == "second"
    assert torch.equal(module.tensors["up.weight"], again.tensors["up.weight"].bfloat16().float())
    assert torch.equal(module.tensors["down.bias"], again.tensors["down.bias"])


def test_one_module_with_weight_1_keeps_its_features_bit_for_bit(folder, crystals):
    hub = load_hub(folder)
    initial = with_module(hub.base, hub.standard, merged(hub, {"second": 1.0}))
    network = make_backbone(initial.backbone)
    weight_files.fill(network, initial.tensors, folder)
    graph = build_graph(crystals.sorted()[0], network.neighborhood)
    with torch.no_grad():
        found = network(graph)
        bottleneck = Bottleneck(FEATURES, 8)
        bottleneck.load_state_dict(hub.modules["second"].bottleneck)
        assert torch.equal(found.nodes, bottleneck(network.plain(graph)))


def test_the_sum_of_modules_is_the_weighted_sum_of_their_features(folder, crystals):
    hub = load_hub(folder)
    atoms = described(trunk(ENCODER)[0], crystals)
    weights = {"first": 0.3, "third": 0.7}
    each = {n: module_features(hub.modules[n].tensors, atoms, crystals.num_atoms) for n in weights}
    expected = sum(weight * each[name] for name, weight in weights.items())
    tensors = side_by_side([hub.modules[n].bottleneck for n in weights], list(weights.values()))
    whole = {**tensors, **hub.standard}
    found = module_features(whole, atoms, crystals.num_atoms)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_a_fresh_module_adds_nothing(folder, crystals):
    hub = load_hub(folder)
    atoms = described(trunk(ENCODER)[0], crystals)
    blank = {**fresh(FEATURES, 4, 0), **hub.standard}
    owner = torch.arange(5).repeat_interleave(crystals.num_atoms)
    atoms_in = (atoms - hub.standard["shift"]) / hub.standard["scale"]
    means = torch.zeros(5, FEATURES).index_add(0, owner, atoms_in) / crystals.num_atoms[:, None]
    torch.testing.assert_close(module_features(blank, atoms, crystals.num_atoms), means)


def test_atoms_are_described_in_their_order(crystals):
    encoder = trunk(ENCODER)[0]
    together = described(encoder, crystals)
    alone = torch.cat([described(encoder, one) for one in crystals.split()])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_rows_are_nan_where_the_encoder_knows_no_element(folder, crystals):
    module = load_hub(folder).modules["first"]
    strange = replace(crystals, species=crystals.species.clone())
    strange.species[0] = 88
    found = rows(module.tensors, strange)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], rows(module.tensors, crystals)[1:], rtol=1e-4, atol=1e-4)


def test_another_encoder_is_refused_with_both_digests(folder):
    stranger = toy_module("first", 0, base={"name": ENCODER, "sha256": "f" * 64})
    for name in ("first", "second", "third"):
        save_module(folder / name, replace(stranger, card=replace(stranger.card, name=name)))
    now = weight_files.read_card(weight_files.find(ENCODER)).sha256
    with pytest.raises(IncompatibleError, match=f"{'f' * 64}.*{now}"):
        trunk_of(load_hub(folder).base)


def test_modules_of_two_encoders_are_refused_with_both_digests(folder):
    save_module(
        folder / "other", toy_module("other", 3, base={"name": ENCODER, "sha256": "0" * 64})
    )
    with pytest.raises(IncompatibleError, match="cannot be composed") as found:
        load_hub(folder)
    assert "0" * 64 in str(found.value)


def test_a_property_in_another_unit_is_refused(folder):
    hub = load_hub(folder)
    check_units(hub, PropertyTarget("second", "eV"))
    check_units(hub, PropertyTarget("fourth", "meV"))
    with pytest.raises(IncompatibleError, match="in eV, not in meV"):
        check_units(hub, PropertyTarget("second", "meV"))


def test_what_is_no_hub_is_refused(tmp_path, folder):
    with pytest.raises(CheckpointError, match="There is no hub"):
        load_hub(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no modules"):
        load_hub(tmp_path / "empty")
    card = folder / "first" / "card.json"
    content = json.loads(card.read_text())
    content["config"]["kind"] = "predictor"
    card.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="holds no module but a predictor"):
        load_hub(folder)


def test_modules_that_read_the_encoder_differently_are_refused(folder):
    odd = toy_module("odd", 4)
    save_module(
        folder / "odd", replace(odd, tensors={**odd.tensors, "shift": torch.zeros(FEATURES)})
    )
    with pytest.raises(CheckpointError, match="shift"):
        load_hub(folder)


def test_formulas_have_one_digest_in_every_cell():
    structure = rattled(1)[0]
    double = structure.copy()
    double.make_supercell([2, 1, 1])
    one, two = (formula_digests(from_structures([s])) for s in (structure, double))
    assert one == two
    other = structure.copy()
    other.replace(0, "Xe")
    assert formula_digests(from_structures([other])) != one


def test_the_digest_of_a_formula_is_that_of_its_amounts():
    assert formula_digest({8: 6, 22: 2, 38: 2}) == formula_digest({22: 1, 38: 1, 8: 3})
    assert formula_digest({8: 2, 22: 1}) != formula_digest({8: 1, 22: 2})
    assert (
        formula_digest({11: 1, 17: 1})
        == formula_digests(
            from_structures(
                [Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])]
            )
        )[0]
    )

"""Labels reach the network beside their own crystals, and some of them are hidden."""

import json

import pytest
import torch
from lightning.fabric import Fabric
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from toys import tiny_config, write_weights

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.property_columns import declare, rows_of
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.data.symmetric_buckets import SymmetricBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.conditioning import PREFIX
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes, rattled
from ase_crysdiff.training.conditioned import ConditionedObjective, ToldBatch
from ase_crysdiff.training.run import prepare
from ase_crysdiff.training.settings import TrainSettings

STRUCTURES = [*prototypes().values(), *rattled(12, deviation=0.01)]
NAN = float("nan")


@pytest.fixture(scope="module")
def data():
    """Crystals whose label is the number of atoms, unknown for the second."""
    label = torch.tensor([float(len(s)) for s in STRUCTURES])
    label[1] = NAN
    scaffolds = PackedScaffolds.of([find_symmetric(s) for s in STRUCTURES])
    return PackedCrystals(from_structures(STRUCTURES), {"e_above_hull": label}, {}, scaffolds)


def of(data, *names):
    found = declare(data, names)
    return found, rows_of(data, found)


def test_labels_are_found_by_their_aliases_with_what_is_known_of_them(data):
    found, rows = of(data, "energy_above_hull")
    one = found["energy_above_hull"]
    assert (one.unit, one.range) == ("eV/atom", (1.0, 6.0))
    assert rows["energy_above_hull"][:, 0].tolist()[2:4] == [5.0, 6.0]
    assert rows["energy_above_hull"][1].isnan().all()


def test_what_follows_from_crystals_needs_no_labels(data):
    names = ("density", "num_elements", "crystal_system", "space_group", "chemical_system")
    found, rows = of(data, *names)
    assert found["density"].unit == "g/cm3"
    densities = torch.tensor([[float(s.density)] for s in STRUCTURES])
    torch.testing.assert_close(rows["density"], densities, atol=1e-3, rtol=1e-3)
    counts = [[float(len(s.composition))] for s in STRUCTURES]
    assert rows["num_elements"].tolist() == counts
    for i, structure in enumerate(prototypes().values()):
        analyzer = SpacegroupAnalyzer(structure, 0.1)
        system, group = (found[n].classes for n in ("crystal_system", "space_group"))
        assert system[int(rows["crystal_system"][i])] == analyzer.get_crystal_system()
        assert group[int(rows["space_group"][i])] == str(analyzer.get_space_group_number())
        assert set(rows["chemical_system"][i].nonzero().flatten().tolist()) == {
            site.specie.Z for site in structure
        }


def test_what_nobody_knows_is_refused(data):
    with pytest.raises(InputError, match="band_gap of these crystals; there are .*e_above_hull"):
        declare(data, ["band_gap"])
    same = PackedCrystals(data.batch, {"band_gap": torch.ones(len(data))})
    with pytest.raises(InputError, match="the same for all"):
        declare(same, ["band_gap"])
    with pytest.raises(InputError, match="pack --symmetry"):
        declare(same, ["crystal_system"])


@pytest.fixture(scope="module")
def model(data):
    properties = {n: one.as_plain() for n, one in declare(data, ["energy_above_hull"]).items()}
    config = {**tiny_config("miad", data), "properties": properties, "symmetric_share": 0.5}
    return recipe("miad").build(config)


def task_of(model, data, tmp_path):
    course = TrainSettings(steps=5, batch_size=4)
    return recipe("miad").task(model, model.config, data, course, torch.device("cpu"), data)


def test_labels_stay_with_their_crystals(model, data, tmp_path):
    task = task_of(model, data, tmp_path)
    kinds = set()
    for batch in task.validation.everything():
        symmetric = isinstance(batch.crystals, SymmetricBatch)
        species = batch.crystals.species.view(len(batch), -1)
        for row, label in zip(species, batch.told["energy_above_hull"][:, 0], strict=True):
            atoms = int((row > 0).sum())
            # The label is the number of atoms, which no crystal but NaCl has lost.
            assert float(label) == atoms or (label.isnan() and sorted(set(row.tolist()))[-1] == 17)
        kinds.add(symmetric)
    assert kinds == {True, False}
    assert {"labels", "data"} <= set(task.inputs)


def test_each_property_is_hidden_by_itself_while_training(data):
    shown = {}

    class Plain:
        def loss(self, network, batch, generator):
            network(None, torch.zeros(1), {}, None)
            return torch.zeros(()), {}

    def network(state, t, context, layout):
        shown.update(context)
        return {}

    rows = torch.arange(4000.0)[:, None]
    batch = ToldBatch(range(4000), {"a": rows, "b": rows})
    objective = ConditionedObjective(Plain(), 0.2)
    generator = torch.Generator().manual_seed(0)
    objective.loss(network, batch, generator)
    hidden = {name: values.isnan()[:, 0].double() for name, values in shown.items()}
    for part in hidden.values():
        assert float(part.mean()) == pytest.approx(0.2, abs=0.03)
    assert float((hidden["a"] * hidden["b"]).mean()) == pytest.approx(0.04, abs=0.015)
    with torch.no_grad():
        objective.loss(network, batch, generator)
    assert not shown["a"].isnan().any()
    shown.clear()
    ConditionedObjective(Plain(), 0.2, tells=False).loss(network, batch, generator)
    assert not shown


def test_names_in_a_config_become_declarations_and_weights_without_adapters_will_do(data, tmp_path):
    data.save(tmp_path / "data.safetensors")
    origin = write_weights("miad", tiny_config("miad", data), tmp_path / "origin", {"steps": 4})
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    loop = prepare(
        "miad",
        tmp_path / "data.safetensors",
        tmp_path / "run",
        TrainSettings(steps=2, batch_size=4, log_every=1),
        fabric,
        {"properties": ["energy_above_hull", "density"]},
        origin=origin,
    )
    assert declared(loop.task.config["properties"])["density"].unit == "g/cm3"
    loop.run(progress=False)
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])["total"] > 0
    moved = [n for n, p in loop.task.network.named_parameters() if n.startswith(PREFIX) and p.any()]
    assert any(".up." in name for name in moved)


def test_other_labels_are_another_run(model, data, tmp_path):
    plain = task_of(model, data, tmp_path).inputs
    changed = PackedCrystals(
        data.batch, {"e_above_hull": data.values["e_above_hull"] + 1}, {}, data.scaffolds
    )
    assert task_of(model, changed, tmp_path).inputs["labels"] != plain["labels"]

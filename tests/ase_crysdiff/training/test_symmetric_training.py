"""Training on crystals that keep their symmetry while noise is added."""

import json

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from pymatgen.core import Lattice, Structure
from toys import tiny_config, write_weights

from ase_crysdiff.cli.main import main
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.data.spare_sites import with_spare_sites
from ase_crysdiff.data.symmetric_buckets import SymmetricCrystals
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.torus import shortest_image, wrap
from ase_crysdiff.models.generative import load
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.symmetry.crystal import operations_of_scaffold
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes
from ase_crysdiff.training.export import export
from ase_crysdiff.training.loop import Loop
from ase_crysdiff.training.run import prepare
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.symmetric import SymmetricFlowObjective, mixed_task


def rutile(x=0.305):
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.6, 2.95), ["Ti", "O"], [[0, 0, 0], [x, x, 0]]
    )


@pytest.fixture(scope="module")
def structures():
    tilted = [s.copy() for s in prototypes().values()]
    return [*tilted, *(rutile(0.29 + 0.005 * i) for i in range(8))]


@pytest.fixture(scope="module")
def packed(structures):
    scaffolds = PackedScaffolds.of([find_symmetric(s) for s in structures])
    return PackedCrystals(from_structures(structures), scaffolds=scaffolds)


@pytest.fixture(scope="module")
def model(packed):
    torch.random.default_generator.manual_seed(0)
    return recipe("dao-g-flow").build({**tiny_config("dao-g-flow", packed), "symmetric_share": 0.5})


def batches(packed):
    return list(
        SymmetricCrystals(packed.scaffolds, 52, 4, 10_000, torch.device("cpu")).everything()
    )


def test_packed_scaffolds_are_the_crystals(packed, structures, tmp_path):
    packed.save(tmp_path / "data.safetensors")
    found = PackedCrystals.load(tmp_path / "data.safetensors")
    assert found.digest == packed.digest
    assert found.scaffolds is not None
    assert len(found.scaffolds) == len(structures)
    for index, structure in enumerate(structures):
        expected, got = find_symmetric(structure), found.scaffolds.crystal(index)
        assert got.scaffold == expected.scaffold
        np.testing.assert_allclose(got.frac_coords, expected.frac_coords, atol=1e-6)
    some = found.select(torch.arange(len(structures)) % 2 == 1)
    assert some.scaffolds is not None
    assert some.scaffolds.crystal(0).scaffold == found.scaffolds.crystal(1).scaffold
    bare = PackedCrystals(packed.batch)
    assert bare.scaffolds is None
    assert bare.digest != packed.digest


def test_noise_keeps_the_symmetry(packed, model, generator):
    objective = SymmetricFlowObjective(model)
    lattices = model.joint.components["lattice"].representation
    for batch in batches(packed):
        seen = {}

        def denoiser(state, t, given, layout, seen=seen):
            seen.update(state)
            return model.denoiser(state, t, given, layout)

        objective.loss(denoiser, batch, generator)
        cells = lattices.decode(seen["lattice"]).double().numpy()
        places = seen["frac_coords"].double().numpy().reshape(len(batch), -1, 3)
        for number, cell, frac in zip(batch.group.tolist(), cells, places, strict=True):
            scaffold = next(
                c.scaffold
                for c in map(packed.scaffolds.crystal, range(len(packed)))
                if c.scaffold.group == number and c.scaffold.num_atoms == len(frac)
            )
            assert operations_of_scaffold(scaffold).deviation(frac, cell) < 1e-4


def test_the_true_velocity_has_no_loss(packed, model, generator):
    objective = SymmetricFlowObjective(model)
    lattices = model.joint.components["lattice"].representation
    for batch in batches(packed):
        clean = batch.kinds.atoms(batch.free_numbers)

        def truth(state, t, given, layout, batch=batch, clean=clean):
            one = PackedCrystals(from_structures([rutile()])).batch
            cells = type(one)(
                batch.lattice,
                torch.zeros(0, 3),
                torch.zeros(0).long(),
                torch.zeros(len(batch)).long(),
            )
            ways = (
                shortest_image(state["frac_coords"] - clean) / layout.broadcast(t, "atom")[:, None]
            )
            lattice = (state["lattice"] - lattices.encode(cells)) / t[:, None]
            return {"lattice": lattice, "frac_coords": layout.centred(ways)}

        _, parts = objective.loss(truth, batch, generator)
        assert float(parts["symmetric_lattice"]) < 1e-3
        assert float(parts["symmetric_frac_coords"]) < 1e-6


def test_noise_goes_to_the_nearest_description_of_its_orbit(packed, model):
    """Oxygen of rutile at x may as well be called one at -x: no way is longer than a quarter."""
    objective = SymmetricFlowObjective(model)
    batch = next(b for b in batches(packed) if b.group.unique().tolist() == [136])
    ways = [
        objective._ways(batch, torch.Generator().manual_seed(seed))[batch.kinds.free]
        for seed in range(20)
    ]
    lengths = torch.cat(ways).abs()
    assert float(lengths.max()) <= 0.5
    # Of two ways the shorter: under a quarter not in half of the cases, but in most.
    assert float((lengths < 0.25).float().mean()) > 0.6


@pytest.mark.parametrize("distances", [0, 8])
def test_mixed_training_lowers_both_losses_and_resumes(distances, packed, tmp_path):
    torch.random.default_generator.manual_seed(0)
    config = {**tiny_config("dao-g-flow", packed), "symmetric_share": 0.5}
    config["encoder"] = {**config["encoder"], "distances": distances}
    course = TrainSettings(
        steps=120,
        batch_size=8,
        warmup=5,
        learning_rate=3e-3,
        ema_decay=0.9,
        checkpoint_every=60,
        validate_every=20,
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()

    def run(folder, stop=None):
        torch.random.default_generator.manual_seed(0)
        built = recipe("dao-g-flow").build(config)
        task = mixed_task(built, packed, course, fabric.device, packed)
        loop = Loop(task, folder, course, fabric)
        loop.run(progress=False, stop=stop)
        return loop

    whole = run(tmp_path / "whole")
    log = [json.loads(x) for x in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    values = [r for r in log if "val_symmetric_lattice" in r]
    assert values[-1]["val_symmetric_lattice"] < 0.9 * values[0]["val_symmetric_lattice"]
    assert values[-1]["val_lattice"] < values[0]["val_lattice"]
    run(tmp_path / "parts", lambda progress: progress.step >= 70)
    resumed = run(tmp_path / "parts")
    for name, weights in whole.best_weights().items():
        assert torch.equal(weights, resumed.best_weights()[name])


def test_what_symmetric_training_needs_is_said(packed, model):
    course, device = TrainSettings(), torch.device("cpu")
    with pytest.raises(InputError, match="crysdiff pack --symmetry"):
        mixed_task(model, PackedCrystals(packed.batch), course, device)
    other = recipe("dao-g").build(tiny_config("dao-g", packed))
    with pytest.raises(InputError, match="such as dao-g-flow"):
        SymmetricFlowObjective(other)
    for share in (0, 1.5, True, "half"):
        config = {**tiny_config("dao-g-flow", packed), "symmetric_share": share}
        built = recipe("dao-g-flow").build(config)
        with pytest.raises(InputError, match="symmetric_share must be"):
            mixed_task(built, packed, course, device)


def test_the_command_line_packs_scaffolds(structures, tmp_path, capsys):
    folder = tmp_path / "crystals"
    folder.mkdir()
    for number, structure in enumerate(structures[:3]):
        structure.to(filename=str(folder / f"{number}.cif"))
    output = tmp_path / "data.safetensors"
    assert main(["pack", str(folder), "--symmetry", "-o", str(output)]) == 0
    found = PackedCrystals.load(output)
    assert found.scaffolds is not None
    assert len(found) == len(found.scaffolds) == 3
    assert found.scaffolds.crystal(0).scaffold == find_symmetric(structures[0]).scaffold


@pytest.fixture(scope="module")
def mirage(packed):
    torch.random.default_generator.manual_seed(0)
    config = {**tiny_config("miad", packed), "symmetric_share": 0.5}
    return recipe("miad").build(config)


def mirage_batches(packed, mirage):
    data = with_spare_sites(packed.scaffolds, mirage.state_space)
    rows = mirage.state_space.max_rows
    return list(SymmetricCrystals(data, rows, 4, 10_000, torch.device("cpu")).everything())


def test_sites_have_one_species_and_empty_ones_are_anywhere(packed, mirage, generator):
    objective, vacant = SymmetricFlowObjective(mirage), 0
    for batch in mirage_batches(packed, mirage):
        seen = []

        def denoiser(state, t, given, layout, seen=seen):
            seen.append(state)
            assert not given
            return mirage.denoiser(state, t, given, layout)

        for _ in range(2):
            objective.loss(denoiser, batch, generator)
        species = seen[0]["species"].view_as(batch.species)
        assert torch.equal(species, batch.kinds.first(species).gather(1, batch.kinds.site))
        empty = (batch.kinds.first(batch.species) == 0) & (batch.kinds.multiplicity > 0)
        vacant += int(empty.sum())
    assert vacant > 0


class Oracle:
    """Answers with the truth: true velocities of atoms, any for empty sites, any common shift, and
    certainty of the species, which may be the wrong ones.
    """

    def __init__(self, objective, batch, wrong=0):
        self.batch, self.wanted = batch, objective._encode(batch.lattice)
        self.species = (batch.species.flatten() + wrong) % 100
        self.moves = torch.zeros(len(self.species), 3)

    def __call__(self, state, t, given, layout):
        batch, rows = self.batch, len(self.species)
        clean = wrap(batch.kinds.atoms(batch.free_numbers))
        here = layout.broadcast(t, "atom")[:, None]
        self.moves = shortest_image(state["frac_coords"] - clean)
        is_atom = (batch.species != 0).flatten()[:, None]
        logits = torch.full((rows, 100), -50.0)
        logits[torch.arange(rows), self.species] = 50.0
        shift = torch.rand(len(batch), 3).repeat_interleave(batch.species.shape[1], 0)
        return {
            "lattice": (state["lattice"] - self.wanted) / t[:, None],
            "frac_coords": torch.where(is_atom, self.moves / here, torch.rand(rows, 3)) + shift,
            "species": logits,
        }


def test_only_what_can_be_known_counts(packed, mirage, generator):
    objective, checked, wrong = SymmetricFlowObjective(mirage), 0, 0.0
    for batch in mirage_batches(packed, mirage):
        oracle = Oracle(objective, batch)
        _, parts = objective.loss(oracle, batch, generator)
        assert float(parts["symmetric_species"]) < 1e-5
        assert float(parts["symmetric_lattice"]) < 1e-4
        if oracle.moves[(batch.species != 0).flatten()].abs().max() < 0.49:  # no shorter way round
            assert float(parts["symmetric_frac_coords"]) < 1e-4
            checked += 1
        _, parts = objective.loss(Oracle(objective, batch, wrong=1), batch, generator)
        wrong += float(parts["symmetric_species"])  # 0 where no site happens to be hidden
    assert checked > 1
    assert wrong > 10


def test_miad_begins_with_a_flow_for_given_species(packed, tmp_path, generator):
    """With all species certain its network moves atoms as the flow did, until it learns."""
    data, folder = tmp_path / "data.safetensors", tmp_path / "flow"
    packed.save(data)
    config = tiny_config("dao-g-flow", packed)
    write_weights("dao-g-flow", config, folder, {"steps": 5})
    settings = TrainSettings(steps=2, batch_size=4, warmup=0)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    changes = {"symmetric_share": 0.5, "state_space": {"spare": [0.5, 0.5]}}
    loop = prepare("miad", data, tmp_path / "run", settings, fabric, changes, origin=folder)
    assert loop.task.config["state_space"]["spare"] == [0.5, 0.5]
    assert loop.task.config["lattice"] == config["lattice"]
    flow, _ = load(folder)
    batch = packed.batch.select([0]).sorted()[0]
    state = {
        "lattice": flow.joint.encode(batch)["lattice"],
        "frac_coords": torch.rand(len(batch.species), 3, generator=generator),
        "species": batch.species,
    }
    t, layout = torch.tensor([0.4]), batch.layout
    given = flow.denoiser(state, t, {"species": batch.species}, layout)
    with torch.no_grad():
        own = loop.task.network(state, t, {}, layout)
    for name in ("lattice", "frac_coords"):
        torch.testing.assert_close(own[name], given[name])
    assert own["species"].shape == (len(batch.species), 100)
    loop.run(progress=False)
    with pytest.raises(InputError, match="cannot start from"):
        prepare("dao-g", data, tmp_path / "other", settings, fabric, {}, origin=folder)


def test_shares_of_batches_are_no_part_of_exported_weights(packed, tmp_path):
    data, folder = tmp_path / "data.safetensors", tmp_path / "flow"
    packed.save(data)
    write_weights("dao-g-flow", tiny_config("dao-g-flow", packed), folder, {"steps": 5})
    settings = TrainSettings(steps=1, batch_size=4, warmup=0)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    changes = {"symmetric_share": 0.5}
    run = tmp_path / "run"
    loop = prepare("dao-g-flow", data, run, settings, fabric, changes, origin=folder)
    assert loop.task.config["symmetric_share"] == 0.5
    loop.run(progress=False)
    assert "symmetric_share" not in export(run, tmp_path / "weights", "dao-g-flow").config

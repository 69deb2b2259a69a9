"""Molecules from an untrained model: who gets which atoms, seeds, frames, known atoms, energies."""

from collections import Counter

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.emt import EMT

from ase_crysdiff.crystal.molecules import group_order
from ase_crysdiff.data.molecules import grouped
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models.card import Card, SamplingSettings
from ase_crysdiff.networks.molecules.groups import Groups
from ase_crysdiff.randomness import Streams
from ase_crysdiff.recipes.geobfn import RECIPE
from ase_crysdiff.sampling.molecules.group_law import GroupLaw, amounts_of, atoms_of, formula_of
from ase_crysdiff.sampling.molecules.sampler import MoleculeModelSampler
from ase_crysdiff.sampling.molecules.tasks import (
    Completion,
    MoleculeOf,
    NewMolecule,
    check_formula,
)
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.router import Router
from pymatgen_ext import EnergyGuidance

NAMES = ["CH3CH2OH", "CH3OCH3", "CH3CHO", "C2H6", "CH3CN", "C6H6", "H2CO"]
ETHANOL = ((1, 6), (6, 2), (8, 1))


@pytest.fixture(scope="module")
def packed():
    atoms = [molecule(name) for name in NAMES]
    return PackedCrystals(grouped((a.numbers, a.positions) for a in atoms)[0])


@pytest.fixture(scope="module")
def sampler(packed):
    encoder = {"name": "egnn", "hidden": 32, "layers": 2, "pair": 32, "arrows": 4}
    config = {**RECIPE.configure(packed), "encoder": encoder}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = RECIPE.build(config)
        for name, parameter in model.denoiser.named_parameters():
            if "move" in name:  # zero in a network that has learnt nothing
                torch.nn.init.normal_(parameter, std=0.05)
    model.denoiser.requires_grad_(False)
    settings = SamplingSettings(steps=8, solver="end-back", start=1.0)
    card = Card("geobfn", config, settings, {}, {}, tuple(config["elements"]), "MIT", "0" * 64)
    return MoleculeModelSampler(model, card, torch.device("cpu"))


def drawn(sampler, task, indices=range(6), **more):
    return sampler.sample(SampleRequest(task, **more), Streams(3, tuple(indices))).crystals


def formulas(batch):
    return [amounts_of(own.tolist()) for own in batch.species.split(batch.num_atoms.tolist())]


def test_groups_are_read_off_the_order_of_rows():
    groups = Groups.of(torch.tensor([[6, 1, 1, 1, 8, 1]]))
    assert groups.hydrogens.tolist() == [[3, 3, 3, 3, 1, 1]]
    assert groups.centre.tolist() == [[0, 0, 0, 0, 4, 4]]
    assert groups.alike[0, 0].tolist() == [True] * 4 + [False] * 2


def test_hydrogens_follow_the_atom_that_they_are_on():
    atoms = molecule("CH3CH2OH")
    order = group_order(atoms.numbers, atoms.positions)
    assert sorted(order) == list(range(9))
    hydrogens = Groups.of(torch.tensor(atoms.numbers[order])[None]).hydrogens[0]
    assert Counter(hydrogens.tolist()) == {3: 4, 2: 3, 1: 2}


@pytest.mark.parametrize("name", ["H2", "far"])
def test_hydrogens_on_no_atom_are_no_groups(name):
    atoms = molecule("CH4" if name == "far" else name)
    if name == "far":
        atoms.positions[1] *= 3
    assert group_order(atoms.numbers, atoms.positions) is None


def test_groups_occur_as_often_as_in_training():
    law = GroupLaw({"C3 C2 O1": 3, "C3 C3 O0": 1})
    found = Counter(law.of_formula(ETHANOL, Streams(0, tuple(range(2000)))))
    assert found[((6, 2), (6, 3), (8, 1))] / 2000 == pytest.approx(0.75, abs=0.03)
    assert set(map(formula_of, found)) == {ETHANOL}


def test_a_formula_that_nobody_has_seen_gets_its_hydrogens():
    law = GroupLaw({"C3 C2 O1": 3, "C3 C3 O0": 1, "C1 C3 O0": 2})
    wanted = ((1, 8), (6, 4), (8, 1))
    found = law.of_formula(wanted, Streams(0, tuple(range(50))))
    assert {formula_of(groups) for groups in found} == {wanted}
    assert len(set(found)) > 3
    assert [atoms_of(g).tolist()[0] for g in found] == [6] * 50


def test_groups_of_an_unseen_formula_can_be_one_molecule():
    law = GroupLaw({"C1 C2 C3 C0 O0 O1": 1})
    streams = Streams(0, tuple(range(200)))
    ethylene = law.of_formula(((1, 4), (6, 2)), streams)
    assert set(ethylene) == {((6, 2), (6, 2))}  # not CH and CH3
    assert set(law.by_elements(((1, 4), (6, 2)), streams)) > set(ethylene)
    (alone,) = law.of_formula(((1, 3), (6, 1)), streams.take([0]))  # none can
    assert alone == ((6, 3),)


def test_sizes_that_training_has_hardly_shown_are_doubted(sampler):
    asked = MoleculeOf((ETHANOL, ((1, 4), (6, 1)), ((1, 2), (6, 4))))
    small, ethanol, large = sampler.doubts(SampleRequest(asked))
    assert "from no molecules of 1 heavy atom, so" in small
    assert "from 4 molecules of 3 heavy atoms" in ethanol
    assert "no molecules of 4 heavy atoms" in large
    assert not sampler.doubts(SampleRequest(NewMolecule()))
    router = Router("any", {MoleculeOf: ("geobfn",)}, lambda name: sampler, "ask for a formula")
    assert router.doubts(SampleRequest(asked)) == [small, ethanol, large]


def test_hydrogens_that_no_atom_takes_are_refused():
    law = GroupLaw({"C3 C3 O0": 1})
    with pytest.raises(InputError, match="do not fit"):
        law.of_formula(((1, 4), (6, 1), (8, 1)), Streams(0, (0,)))


def test_free_draws_obey_their_wishes(sampler):
    of_nine = drawn(sampler, NewMolecule(num_atoms=9))
    assert set(of_nine.num_atoms.tolist()) == {9}
    hydrocarbons = formulas(drawn(sampler, NewMolecule(chemical_system=frozenset({1, 6}))))
    assert set(hydrocarbons) <= {((1, 6), (6, 2)), ((1, 6), (6, 6))}
    with pytest.raises(InputError, match="only C"):
        drawn(sampler, NewMolecule(elements=frozenset({6})))


def test_formulas_take_turns(sampler):
    asked = (ETHANOL, ((1, 3), (6, 2), (7, 1)))
    assert formulas(drawn(sampler, MoleculeOf(asked), range(5))) == [*asked, *asked, asked[0]]


def test_same_molecules_whatever_the_batch(sampler):
    together = drawn(sampler, NewMolecule(), range(9))
    for part in ((0, 1, 2), (3,), (8, 4)):
        alone = drawn(sampler, NewMolecule(), part)
        same = together.select(list(part))
        assert torch.equal(alone.species, same.species)
        assert torch.equal(alone.frac_coords, same.frac_coords)


def test_centres_are_at_the_origin(sampler):
    batch = drawn(sampler, NewMolecule())
    for places in batch.frac_coords.split(batch.num_atoms.tolist()):
        assert float(places.mean(0).abs().max()) < 1e-5


def test_a_fragment_stays_in_its_frame(sampler):
    atoms = molecule("C2H6")
    methyl = group_order(atoms.numbers, atoms.positions)[:4]
    places = atoms.positions[methyl] + [5.0, -3.0, 1.0]
    species = tuple(int(z) for z in atoms.numbers[methyl])
    task = Completion(species, tuple(map(tuple, places.tolist())), ((1, 3), (6, 1), (8, 1)))
    batch = drawn(sampler, task, range(3))
    assert set(formulas(batch)) == {ETHANOL}
    for found in batch.frac_coords.split(batch.num_atoms.tolist()):
        assert np.allclose(found[:4].numpy(), places, atol=1e-5)
        assert bool(torch.isfinite(found).all())
    with pytest.raises(InputError, match="must hold a heavy atom"):
        Completion(species, tuple(map(tuple, places.tolist())), ((1, 1),))


def test_energies_of_a_calculator_pull(sampler):
    def mean_energy(batch):
        from ase import Atoms

        found = []
        counts = batch.num_atoms.tolist()
        for z, x in zip(batch.species.split(counts), batch.frac_coords.split(counts), strict=True):
            atoms = Atoms(z.numpy(), x.double().numpy(), calculator=EMT())
            found.append(atoms.get_potential_energy() / len(atoms))
        return float(np.mean(found))

    task = MoleculeOf((ETHANOL,))
    guidance = EnergyGuidance(EMT(), guidance_scale=50.0, max_shift=0.2)
    plain, guided = drawn(sampler, task), drawn(sampler, task, conditions=(guidance,))
    assert mean_energy(guided) < mean_energy(plain)
    assert guidance.take_usage()["potential evaluations"] > 0
    still = EnergyGuidance(EMT(), guidance_scale=0.0)
    assert torch.equal(drawn(sampler, task, conditions=(still,)).frac_coords, plain.frac_coords)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (((1, 5), (6, 6)), "radical or an ion"),
        (((1, 6), (6, 1)), "more than the others can bind"),
        (((1, 2),), "no heavy atom"),
    ],
)
def test_formulas_that_are_no_molecules(formula, message):
    with pytest.raises(InputError, match=message):
        check_formula(formula)


def test_what_the_model_cannot_do_is_refused(sampler):
    with pytest.raises(InputError, match="does not know Cl"):
        drawn(sampler, MoleculeOf((((6, 1), (17, 4)),)))
    with pytest.raises(InputError, match="holds at most 12"):
        drawn(sampler, NewMolecule(num_atoms=40))
    with pytest.raises(IncompatibleError, match="not conditioned on gap"):
        drawn(sampler, NewMolecule(), properties={"gap": 6.0})
    with pytest.raises(IncompatibleError, match="given space_group"):
        drawn(sampler, NewMolecule(), space_group=14)


def test_atoms_on_each_other_are_drawn_again(sampler):
    batch = drawn(sampler, NewMolecule(), (0,))
    assert "each other" in str(
        sampler.rejection(
            batch.__class__(batch.lattice, 0 * batch.frac_coords, batch.species, batch.num_atoms),
            SampleRequest(NewMolecule()),
        )
    )

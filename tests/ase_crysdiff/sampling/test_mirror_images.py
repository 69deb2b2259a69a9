"""A group of an enantiomorphic pair is answered in that group, whichever the library holds."""

from dataclasses import replace

import pytest
import torch
from pymatgen.core import Lattice, Structure
from textbook import TEXTBOOK, packed

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.models.card import Card
from ase_crysdiff.networks.scaffolds.autoregressive import ScaffoldModel
from ase_crysdiff.networks.scaffolds.decoding import ScaffoldDecoder
from ase_crysdiff.randomness import Streams
from ase_crysdiff.recipes.prototypes import RECIPE
from ase_crysdiff.sampling.loading import load_sampler, prototypes
from ase_crysdiff.sampling.proposals import Proposals
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.weighing import Weighing
from ase_crysdiff.sampling.wyckoff_sampler import WyckoffSampler
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.prototype import Prototype

MAGNESIA = CSP(composition=((12, 1), (8, 1)), formula_units=(3,))
CINNABAR = Structure.from_spacegroup(
    "P3_121",
    Lattice.hexagonal(4.149, 9.495),
    ["Hg", "S"],
    [[0.7198, 0, 1 / 3], [0.4889, 0, 5 / 6]],
)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    packed({**TEXTBOOK, "cinnabar": (0.0, CINNABAR)}).save(folder / "packed.safetensors")
    RECIPE.make(folder / "packed.safetensors", folder, "cinnabar", {}, {})
    return prototypes(folder)


@pytest.fixture(scope="module")
def wyckoff(known, toy_csp):
    torch.random.default_generator.manual_seed(0)
    decoder = ScaffoldDecoder(ScaffoldModel(hidden=32, layers=1, heads=2).eval())
    config = {"recipe": "wyckoff", "kind": "sampler", "max_atoms": 20, "temperature": 0.02}
    card = Card("wyckoff", config, None, {}, {}, tuple(range(1, 95)), "MIT", "0" * 64)
    proposals = Proposals(known.library, known.vote, decoder, Weighing(), {6: 1})
    return WyckoffSampler(proposals, card, load_sampler("dao-g", toy_csp), known)


def first(sampler, request, index=0):
    """The first crystal, its true space group and where it comes from."""
    found = sampler.sample(request, Streams(0, (index,)))
    structure = to_structures(found.crystals)[0]
    said = {name: values[0] for name, values in found.properties.items()}
    return find_symmetric(structure, 1e-3).scaffold.group, said


@pytest.mark.parametrize("name", ["known", "wyckoff"])
@pytest.mark.parametrize(("group", "symbol"), [(152, "P3_121"), (154, "P3_221")])
def test_a_composition_gets_the_group_that_is_asked_for(name, group, symbol, request):
    sampler = request.getfixturevalue(name)
    asked = SampleRequest(task=MAGNESIA, space_group=group, steps=4)
    found, said = first(sampler, asked)
    assert found == group
    assert said["space_group"] == symbol
    assert said["scaffold"].startswith(symbol)
    mirrored = ", mirror image" if group == 154 else ""
    assert said["template"] == f"cinnabar: O for S, Mg for Hg{mirrored}"


@pytest.mark.parametrize("name", ["known", "wyckoff"])
@pytest.mark.parametrize("prototype", ["P3_221 a|b", "P3_121 a|b"])
def test_a_prototype_of_the_pair_keeps_its_group(name, prototype, request):
    sampler, wished = request.getfixturevalue(name), Prototype.parse(prototype)
    for task in (MAGNESIA, DeNovo()):
        found, said = first(sampler, SampleRequest(task=task, prototype=wished, steps=4))
        assert found == wished.group
        assert said["scaffold"].startswith(prototype.split()[0])


def test_new_crystals_get_the_group_that_is_asked_for(known, wyckoff):
    for group in (152, 154):
        asked = SampleRequest(task=DeNovo(), space_group=group, steps=4)
        for sampler in (known, wyckoff):
            assert first(sampler, asked)[0] == group
        assert "cinnabar" in first(known, asked)[1]["template"]


def test_without_a_wish_the_library_answers_as_it_is(known):
    found, said = first(known, replace(SampleRequest(task=MAGNESIA), known=False))
    assert found == 152
    assert "mirror" not in said["template"]

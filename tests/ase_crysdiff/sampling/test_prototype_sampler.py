"""The sampler of prototypes: ranks, provenance, what it refuses, and what it says then."""

import json

import numpy as np
import pytest
from textbook import TEXTBOOK, packed, rutile, textbook_library

from ase_crysdiff import registry
from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.metrics.matching import reduced, rms_distance
from ase_crysdiff.models.recipe import direct_recipe, recipe
from ase_crysdiff.randomness import Streams
from ase_crysdiff.recipes.prototypes import RECIPE
from ase_crysdiff.sampling.loading import prototypes
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.finding import find_scaffold
from ase_crysdiff.testing.samplers import CHECKS
from pymatgen_ext import StructureSampler


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("textbook")
    textbook_library(folder)
    return folder


@pytest.fixture(scope="module")
def sampler(folder):
    """The textbook under a name of its own, found as installed samplers are."""
    registry.register(registry.SAMPLERS, "textbook", prototypes)
    yield StructureSampler("textbook", weights=str(folder))
    registry.unregister(registry.SAMPLERS, "textbook")


def texts(samples):
    return [s.properties["crysdiff_template"] for s in samples]


def test_candidates_come_by_rank_and_say_where_they_are_from(sampler):
    samples = sampler.sample(2, composition="CaTiO3", formula_units=1)
    assert texts(samples)[0] == "tausonite: Ca for Sr"
    first = samples[0].properties
    assert first["crysdiff_rank"] == first["crysdiff_index"] == 0
    assert first["crysdiff_space_group"] == "Pm-3m"
    assert str(find_scaffold(samples[0])) == str(find_scaffold(TEXTBOOK["tausonite"][1])).replace(
        "Sr", "Ca"
    )
    assert samples[0].volume ** (1 / 3) == pytest.approx(3.84, rel=0.03)  # CaTiO3, per formula unit


def test_known_structures_come_first_and_can_be_left_out(sampler):
    found = sampler.sample(3, composition="TiO2")
    assert texts(found)[:2] == ["anatase (this compound)", "rutile (this compound)"]
    distance = rms_distance(reduced(found[1]), reduced(TEXTBOOK["rutile"][1]))
    assert distance == pytest.approx(0, abs=2e-5)
    new = sampler.sample(1, composition="TiO2", formula_units=2, known=False)
    assert texts(new) == ["cassiterite: Ti for Sn"]


def test_neither_seed_nor_batch_changes_the_ranking(sampler):
    one = sampler.sample(4, composition="KF", seed=1, batch_size=1)
    other = sampler.sample(4, composition="KF", seed=2, batch_size=3)
    assert texts(one) == texts(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.frac_coords, b.frac_coords)


def test_too_few_candidates_are_reported_not_repeated(sampler):
    samples = sampler.sample(6, composition="CaTiO3")
    assert len(samples) == 2
    assert samples.report.failed == dict.fromkeys(range(2, 6), "the library has only 2 candidates")
    assert samples.report.redrawn == 0


def test_symmetry_restricts(sampler):
    assert texts(sampler.sample(1, composition="TiO2", prototype="P4_2/mnm a|f", known=False)) == [
        "cassiterite: Ti for Sn"
    ]
    given = rutile(4.6, 3.0, 0.3, "Ti")
    assert texts(sampler.sample(1, composition="TiO2", prototype=given)) == [
        "rutile (this compound)"
    ]
    found = sampler.sample(2, composition="TiO2", space_group="Fm-3m")
    assert {s.properties["crysdiff_space_group"] for s in found} == {"Fm-3m"}


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        (
            {"composition": "TiO2", "space_group": 227, "formula_units": 1},
            InputError,
            r"Fd-3m cannot hold 1 formula unit of TiO2. It can hold 2, ",
        ),
        ({"composition": "TiO2", "prototype": "Fm-3m a|b"}, InputError, "1 : 1 atoms"),
        ({"composition": "TiO2", "prototype": "Fm-3m a|z"}, InputError, "no Wyckoff position 'z'"),
        ({"composition": "TiO2", "prototype": "Fm-3m a|a"}, InputError, "occupied once, not 2"),
        (
            {"composition": "RaO"},
            InputError,
            "holds no crystal with Ra.*The nearest that it knows: ",
        ),
        ({"chemical_system": "Ra-O"}, InputError, "holds no crystal with Ra"),
        (
            {"composition": "Ti7O11"},
            IncompatibleError,
            "'textbook' knows no crystal with the numbers of atoms of Ti7O11.*dao-g-flow",
        ),
        (
            {"composition": "TiO2", "space_group": 62},
            IncompatibleError,
            "knows no crystal in Pnma",
        ),
        (
            {"composition": "TiO2", "lattice": [4, 4, 3, 90, 90, 90]},
            IncompatibleError,
            "cannot keep a given lattice.*dao-g-flow",
        ),
        ({"num_atoms": 7}, IncompatibleError, "could become one"),
        ({"composition": "TiO2", "known": "yes"}, InputError, "known must be True, False or None"),
    ],
)
def test_what_cannot_be_served_is_said(sampler, wishes, error, message):
    with pytest.raises(error, match=message):
        sampler.sample(1, **wishes)


def test_samplers_without_a_library_refuse_known():
    with pytest.raises(IncompatibleError, match="'miad' holds no library of known crystals"):
        StructureSampler("miad").sample(1, known=False)


def test_new_crystals_have_new_formulas_and_keep_their_group(sampler):
    from ase_crysdiff.prototypes.library import reduced_formula

    samples = sampler.sample(12, seed=3)
    assert len(samples) == 12
    for structure in samples:
        counts = structure.composition.element_composition
        formula = reduced_formula((e.Z, int(n)) for e, n in counts.items())
        assert formula not in sampler.sampler.library.formulas
        assert " for " in structure.properties["crysdiff_template"]
        symbol = find_scaffold(structure, 1e-3).space_group.symbol
        assert symbol == structure.properties["crysdiff_space_group"]
    again = sampler.sample(12, seed=3, batch_size=5)
    assert texts(again) == texts(samples)
    assert texts(sampler.sample(12, seed=4)) != texts(samples)


def test_wishes_of_new_crystals_are_obeyed(sampler):
    system = sampler.sample(4, seed=0, chemical_system="Ba-Zr-O", known=True)
    assert {s.chemical_system for s in system} == {"Ba-O-Zr"}
    few = sampler.sample(6, seed=0, elements=["Mg", "Ca", "Cl", "F", "O"], known=True)
    assert all({e.symbol for e in s.elements} <= {"Mg", "Ca", "Cl", "F", "O"} for s in few)
    sized = sampler.sample(3, seed=0, num_atoms=5)
    assert {len(s) for s in sized} == {5}
    placed = sampler.sample(3, seed=0, prototype="P4_2/mnm a|f")
    assert {s.properties["crysdiff_space_group"] for s in placed} == {"P4_2/mnm"}


@pytest.mark.parametrize("task", [CSP(((12, 1), (17, 2))), DeNovo()], ids=["csp", "de novo"])
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_it_keeps_the_published_contract(sampler, check, task):
    check(sampler.sampler, SampleRequest(task))


def test_cells_take_turns_and_those_without_a_template_fail(sampler):
    task = CSP(cells=(((11, 1), (17, 1)), ((22, 7), (8, 11))))
    sampled = sampler.sampler.sample(SampleRequest(task), Streams(0, (0, 1, 2, 3)))
    assert sampled.properties["rank"] == [0, 0, 1, 1]
    assert sampled.failures == {
        1: "the library has only 0 candidates",
        3: "the library has only 0 candidates",
    }
    assert sampled.crystals.num_atoms.tolist() == [2, 0, 2, 0]


def test_the_command_line_makes_a_library(tmp_path, capsys):
    packed().save(tmp_path / "packed.safetensors")
    arguments = ["train", "prototypes-mine", "--data", str(tmp_path / "packed.safetensors")]
    changes = {"vote": {"temperature": 0.1}, "largest_energy": 0.02}
    assert main([*arguments, "-o", str(tmp_path), "--config", json.dumps(changes)]) == 0
    assert "give it as weights of the sampler prototypes" in capsys.readouterr().out
    assert main([*arguments, "-o", str(tmp_path), "--config", '{"hidden": 3}']) != 0
    assert "A library has no setting 'hidden'" in capsys.readouterr().err
    with pytest.raises(InputError, match="made at once and not trained by steps"):
        recipe("prototypes-mine")
    made = prototypes(tmp_path / "prototypes-mine")
    assert made.card.config["vote"] == {
        "temperature": 0.1,
        "share": 0.5,
        "energy": 3.5,
        "unknown_energy": 0.05,
    }
    assert "SrZrO3" not in made.library.names
    assert made.card.training["crystals"] == len(TEXTBOOK) - 1
    assert set(made.card.elements) == set(made.library.elements)


def test_packed_crystals_without_scaffolds_are_refused(tmp_path, crystals):
    crystals.save(tmp_path / "plain.safetensors")
    with pytest.raises(InputError, match="holds no scaffolds. Pack the crystals with"):
        RECIPE.make(tmp_path / "plain.safetensors", tmp_path, "x", {}, {})
    assert direct_recipe("miad") is None


def test_other_weights_are_no_library():
    from importlib.resources import files

    with pytest.raises(CheckpointError, match="holds 'dao-g-flow', not a library of prototypes"):
        prototypes(str(files("ase_crysdiff") / "weights" / "dao-g-flow"))

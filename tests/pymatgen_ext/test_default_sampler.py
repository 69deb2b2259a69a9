"""The sampler of those who name none: who answers, and that it says so."""

import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.cli.main import main
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.predictors.guides import WishSteering
from pymatgen_ext import PropertySteering
from pymatgen_ext.samplers import StructureSampler

CUBE = Structure(Lattice.cubic(4.0), ["Ti", "O", "O", "O"], [[0.5] * 3, [0, 0.5, 0.5],
                 [0.5, 0, 0.5], [0.5, 0.5, 0]])  # fmt: skip


@pytest.fixture(scope="module")
def default():
    return StructureSampler(device="cpu")


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({"composition": "SrTiO3"}, "wyckoff"),
        ({"composition": "SrTiO3", "lattice": Lattice.cubic(3.9), "steps": 3}, "dao-g-flow"),
        ({"lattice": Lattice.cubic(4.4), "num_atoms": 5, "steps": 3}, "miad"),
        ({"properties": {"band_gap": (1.0, 3.0)}}, "prototypes"),
    ],
)
def test_the_best_that_can_serves_and_is_named(default, wish, name):
    drawn = default.sample(2, seed=3, **wish)
    assert drawn[0].properties["crysdiff_sampler"] == name
    assert any(f"leaves this to '{name}'" in note for note in drawn.report.notes)
    again = StructureSampler(name, device="cpu").sample(2, seed=3, **wish)
    assert list(drawn) == list(again)
    assert drawn.report.weights == again.report.weights


def test_new_crystals_are_wished_near_the_hull_where_nothing_is(default):
    drawn = default.sample(2, seed=3)
    wished = default.sample(2, seed=3, properties={"energy_above_hull": 0.025})
    named = StructureSampler("prototypes", device="cpu")
    plain = named.sample(2, seed=3)
    assert list(drawn) == list(wished)
    assert list(drawn) == list(named.sample(2, seed=3, properties={"energy_above_hull": 0.025}))
    assert list(drawn) != list(plain)
    assert any("and the same wishes" in note for note in drawn.report.notes)
    (said,) = [note for note in drawn.report.notes if "nothing is wished" in note]
    assert "'energy-above-hull' chooses one at or below 0.025 eV/atom;" in said
    assert not any("nothing is wished" in n for n in (*wished.report.notes, *plain.report.notes))


@pytest.mark.parametrize(
    "wish",
    [
        {"properties": {"band_gap": (1.0, 3.0)}},
        {"conditions": PropertySteering("band-gap", (1.0, 3.0), population=2)},
        {"composition": "SrTiO3"},
        {"lattice": Lattice.cubic(4.4), "num_atoms": 5, "steps": 3},
    ],
)
def test_who_says_what_counts_is_wished_nothing(default, wish):
    request, _ = default.request(**wish)
    steered = [c for c in request.conditions if isinstance(c, WishSteering)]
    assert all(one.asked for one in steered)
    assert "energy_above_hull" not in {name for one in steered for name in one.parts}


def test_hosts_and_neighbours_have_samplers_of_their_own(default):
    filled = default.inpaint(CUBE, {"Sr": 1}, steps=3, seed=0)
    varied = default.vary(CUBE, steps=3, seed=0)
    assert filled[0].properties["crysdiff_sampler"] == "chggen"
    assert varied[0].properties["crysdiff_sampler"] == "miad"


def test_weights_in_a_folder_bring_their_sampler(toy_miad):
    sampler = StructureSampler(weights=str(toy_miad), device="cpu")
    drawn = sampler.sample(1, seed=0, redraws=30)
    assert drawn.report.weights == weights.read_card(toy_miad).version
    with pytest.raises(IncompatibleError, match="'miad'"):
        sampler.sample(1, composition="SrTiO3")


def test_what_none_can_do_is_refused_with_the_reasons(default):
    with pytest.raises(IncompatibleError, match=r"'wyckoff'.*'prototypes'.*'dao-g-flow'"):
        default.sample(1, composition="SrTiO3", num_atoms=5_000)
    with pytest.raises(InputError, match="beyond the heaviest"):
        default.sample(1, composition="Og2")
    with pytest.raises(IncompatibleError, match="Name the one that is to be taught"):
        default.finetune([CUBE] * 3, [1.0, 2.0, 3.0], property="band_gap")


def test_the_command_needs_no_name(tmp_path, capsys):
    assert main(["sample", "-n", "2", "--seed", "0", "-o", str(tmp_path / "drawn")]) == 0
    assert "'default' leaves this to 'prototypes'" in capsys.readouterr().out


def test_what_all_samplers_say_of_a_refusal_is_said_once(default):
    with pytest.raises(IncompatibleError, match="No model can make crystals") as caught:
        default.sample(1, properties={"colour": 1.0})
    said = str(caught.value)
    assert said.count("was not conditioned on colour") == 3
    assert "'miad' was not conditioned on colour. It takes no property. A predictor" in said
    assert said.count("PropertySteering") == said.count(".finetune(...)") == 1


def test_a_misspelt_property_is_told_once_what_was_meant(default):
    with pytest.raises(InputError) as caught:
        default.sample(1, properties={"bulk_modulos": 200.0})
    assert str(caught.value) == (
        "No property is called 'bulk_modulos'. Did you mean 'bulk_modulus'?"
    )

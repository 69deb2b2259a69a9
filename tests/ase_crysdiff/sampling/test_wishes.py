"""Wishes against what a sampler was told, against the request, and what each crystal is told."""

import pytest
import torch

from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.answers import hull_wish
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.wishes import beyond_training, check_wishes, told, window_draws
from ase_crysdiff.symmetry.decisions import hull_class

PROPERTIES = declared(
    {
        "band_gap": {"unit": "eV", "range": [0.0, 5.0], "mean": 1.0, "scale": 1.0},
        "space_group": {"kind": "class", "classes": ["62", "225"]},
        "chemical_system": {"kind": "elements"},
    }
)


def wish(task=None, group=None, **properties):
    return SampleRequest(task or DeNovo(), space_group=group, properties=properties)


def test_sound_wishes_pass():
    elements = frozenset({3, 8})
    task = DeNovo(chemical_system=elements)
    check_wishes(wish(task, 62, space_group="62", chemical_system=elements), "x", PROPERTIES)
    check_wishes(wish(), "x", {})


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (
            wish(colour=1.0),
            IncompatibleError,
            r"colour. It takes band_gap \(0 to 5 eV\), space_gro.*PropertySteering.*finetune",
        ),
        (
            wish(band_gab=1.0),
            InputError,
            "No property is called 'band_gab'. Did you mean 'band_gap'",
        ),
        (wish(densty=1.0), InputError, "No property is called 'densty'. Did you mean 'density'"),
        (wish(density=1.0), IncompatibleError, "on density. It takes band_gap"),
        (wish(space_group="194"), InputError, "seen no space_group '194'"),
        (wish(group=62, space_group="225"), InputError, "space_group=225 differ"),
        (
            wish(DeNovo(chemical_system=frozenset({3})), chemical_system=frozenset({8})),
            InputError,
            "chemical_system differ",
        ),
    ],
)
def test_unknown_and_contradictory_wishes_are_refused(request_, error, message):
    with pytest.raises(error, match=message):
        check_wishes(request_, "x", PROPERTIES, Sampler.remedy)


def test_targets_beyond_the_training_are_named_with_the_range():
    (sentence,) = beyond_training(wish(band_gap=(4.0, 6.0)), PROPERTIES)
    assert "band_gap of (4.0, 6.0) is outside" in sentence
    assert "0 to 5 eV" in sentence
    assert not beyond_training(wish(band_gap=2.0, space_group="62"), PROPERTIES)


def test_a_crystal_is_told_the_same_in_any_batch():
    request = wish(band_gap=(1.0, 2.0), space_group="225", chemical_system=frozenset({8}))

    def rows(indices):
        return told(request, PROPERTIES, Streams(7, indices), torch.device("cpu"), torch.float32)

    together, alone = rows((0, 1, 2)), rows((2,))
    assert {name: tuple(x.shape) for name, x in together.items()} == {
        "band_gap": (3, 1),
        "space_group": (3, 1),
        "chemical_system": (3, 100),
    }
    assert all(torch.equal(x[2:], alone[name]) for name, x in together.items())
    assert len(set(together["band_gap"].flatten().tolist())) == 3
    assert together["space_group"].unique().tolist() == [1.0]


def test_scaffolds_are_told_the_class_of_a_number_in_the_window():
    request = wish(energy_above_hull=(0.0, 0.1))
    draws = window_draws("energy_above_hull", (0.0, 0.1), Streams(0, tuple(range(50))))
    classes = {hull_wish(request, draw)[0] for draw in draws}
    assert classes == {hull_class(x) for x in (0.01, 0.04, 0.08)}
    assert hull_wish(request)[0] == hull_class(0.05)
    assert hull_wish(wish()) == (0, 1.0)
    assert window_draws("energy_above_hull", 0.0, Streams(0, (0, 1))) == [0.5, 0.5]

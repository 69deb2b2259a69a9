"""Steering by a predictor draws more of what is wished, from samplers with a loop and without, the
same whatever the batch.
"""

import pickle

import pytest
import torch

from ase_crysdiff.conditions.population import Steering
from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.steered import particles
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import PropertySteering, StructureSampler

CRYSTALS = from_structures(list(prototypes().values()))


class BySize(Steering):
    """Steers by Å³ per atom, which needs no model."""

    def values(self, crystals):
        species = crystals.species > 0
        owner = torch.arange(len(crystals)).repeat_interleave(crystals.num_atoms)
        atoms = torch.zeros(len(crystals)).index_add(0, owner, species.float())
        return torch.linalg.det(crystals.lattice).abs() / atoms


def sizes(samples):
    return [s.volume / len(s) for s in samples]


def cells(samples):
    return [(s.lattice.matrix.tolist(), s.frac_coords.tolist(), s.formula) for s in samples]


def draw(sampler, *conditions, **wishes):
    how = {"seed": 0, "redraws": 10, "progress": False} | wishes
    return sampler.sample(6, conditions=list(conditions), **how)


CSP = {"composition": "NaCl", "formula_units": 2}


@pytest.mark.parametrize("kind", ["miad", "csp", "symmetric"])
def test_a_loop_resamples(kind, miad, csp):
    sampler, wishes = {
        "miad": (miad, {"num_atoms": 3}),
        "csp": (csp, CSP),
        "symmetric": (csp, {**CSP, "space_group": 14}),
    }[kind]
    free = sizes(draw(sampler, **wishes))
    middle = sorted(free)[len(free) // 2]
    far = (1.05 * middle, 3 * middle)
    steering = BySize(far, population=6, strength=40.0, times=(0.6, 0.3))
    found = draw(sampler, steering, **wishes)
    share = [sum(far[0] <= x <= far[1] for x in row) for row in (free, sizes(found))]
    assert share[1] > share[0]
    assert cells(found) == cells(draw(sampler, steering, batch_size=1, **wishes))
    if kind == "symmetric":
        for structure in found:
            assert len(find_symmetric(structure, 1e-3).scaffold.space_group.rotations) >= 4


def test_candidates_cost_and_strength_0_is_a_fair_choice(csp):
    request, _ = csp.request(**CSP, conditions=[BySize((1.0, 2.0), population=5)])
    plain, _ = csp.request(**CSP)
    evaluations = csp.sampler.evaluations
    assert evaluations(request) == 5 * evaluations(plain)
    steering = BySize((1.0, 2.0), population=4, strength=0.0)
    draws = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = steering.chosen(torch.zeros(16_000, dtype=torch.float64), draws) % 4
    assert torch.bincount(chosen, minlength=4).double().div(4000).tolist() == pytest.approx(
        [0.25] * 4, abs=0.03
    )


def test_candidates_are_chosen_as_often_as_their_weights_say():
    steering = BySize((1.0, 2.0), population=3)
    logs = torch.tensor([0.1, 0.3, 0.6]).double().log().repeat(6000)
    draws = torch.rand(6000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chosen = steering.chosen(logs, draws) - 3 * torch.arange(6000)
    shares = torch.bincount(chosen, minlength=3).double() / 6000
    assert shares.tolist() == pytest.approx([0.1, 0.3, 0.6], abs=0.02)
    ancestors = steering._ancestors(logs[:3], torch.tensor([0.5]).double(), 10)[0]
    assert torch.bincount(ancestors, minlength=3).tolist() == [1, 3, 6]


def test_weights_fall_with_the_distance_from_the_window():
    class Fixed(BySize):
        def values(self, crystals):
            assert crystals is CRYSTALS
            return torch.tensor([1.5, 2.5, 3.5, float("nan")])

    logs = Fixed((1.0, 2.0), strength=3.0).log_weights(CRYSTALS)
    assert logs.tolist() == pytest.approx([0.0, -3.0, -9.0, -22.5])
    assert Fixed((None, 2.0), strength=3.0).log_weights(CRYSTALS)[1] < 0
    assert Fixed((200.0, None)).log_weights(CRYSTALS)[0] < -1


def test_samplers_without_a_loop_are_weighed():
    prototypes = StructureSampler("prototypes", device="cpu")
    wishes = {"composition": "SrTiO3", "formula_units": 1}
    six = sizes(prototypes.sample(6, seed=0, progress=False, **wishes))
    window = (max(six) - 0.1, max(six) + 0.1)
    (found,) = prototypes.sample(
        1, seed=0, progress=False, conditions=[BySize(window, 6, 50.0)], **wishes
    )
    assert found.volume / len(found) == pytest.approx(max(six))
    assert found.properties["crysdiff_template"]


def test_streams_of_candidates_keep_turns():
    steering = BySize((1.0, 2.0), population=3)
    found = particles(Streams(0, (0, 1, 2), (0, 4, 0)), steering, turns=2)
    assert found.indices == (0, 2, 4, 1, 3, 5, 6, 8, 10)
    assert found.attempts == (0, 0, 0, 4, 4, 4, 0, 0, 0)


def test_by_name_with_a_shipped_predictor(csp):
    wish = {"name": "property", "predictor": "band-gap", "window": (1.0, 2.0), "population": 2}
    found = draw(csp, wish, steps=2, **CSP)
    assert len(found) == 6
    given = pickle.dumps(PropertySteering("band-gap", (1.0, 2.0), population=2))
    steering = pickle.loads(given)  # noqa: S301  # written here
    assert cells(draw(csp, steering, batch_size=4, steps=2, **CSP)) == cells(found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": (2.0, 1.0)}, "the smaller one first"),
        ({"window": (None, None)}, "one may be None"),
        ({"window": (0.0, 1.0), "population": 1}, "population"),
        ({"window": (0.0, 1.0), "strength": -1.0}, "strength"),
        ({"window": (0.0, 1.0), "times": (1.0,)}, "between 0 and 1"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        BySize(**settings)


def test_unknown_predictors_and_two_populations_are_refused(csp):
    with pytest.raises(UnknownNameError, match="band-gap"):
        PropertySteering("bandgap", (1.0, 2.0))
    two = [BySize((1.0, 2.0)), BySize((3.0, 4.0))]
    with pytest.raises(InputError, match="one steering"):
        draw(csp, *two, **CSP)

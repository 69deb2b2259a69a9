"""Wishes that a sampler was not told of are left to the predictors of the properties."""

import math

import pytest
import torch

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.crystal.properties import Property
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.predictors.guides import GUIDES, WishSteering, guided, said_of_guides
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.predictors.steering import PropertySteering
from ase_crysdiff.sampling.capabilities import Capabilities
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.testing.crystals import prototypes
from pymatgen_ext import StructurePredictor, StructureSampler


class Toy(Sampler):
    """Can be told some properties."""

    label = "toy"

    def __init__(self, **properties):
        self.capabilities = Capabilities(properties=properties)

    def sample(self, request, streams):
        raise NotImplementedError


TOLD, FREE = Toy(band_gap=Property("band_gap", unit="eV")), Toy()
GAPS, SOFT, HEIGHTS = (1.5, 2.5), (0.0, 100.0), (0.0, 0.025)


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_guides_are_predictors_in_the_unit_of_the_wish(name):
    from ase_crysdiff.data.property_columns import LABELS

    assert load_predictor(GUIDES[name].predictor).unit == LABELS[name][0]


def test_what_a_sampler_was_told_of_stays_a_wish():
    request = SampleRequest(
        properties={"band_gap": GAPS, "bulk_modulus": 50.0}, guidance_weight=2.0
    )
    found = guided(request, TOLD)
    assert found.properties == {"band_gap": GAPS}
    assert found.guidance_weight == 2.0
    (steering,) = found.conditions
    assert set(steering.parts) == {"bulk_modulus"}
    assert steering.parts["bulk_modulus"].window == (35.0, 65.0)
    assert steering.parts["bulk_modulus"].strength == 8.0
    (sentence,) = said_of_guides(found, TOLD)
    assert "'toy' was not conditioned on bulk_modulus." in sentence
    assert "'bulk-modulus' chooses one near 35 to 65 GPa;" in sentence


def test_without_weight_or_guide_nothing_is_steered():
    request = SampleRequest(properties={"bulk_modulus": 50.0}, guidance_weight=0.0)
    assert guided(request, TOLD) == SampleRequest()
    other = SampleRequest(properties={"magnetisation": 1.0})
    assert guided(other, TOLD) is other
    assert said_of_guides(other, TOLD) == ()


def test_weights_of_several_wishes_are_multiplied():
    request = SampleRequest(properties={"band_gap": GAPS, "bulk_modulus": SOFT})
    (steering,) = guided(request, FREE).conditions
    assert isinstance(steering, WishSteering)
    crystals = from_structures(list(prototypes().values())[:3])
    one, other = (part.log_weights(crystals) for part in steering.parts.values())
    torch.testing.assert_close(steering.log_weights(crystals), one + other)
    assert (one < 0).any()
    assert (other < 0).any()


@pytest.mark.parametrize(("wish", "highest"), [(HEIGHTS, 0.025), (0.1, 0.1)])
def test_heights_above_the_hull_are_wished_at_or_below(wish, highest):
    found = guided(SampleRequest(properties={"energy_above_hull": wish}), FREE)
    (steering,) = found.conditions
    assert steering.window == (-math.inf, highest)
    assert f"chooses one at or below {highest:g} eV/atom;" in said_of_guides(found, FREE)[0]
    deep = from_structures(list(prototypes().values())[:1])
    steering.parts["energy_above_hull"].values = lambda _: torch.tensor([-0.08])
    assert steering.log_weights(deep).tolist() == [0.0]


def test_wyckoff_leaves_heights_of_new_crystals_to_the_predictor():
    sampler = StructureSampler("wyckoff", device="cpu")
    wish = {"energy_above_hull": HEIGHTS}
    new, _ = sampler.request(properties=wish, prototype="Fm-3m a|b")
    (steering,) = new.conditions
    assert new.properties == {}
    assert steering.window == (-math.inf, 0.025)
    assert "leaves energy_above_hull of new" in said_of_guides(new, sampler.sampler)[0]
    predicted, _ = sampler.request(composition="NaCl", properties=wish, guidance_weight=2.0)
    own, _ = sampler.request(
        properties=wish, conditions=PropertySteering("band-gap", GAPS, population=2)
    )
    assert predicted.properties == own.properties == wish
    assert predicted.guidance_weight == 2.0
    assert not predicted.conditions
    assert [type(c) for c in own.conditions] == [PropertySteering]


def test_new_crystals_are_chosen_by_their_predicted_property():
    sampler = StructureSampler("prototypes", device="cpu")
    free = sampler.sample(5, seed=0, progress=False)
    told = sampler.sample(5, seed=0, progress=False, properties={"band_gap": GAPS})
    same = sampler.sample(
        5, seed=0, progress=False, properties={"band_gap": GAPS}, guidance_weight=0.0
    )
    alone = sampler.sample(5, seed=0, progress=False, properties={"band_gap": GAPS}, batch_size=3)
    assert list(same) == list(free)
    assert [s.formula for s in alone] == [s.formula for s in told]
    inside = [
        sum(GAPS[0] <= x <= GAPS[1] for x in StructurePredictor("band-gap").predict(list(rows)))
        for rows in (free, told)
    ]
    assert inside[1] >= inside[0] + 1
    assert any("'band-gap' chooses one" in note for note in told.report.notes)
    assert not any("band-gap" in note for note in same.report.notes)


def test_a_wish_that_nobody_knows_is_refused():
    with pytest.raises(IncompatibleError, match="was not conditioned on magnetisation"):
        StructureSampler("prototypes", device="cpu").sample(1, properties={"magnetisation": 1.0})

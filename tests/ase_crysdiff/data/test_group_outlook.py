"""What groups say of a property: densities, and lists of groups weighed by a wish."""

import json
import math

import pytest
import torch

from ase_crysdiff.crystal.molecule_space import molecules
from ase_crysdiff.data.group_outlook import GroupOutlook, GroupWishes, fit_outlook
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.molecules.group_law import GroupLaw, atoms_of

ALCOHOL, KETONE = ((6, 2), (6, 3), (8, 1)), ((6, 0), (6, 3), (6, 3), (8, 0))


@pytest.fixture(scope="module")
def outlook():
    """Of alcohols with values about 8 and ketones with values about 6."""
    generator = torch.Generator().manual_seed(0)
    species = [atoms_of(groups) for groups in [ALCOHOL, KETONE] * 200]
    counts = torch.tensor([len(own) for own in species])
    places = torch.randn(int(counts.sum()), 3, generator=generator)
    values = torch.tensor([8.0, 6.0]).repeat(200)
    values = values + 0.5 * torch.randn(400, generator=generator)
    values[::7] = torch.nan
    return fit_outlook(molecules(places, torch.cat(species), counts), values)


def test_density_is_a_density_about_the_right_value(outlook):
    grid = torch.linspace(outlook.edges[0], outlook.edges[-1], 2001, dtype=torch.float64)
    density = outlook.log_density([ALCOHOL, KETONE], grid).exp()
    assert torch.trapezoid(density, grid, dim=0).tolist() == pytest.approx([1, 1], abs=0.1)
    above = torch.where(grid > 7, 1.0, 0.0).double()[:, None]
    shares = torch.trapezoid(density * above, grid, dim=0)
    assert shares.tolist() == pytest.approx([1, 0], abs=0.1)


def test_a_value_beyond_all_is_like_the_last_one(outlook):
    far, end = outlook.log_density([ALCOHOL], torch.tensor([99.0, outlook.edges[-1]]).double())
    assert far.item() == end.item()
    assert math.isfinite(far.item())


def test_it_survives_a_config(outlook):
    again = GroupOutlook.of_plain(json.loads(json.dumps(outlook.as_plain())))
    values = torch.tensor([6.0, 7.0, 8.0]).double()
    before, after = (o.log_density([ALCOHOL, KETONE], values) for o in (outlook, again))
    assert torch.allclose(before, after, atol=0.1)
    assert again.as_plain() == outlook.as_plain()


def test_too_few_or_equal_values_say_nothing():
    batch = molecules(torch.zeros(27, 3), atoms_of(ALCOHOL).repeat(3), torch.tensor([9, 9, 9]))
    assert fit_outlook(batch, torch.tensor([1.0, 2.0, torch.nan])) is None
    many = molecules(torch.zeros(900, 3), atoms_of(ALCOHOL).repeat(100), torch.full((100,), 9))
    assert fit_outlook(many, torch.ones(100)) is None


def test_wishes_weigh_lists_as_bayes_does(outlook):
    values = torch.tensor([6.0, 8.0])
    log = outlook.log_density([ALCOHOL, KETONE], values.double())
    for weight in (0.0, 1.0, 2.5):
        wishes = GroupWishes({"gap": outlook}, {"gap": values, "dipole": values}, weight)
        odds = wishes.odds([ALCOHOL, KETONE], [3.0, 1.0])
        expected = torch.tensor([3.0, 1.0]).double() * torch.exp(weight * log)
        shares = odds / odds.sum(1, keepdim=True)
        assert torch.allclose(shares, expected / expected.sum(1, keepdim=True))
    assert torch.equal(wishes.take([1]).odds([ALCOHOL, KETONE], [3.0, 1.0]), odds[1:])


def test_groups_follow_the_wish(outlook):
    law, count = GroupLaw({"C2 C3 O1": 1, "C0 C3 C3 O0": 1}), 200
    streams = Streams(0, tuple(range(count)))
    wished = torch.tensor([6.0, 8.0]).repeat(count // 2)
    found = law.free(streams, wishes=GroupWishes({"gap": outlook}, {"gap": wished}))
    ketones = torch.tensor([groups == KETONE for groups in found])
    assert ketones[::2].double().mean() > 0.9
    assert ketones[1::2].double().mean() < 0.1
    plain = law.free(streams)
    assert law.free(streams, wishes=GroupWishes({}, {"gap": wished})) == plain
    flat = GroupWishes({"gap": outlook}, {"gap": wished}, 0.0)
    assert law.free(streams, wishes=flat) == plain

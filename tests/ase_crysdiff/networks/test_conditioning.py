"""Adapters change nothing until they have learnt something, and nothing where nothing is told."""

import pytest
import torch
from toys import tiny_config

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.recipe import recipe
from ase_crysdiff.networks.base import Encoder
from ase_crysdiff.networks.conditioning import PREFIX, PropertyEmbedding, condition

PROPERTIES = {
    "band_gap": {"kind": "number", "unit": "eV", "range": [0.0, 9.0], "mean": 1.0, "scale": 1.5},
    "crystal_system": {"kind": "class", "classes": ["cubic", "hexagonal"]},
    "chemical_system": {"kind": "elements"},
}
LAYOUT = Layout((4, 4, 6))
UNKNOWN = float("nan")


def told(gaps, systems=(UNKNOWN,) * 3):
    elements = torch.full((3, 100), UNKNOWN)
    elements[0] = 0.0
    elements[0, [3, 8]] = 1.0
    return {
        "band_gap": torch.tensor(gaps)[:, None],
        "crystal_system": torch.tensor(systems)[:, None],
        "chemical_system": elements,
    }


@pytest.fixture(scope="module", params=["cspnet", "crysformer-full"])
def models(request, crystals):
    """A model and the same with adapters."""
    config = dict(tiny_config("miad", crystals))
    if request.param == "crysformer-full":
        config["encoder"] = {"name": "crysformer", "hidden": 32, "layers": 2, "heads": 2}
    found = []
    for more in ({}, {"properties": PROPERTIES}):
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(3)
            found.append(recipe("miad").build({**config, **more}).denoiser.eval())
    return found


@pytest.fixture
def noisy(generator):
    state = {
        "lattice": torch.randn(3, 6, generator=generator),
        "frac_coords": torch.rand(14, 3, generator=generator),
        "species": torch.randint(1, 90, (14,), generator=generator),
    }
    return state, torch.full((3,), 0.4)


def same(first, second, rows=slice(None)):
    return [torch.equal(first[name][rows], second[name][rows]) for name in first]


def with_something_learnt(denoiser, generator):
    for name, parameter in denoiser.named_parameters():
        if name.startswith(PREFIX) and ".up." in name:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)


def test_untrained_adapters_are_exactly_the_base(models, noisy):
    base, adapted = models
    plain = base(*noisy, {}, LAYOUT)
    assert all(same(plain, adapted(*noisy, told([1.0, 3.0, 0.0], [0.0, 1.0, 1.0]), LAYOUT)))


def test_told_nothing_is_exactly_the_base_whatever_was_learnt(models, noisy, generator):
    base, adapted = models
    with_something_learnt(adapted, generator)
    plain = base(*noisy, {}, LAYOUT)
    assert all(same(plain, adapted(*noisy, {}, LAYOUT)))
    informed = adapted(*noisy, told([1.0, UNKNOWN, UNKNOWN]), LAYOUT)
    # The first crystal is told something, the last nothing.
    assert not any(same(plain, informed, slice(0, 1)))
    assert torch.equal(plain["lattice"][1:], informed["lattice"][1:])
    assert torch.equal(plain["species"][4:], informed["species"][4:])


def test_every_property_counts_and_they_add_up(models, noisy, generator):
    _, adapted = models
    with_something_learnt(adapted, generator)
    gaps, systems = [1.0, 2.0, 2.0], [0.0, 0.0, 1.0]
    answers = [
        adapted(*noisy, told(*wish), LAYOUT)["lattice"]
        for wish in ((gaps,), (gaps, systems), ([5.0] * 3, systems), (gaps, systems[::-1]))
    ]
    for i, one in enumerate(answers):
        assert all(not torch.equal(one, other) for other in answers[:i])


def test_a_crystal_alone_is_the_crystal_in_a_batch(models, noisy, generator):
    _, adapted = models
    with_something_learnt(adapted, generator)
    state, t = noisy
    wish = {name: rows.nan_to_num(1.0) for name, rows in told([1.0, 2.0, 3.0]).items()}
    together = adapted(state, t, wish, LAYOUT)
    alone = {"lattice": state["lattice"][2:]} | {
        n: state[n][8:] for n in ("frac_coords", "species")
    }
    found = adapted(alone, t[2:], {n: rows[2:] for n, rows in wish.items()}, Layout((6,)))
    torch.testing.assert_close(found["lattice"], together["lattice"][2:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["species"], together["species"][8:], atol=1e-5, rtol=1e-5)


def test_embeddings_tell_values_apart_and_ignore_the_unit():
    wide = declared({"x": {"unit": "meV", "mean": 1000.0, "scale": 1500.0}})["x"]
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        first = PropertyEmbedding(declared(PROPERTIES)["band_gap"], 8)
        second = PropertyEmbedding(wide, 8)
    second.load_state_dict(first.state_dict())
    values = torch.tensor([[0.0], [1.5], [4.0]])
    torch.testing.assert_close(first(values), second(1000 * values), atol=1e-4, rtol=1e-4)
    assert (first(values).diff(dim=0).abs().amax(1) > 1e-3).all()


def test_an_encoder_without_rounds_is_refused(models):
    base, _ = models
    encoder, base.encoder.rounds = base.encoder.rounds, Encoder.rounds
    with pytest.raises(InputError, match="takes no adapters, .* band_gap"):
        condition(base, declared({"band_gap": {}}))
    base.encoder.rounds = encoder

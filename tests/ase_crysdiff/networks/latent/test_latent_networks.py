"""Latents, decoders and the denoiser of latents: closed forms, sizes, symmetries."""

import math

import pytest
import torch

from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.geometry.pairs import all_pairs
from ase_crysdiff.networks.latent.decoders import InvariantDecoder, PublishedDecoder
from ase_crysdiff.networks.latent.dit import DiT, Tokens
from ase_crysdiff.networks.latent.posterior import Posterior, PosteriorHead
from ase_crysdiff.randomness import GeneratorStream
from ase_crysdiff.testing.crystals import prototype_batch


@pytest.mark.parametrize(
    ("mean", "log_variance", "expected"),
    [(1.0, 0.0, 128.0), (0.0, math.log(2), 39.2772), (0.0, 0.0, 0.0)],
)
def test_divergence_of_256_numbers(mean, log_variance, expected):
    posterior = Posterior(torch.full((3, 256), mean), torch.full((3, 256), log_variance))
    assert posterior.divergence().tolist() == pytest.approx([expected] * 3, abs=1e-3)


def test_draws_have_mean_and_variance(generator):
    posterior = Posterior(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), math.log(4.0)))
    drawn = posterior.sample(torch.randn(20_000, 1, generator=generator))
    assert float(drawn.mean()) == pytest.approx(3, abs=0.05)
    assert float(drawn.std()) == pytest.approx(2, abs=0.05)


def test_means_are_normalised_by_default_and_variances_bounded(generator):
    features = 1e4 * torch.randn(5, 12, generator=generator)
    posterior = PosteriorHead(12, 32)(features)
    torch.testing.assert_close(posterior.mean.mean(-1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        posterior.mean.var(-1, unbiased=False), torch.ones(5), atol=1e-4, rtol=0
    )
    assert float(posterior.log_variance.detach().min()) == -30
    assert float(posterior.log_variance.detach().max()) == 20
    assert float(PosteriorHead(12, 32, normalised=False)(features).mean.detach().abs().max()) > 100


def size(network):
    return sum(p.numel() for p in network.parameters())


def test_published_denoiser_has_the_published_size_but_for_parts_it_does_not_use():
    with torch.device("meta"):
        network = DiT(256, width=768, layers=12, heads=12, positions=True)
    assert size(network) == 130_082_560 - 178_944
    assert size(DiT(64)) <= 2_000_000


def lively(network, generator):
    """Blocks add nothing at first; random weights make them."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return network


def test_denoiser_says_nothing_at_first(generator):
    layout = Layout((1, 3))
    assert not DiT(8, 16, 1, 2)(
        torch.randn(4, 8, generator=generator), torch.tensor([0.2, 0.9]), layout
    ).any()


def test_padding_counts_nothing(generator):
    network = lively(DiT(8, 16, 2, 2), generator)
    noisy, t = torch.randn(9, 8, generator=generator), torch.tensor([0.1, 0.5, 0.9])
    together = network(noisy, t, Layout((1, 3, 5)))
    alone = [
        network(rows, t[i : i + 1], Layout((len(rows),)))
        for i, rows in enumerate(noisy.split([1, 3, 5]))
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    spoiled = noisy.clone()
    spoiled[4:] = 50.0
    torch.testing.assert_close(network(spoiled, t, Layout((1, 3, 5)))[:4], together[:4])


@pytest.mark.parametrize("positions", [False, True])
def test_order_of_atoms_matters_to_the_published_denoiser_only(positions, generator):
    network = lively(DiT(8, 16, 2, 2, positions=positions), generator)
    noisy, t, layout = torch.randn(5, 8, generator=generator), torch.tensor([0.5]), Layout((5,))
    order = torch.tensor([3, 0, 4, 1, 2])
    difference = (network(noisy[order], t, layout) - network(noisy, t, layout)[order]).abs().max()
    assert (float(difference) > 1e-2) == positions


def test_denoiser_knows_the_time(generator):
    network = lively(DiT(8, 16, 2, 2), generator)
    noisy, layout = torch.randn(2, 8, generator=generator), Layout((2,))
    assert (
        network(noisy, torch.tensor([0.1]), layout) - network(noisy, torch.tensor([0.2]), layout)
    ).abs().max() > 1e-3


def test_tokens_and_atoms_are_each_other_s_inverse():
    rows, tokens = torch.arange(12.0).view(6, 2), Tokens.of(Layout((1, 2, 3)))
    dense = tokens.dense(rows)
    assert dense.shape == (3, 3, 2)
    assert tokens.is_atom.sum(1).tolist() == [1, 2, 3]
    assert not dense[~tokens.is_atom].any()
    assert torch.equal(tokens.ragged(dense), rows)


def turned(batch, generator):
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    return CrystalBatch(
        batch.lattice @ rotation, (batch.frac_coords + 0.37) % 1, batch.species, batch.num_atoms
    )


def test_targets_of_invariants_do_not_depend_on_orientation_and_origin(generator):
    batch = prototype_batch()
    decoder = InvariantDecoder(16)
    for name, target in decoder.targets(batch).items():
        torch.testing.assert_close(
            decoder.targets(turned(batch, generator))[name], target, atol=1e-4, rtol=1e-4
        )
    published = PublishedDecoder(16)
    for name, target in published.targets(batch).items():
        assert (published.targets(turned(batch, generator))[name] - target).abs().max() > 0.1


@pytest.mark.parametrize("kind", [InvariantDecoder, PublishedDecoder])
def test_estimates_have_the_shape_of_targets_and_the_announced_quantities(kind, generator):
    batch, decoder = prototype_batch(), kind(16)
    estimates = decoder(torch.randn(len(batch.species), 16, generator=generator), batch.num_atoms)
    targets = decoder.targets(batch)
    assert {n: x.shape for n, x in estimates.items()} == {n: x.shape for n, x in targets.items()}
    assert set(targets) == set(decoder.quantities)


def test_estimated_distances_do_not_depend_on_the_order_of_atoms(generator):
    decoder, latent, order = (
        InvariantDecoder(8),
        torch.randn(4, 8, generator=generator),
        torch.tensor([2, 0, 3, 1]),
    )
    num_atoms = torch.tensor([4])
    pairs, table = all_pairs(num_atoms), torch.zeros(2, 4, 4)
    for k, rows in enumerate((latent, latent[order])):
        found = decoder(rows, num_atoms)
        table[k, pairs.first, pairs.second] = table[k, pairs.second, pairs.first] = found[
            "distances"
        ]
    torch.testing.assert_close(table[1], table[0][order][:, order])
    assert bool((table[0] > 0).all())


def test_cells_are_what_targets_were_made_of(generator):
    batch = prototype_batch()
    rng = GeneratorStream(len(batch.species), generator)
    published = PublishedDecoder(16)
    lattice, frac_coords = published.cells(published.targets(batch), batch.num_atoms, rng)
    assert torch.equal(lattice, batch.lattice)
    torch.testing.assert_close(frac_coords, batch.frac_coords % 1)
    decoder = InvariantDecoder(16)
    wanted = decoder.targets(batch)
    lattice, frac_coords = decoder.cells(wanted, batch.num_atoms, rng)
    found = decoder.targets(CrystalBatch(lattice, frac_coords, batch.species, batch.num_atoms))
    torch.testing.assert_close(found["lengths"], wanted["lengths"])
    torch.testing.assert_close(found["angles"], wanted["angles"], atol=1e-4, rtol=0)
    assert float((found["distances"] - wanted["distances"]).abs().mean()) < 0.1


def test_angles_that_no_cell_has_give_a_flat_one(generator):
    geometry = {
        "lengths": torch.full((1, 3), 4.0),
        "angles": torch.deg2rad(torch.tensor([[10.0, 10.0, 150.0]])),
        "distances": torch.full((3,), 2.0),
    }
    cells = InvariantDecoder(8).cells(geometry, torch.tensor([2]), GeneratorStream(2, generator))
    assert float(torch.linalg.det(cells.lattice).abs()) < 1e-3

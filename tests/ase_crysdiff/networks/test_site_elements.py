"""The masked model of elements: what it sees of a crystal, what it learns, what it draws."""

import itertools
from dataclasses import fields

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.part_crystals import PartCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.networks.site_elements.batch import PartBatch
from ase_crysdiff.networks.site_elements.exchange import ElementExchange, ExchangeSettings
from ase_crysdiff.networks.site_elements.network import HIDDEN, STABLE, UNKNOWN, SiteElements
from ase_crysdiff.networks.site_elements.parts import SHELLS, parts_of
from ase_crysdiff.recipes.site_elements import RECIPE
from ase_crysdiff.symmetry.crystal import SymmetricCrystal
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.testing.recipes import CHECKS
from ase_crysdiff.training.settings import TrainSettings
from ase_crysdiff.training.site_elements import SiteElementsObjective, draw_hidden

LI, OX, FL, NA, CL, K, TI, SR, ZR, BA = 3, 8, 9, 11, 17, 19, 22, 38, 40, 56


def salt(metal="Na", halide="Cl", edge=5.64):
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(edge), [metal, halide], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


def perovskite(a="Sr", b="Ti"):
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]]
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.9), [a, b, "O"], places)


def rutile():
    places = [[0, 0, 0], [0.305, 0.305, 0]]
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], places
    )


@pytest.fixture(scope="module")
def crystals():
    return [find_symmetric(s) for s in (salt(), rutile(), perovskite(), salt("K", "Br", 6.6))]


@pytest.fixture(scope="module")
def network():
    """Untrained, but nothing in it is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        made = SiteElements(hidden=32, layers=2, heads=2, pair=16).eval()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return made


@torch.no_grad()
def logits(network, crystal, elements=None, hull=UNKNOWN):
    parts = parts_of(crystal)
    shown = torch.tensor([parts.elements if elements is None else elements])
    return dict(
        zip(
            parts.elements,
            network(PartBatch.of([parts]), shown, torch.tensor([hull]))[0],
            strict=True,
        )
    )


def test_neighbours_of_rock_salt_are_counted():
    """Six of the other kind one unit away, twelve of its own √2 away, eight of the other √3."""
    shells = parts_of(find_symmetric(salt())).shells

    def counted(*neighbours):
        return [
            sum(n * np.exp(-(((d - c) / 0.12) ** 2) / 2) for n, d in neighbours) for c in SHELLS
        ]

    np.testing.assert_allclose(shells[0, 1], counted((6, 1), (8, 3**0.5)), atol=1e-6)
    np.testing.assert_allclose(shells[0, 0], counted((12, 2**0.5)), atol=1e-6)
    np.testing.assert_allclose(shells[1], shells[0, ::-1], atol=1e-9)


def test_neighbours_are_those_that_pymatgen_finds():
    """In a cell with several sites of a part, weighted by their atoms."""
    places = [[0.276, 0.041, 0.208], [0.07, 0.332, 0.345], [0.45, 0.757, 0.479]]
    structure = Structure.from_spacegroup(
        "P2_1/c", Lattice.monoclinic(5.15, 5.21, 5.32, 99.2), ["Zr", "O", "O"], places
    )
    parts = parts_of(find_symmetric(structure))
    unit = (structure.volume / len(structure)) ** (1 / 3)
    expected = np.zeros_like(parts.shells)
    for site, near in zip(structure, structure.get_all_neighbors(1.86 * unit), strict=True):
        i = parts.elements.index(site.specie.Z)
        for other in near:
            j = parts.elements.index(other.specie.Z)
            share = np.exp(-(((other.nn_distance / unit - np.array(SHELLS)) / 0.12) ** 2) / 2)
            expected[i, j] += share / structure.composition[site.specie]
    np.testing.assert_allclose(parts.shells, expected, atol=1e-4)


def test_letters_scale_and_order_change_nothing(network):
    """The same crystal described otherwise: other letters, another volume, elements that come in
    the other order.
    """
    crystal = find_symmetric(salt())
    reference = logits(network, crystal)
    relabelled = SymmetricCrystal(
        Scaffold.parse("Fm-3m: Na b, Cl a"), crystal.lattice, crystal.free_numbers
    )
    assert str(crystal.scaffold) != str(relabelled.scaffold)
    for other in (relabelled, crystal.scaled(1.7)):
        for z, row in logits(network, other).items():
            torch.testing.assert_close(row, reference[z], atol=1e-4, rtol=1e-4)
    cube = find_symmetric(perovskite("Ti", "Sr"))
    swapped = logits(network, cube, [TI, SR, OX])
    for z, row in logits(network, find_symmetric(perovskite())).items():
        torch.testing.assert_close(row, swapped[{SR: TI, TI: SR, OX: OX}[z]], atol=1e-4, rtol=1e-4)


def test_geometry_counts_and_can_be_unknown(network):
    crystal = find_symmetric(rutile())
    stretched = SymmetricCrystal(
        crystal.scaffold, crystal.lattice * [[1], [1], [1.5]], crystal.free_numbers
    )
    known, unknown = logits(network, crystal)[TI], logits(network, crystal.scaffold)[TI]
    assert not torch.allclose(known, unknown, atol=1e-2)
    assert not torch.allclose(known, logits(network, stretched)[TI], atol=1e-2)
    batch = PartBatch.of([parts_of(crystal)])
    hidden = batch.without_geometry(torch.tensor([True]))
    expected = PartBatch.of([parts_of(crystal.scaffold)])
    for field in fields(PartBatch):
        assert torch.equal(getattr(hidden, field.name), getattr(expected, field.name)), field.name


def test_a_selection_is_the_batch_of_the_selected(crystals):
    parts = [parts_of(c) for c in crystals if len(c.scaffold.counts) == 2]
    chosen = PartBatch.of(parts).select(torch.tensor([2, 1]))
    expected = PartBatch.of([parts[2], parts[1]])
    for field in fields(PartBatch):
        assert torch.equal(getattr(chosen, field.name), getattr(expected, field.name)), field.name


# Training ---------------------------------------------------------------------------------------


def packed(symmetric):
    from ase_crysdiff.crystal.convert import from_structures

    structures = [Structure(c.lattice, c.species.tolist(), c.frac_coords) for c in symmetric]
    hull = torch.full((len(symmetric),), float("nan"))
    return PackedCrystals(
        from_structures(structures), {"e_above_hull": hull}, {}, PackedScaffolds.of(symmetric)
    )


@pytest.fixture(scope="module")
def salts():
    """Alkali fluorides and chlorides, and oxides of the next column."""
    pairs = [*itertools.product(["Li", "Na", "K", "Rb"], ["F", "Cl", "Br"])]
    pairs += [(m, "O") for m in ("Mg", "Ca", "Sr", "Ba")]
    return packed([find_symmetric(salt(m, x)) for m, x in pairs])


def test_loss_is_what_a_loop_over_hidden_parts_gives(network, crystals):
    data = PartCrystals(packed(crystals), 24, 8, 8, torch.device("cpu"))
    for batch in data.everything():
        with torch.no_grad():
            loss, _ = SiteElementsObjective().loss(network, batch, torch.Generator().manual_seed(3))
            hidden = draw_hidden(batch, torch.Generator().manual_seed(3))
            rows = network(batch.parts, batch.elements.masked_fill(hidden, HIDDEN), batch.hull)
        nats = []
        for elements, mask, own in zip(batch.elements.tolist(), hidden.tolist(), rows, strict=True):
            seen = {z for z, is_hidden in zip(elements, mask, strict=True) if not is_hidden}
            free = [z for z in range(1, own.shape[-1]) if z not in seen]
            chances = [own[i, free].softmax(-1) for i in range(len(elements))]
            told = [
                -float(chances[i][free.index(z)].log()) for i, z in enumerate(elements) if mask[i]
            ]
            assert told
            nats.append(np.mean(told))
        assert float(loss) == pytest.approx(np.mean(nats), rel=1e-4)


def test_every_number_of_hidden_parts_is_as_frequent(crystals):
    batch = next(
        iter(PartCrystals(packed(crystals[2:3]), 24, 8, 1, torch.device("cpu")).everything())
    )
    many = batch.select(torch.zeros(3000, dtype=torch.long))
    hidden = draw_hidden(many, torch.Generator().manual_seed(0))
    counted = hidden.sum(1).bincount(minlength=4)[1:].tolist()
    assert counted == pytest.approx([1000] * 3, abs=4 * (3000 * 2 / 9) ** 0.5)
    assert hidden.sum(0).tolist() == pytest.approx([2000] * 3, abs=4 * (3000 * 2 / 9) ** 0.5)


def test_it_learns_which_elements_go_together(salts):
    """A fluoride's or chloride's metal is an alkali one, an oxide's is not."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        network = SiteElements(hidden=32, layers=1, heads=2, pair=8, dropout=0.0)
    data = PartCrystals(salts, 24, 8, 16, torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for step in range(250):
        batch = next(iter(data.epoch(0, step)))
        loss, _ = SiteElementsObjective().loss(network, batch, torch.Generator().manual_seed(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    crystal = find_symmetric(salt())
    chlorides = logits(network.eval(), crystal, [HIDDEN, CL])[NA].softmax(-1)
    oxides = logits(network, crystal, [HIDDEN, OX])[NA].softmax(-1)
    alkali, earths = [3, 11, 19, 37], [12, 20, 38, 56]
    assert chlorides[alkali].sum() > 0.8
    assert oxides[earths].sum() > 0.8


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_recipe_keeps_its_contract(check, salts, monkeypatch):
    check(RECIPE, "site-elements", salts)


def test_recipe_refuses_crystals_of_one_element():
    iron = Structure(Lattice.cubic(2.8), ["Fe"], [[0, 0, 0]])
    data = packed([find_symmetric(iron)])
    config = RECIPE.configure(data)
    with pytest.raises(InputError, match="None of the 1 crystals has two elements"):
        RECIPE.task(RECIPE.build(config), config, data, TrainSettings(), torch.device("cpu"))


# Drawing ----------------------------------------------------------------------------------------


def drawn(network, crystals, settings=None, seed=0, **wishes):
    exchange = ElementExchange(network, settings)
    return exchange.propose(crystals, sources(seed, range(len(crystals))), **wishes)


def sources(seed, numbers):
    return [np.random.default_rng([seed, number]) for number in numbers]


def test_draws_depend_on_their_own_randomness_alone(network, crystals):
    """Same seed, same elements: in one call, one by one, and in another order."""
    exchange, many = ElementExchange(network, ExchangeSettings(2, 0.5, 1.0, 1.0)), crystals * 10
    numbers = list(range(len(many)))
    together = exchange.propose(many, sources(5, numbers))
    alone = [exchange.propose([many[i]], sources(5, [i]))[0] for i in numbers]
    assert together == alone
    backwards = exchange.propose(many[::-1], sources(5, numbers[::-1]))
    assert backwards == together[::-1]
    assert together != exchange.propose(many, sources(6, numbers))


def test_drawn_elements_differ_and_are_allowed(network, crystals):
    many = crystals * 20
    for elements in drawn(network, many, allowed={OX, FL, TI, SR}):
        assert len(set(elements)) == len(elements)
        assert set(elements) <= {OX, FL, TI, SR}


def test_required_and_fixed_elements_are_there(network, crystals):
    cubes = [crystals[2]] * 40
    for elements in drawn(network, cubes, required={BA, FL}):
        assert {BA, FL} <= set(elements)
    order = parts_of(cubes[0]).elements
    kept = drawn(network, cubes, ExchangeSettings(hidden=1.0), fixed={OX}, required={ZR})
    assert all(z[order.index(OX)] == OX and ZR in z for z in kept)
    assert {z[order.index(TI)] for z in kept} > {ZR}
    system = drawn(network, cubes, allowed={BA, FL, ZR}, required={BA, FL, ZR})
    assert {tuple(sorted(z)) for z in system} == {(FL, ZR, BA)}
    assert len(set(system)) > 1


def test_one_part_changes_at_least_and_hidden_ones_only(network, crystals):
    """With probability 0 one part is drawn again: at most one differs."""
    cubes = [crystals[2]] * 60
    before = parts_of(cubes[0]).elements
    changed = [
        sum(a != b for a, b in zip(before, after, strict=True))
        for after in drawn(network, cubes, ExchangeSettings(hidden=0.0))
    ]
    assert set(changed) == {0, 1} or set(changed) == {1}
    all_three = drawn(network, cubes, ExchangeSettings(hidden=1.0))
    assert any(sum(a != b for a, b in zip(before, z, strict=True)) == 3 for z in all_three)


@pytest.mark.parametrize(("temperature", "scale"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.0), (1.0, 2.0)])
def test_frequencies_are_the_probabilities_of_the_model(network, crystals, temperature, scale):
    """One part hidden, the other fixed: 4,000 draws against softmax, within 4 standard errors."""
    count, crystal = 4000, crystals[0]
    allowed = [LI, K, TI, SR, NA]
    settings = ExchangeSettings(temperature=temperature, guidance_scale=scale)
    found = drawn(network, [crystal] * count, settings, allowed=[*allowed, CL], fixed={CL})
    place = parts_of(crystal).elements.index(NA)
    shown = [CL if z == CL else HIDDEN for z in parts_of(crystal).elements]
    stable, free = (
        logits(network, crystal, shown, hull)[NA].log_softmax(-1) for hull in (STABLE, UNKNOWN)
    )
    chances = ((free + scale * (stable - free)) / temperature)[allowed].softmax(-1).numpy()
    shares = [sum(z[place] == element for z in found) / count for element in allowed]
    errors = np.sqrt(chances * (1 - chances) / count)
    assert np.all(np.abs(shares - chances) < 4 * errors + 1e-3)


def test_impossible_wishes_are_refused(network, crystals):
    with pytest.raises(IncompatibleError, match="2 parts whose elements are free"):
        drawn(network, crystals[:1], required={OX, FL, TI})
    with pytest.raises(IncompatibleError, match=r"\[9\] are required, but may not"):
        drawn(network, crystals[:1], allowed={OX, TI}, required={FL})
    with pytest.raises(InputError, match="as many rngs"):
        ElementExchange(network).propose(crystals, sources(0, [1]))
    with pytest.raises(InputError, match="temperature be above 0"):
        ExchangeSettings(temperature=0.0)

"""Filling hosts through the public door, with untrained toys: what is given must come back whatever
the network says.
"""

import json

import numpy as np
import pytest
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.alchemy.materials import TransformedStructure
from pymatgen.core import Composition, Lattice, Structure
from toys import tiny_config, write_weights

from ase_crysdiff import registry
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.sampling.router import Router
from ase_crysdiff.sampling.sampler import Sampler
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.tables import group_number
from ase_crysdiff.testing.pair_potential import PairPotential
from pymatgen_ext import InpaintTransformation, StructureSampler
from pymatgen_ext.masks import masked_sites

HOST = Structure(
    Lattice.from_parameters(5.1, 5.6, 6.2, 80, 95, 110),
    ["Ti", "O", "O", "Sr"],
    [[0.1, 0.2, 0.3], [0.6, 0.6, 0.4], [-0.2, 0.9, 1.8], [0.5, 0.1, 0.7]],
)
SKEWED = Structure(
    np.array([[5.0, 0, 0], [5.2, 5.5, 0], [-10.1, 5.4, 6.0]]),
    ["Na", "Cl", "Cl"],
    [[0.3, 0.1, 0.2], [0.8, 0.1, 0.7], [0.3, 0.6, 0.7]],
)


@pytest.fixture(scope="module", params=["dao-g", "dao-g-flow"])
def csp(request, crystals, tmp_path_factory):
    sampling = {"steps": 6, "solver": "heun" if request.param == "dao-g-flow" else "ancestral"}
    folder = write_weights(
        request.param,
        tiny_config(request.param, crystals),
        tmp_path_factory.mktemp("w") / "csp",
        sampling,
    )
    registry.register(
        registry.SAMPLERS,
        "toy-fill",
        lambda weights, device: load_sampler(request.param, folder, device),
    )
    yield StructureSampler("toy-fill", device="cpu")
    registry.unregister(registry.SAMPLERS, "toy-fill")


def fill(sampler, host=HOST, guests=None, count=3, **constraints):
    constraints = {"seed": 0, "redraws": 30, "progress": False} | constraints
    return sampler.inpaint(
        host, {"Na": 2} if guests is None else guests, num_samples=count, **constraints
    )


def same_host(structure, host):
    np.testing.assert_array_equal(structure.frac_coords[: len(host)], host.frac_coords)
    assert [s.symbol for s in structure.species[: len(host)]] == [s.symbol for s in host.species]
    roles = structure.site_properties["crysdiff_role"]
    assert roles == ["host"] * len(host) + ["guest"] * (len(structure) - len(host))


@pytest.mark.parametrize("host", [HOST, SKEWED], ids=["reduced", "skewed"])
@pytest.mark.parametrize(
    "constraints", [{}, {"repeats": 2, "jump_length": 3}], ids=["plain", "jumps"]
)
def test_host_and_cell_are_kept_exactly(miad, csp, host, constraints):
    for sampler in (miad, csp):
        samples = fill(sampler, host, **constraints)
        assert len(samples) == 3
        for s in samples:
            np.testing.assert_array_equal(s.lattice.matrix, host.lattice.matrix)
            same_host(s, host)
            assert s.composition - host.composition == Composition("Na2")
        assert len({str(s.frac_coords.round(4).tolist()) for s in samples}) == 3


def test_guests_lie_where_the_niggli_cell_has_them(miad):
    """The skewed and the Niggli cell describe one host; the same draw gives the same crystal in
    both.
    """
    niggli = SKEWED.get_reduced_structure("niggli")
    change = np.rint(SKEWED.lattice.matrix @ niggli.lattice.inv_matrix)
    reduced = Structure(niggli.lattice, SKEWED.species, SKEWED.frac_coords @ change)
    a, b = fill(miad, SKEWED, count=1)[0], fill(miad, reduced, count=1)[0]
    np.testing.assert_allclose(
        np.sort(a.distance_matrix.ravel()), np.sort(b.distance_matrix.ravel()), atol=1e-3
    )


@pytest.mark.parametrize("constraints", [{"batch_size": 1}, {"batch_size": 2}])
def test_batch_size_changes_nothing(miad, csp, constraints):
    assert list(fill(miad, count=3, guests={"Na": (0, 4)})) == list(
        fill(miad, count=3, guests={"Na": (0, 4)}, **constraints)
    )
    assert list(fill(csp, count=3)) == list(fill(csp, count=3, **constraints))


def test_ranges_leave_the_number_to_the_model(miad):
    samples = fill(miad, guests={"Na": (0, 5), "Cl": (1, 2)}, count=12)
    for s in samples:
        same_host(s, HOST)
        added = s.composition - HOST.composition
        assert set(added.get_el_amt_dict()) <= {"Na", "Cl"}
        assert added["Na"] <= 5
        assert 1 <= added["Cl"] <= 2
    assert len({len(s) for s in samples}) > 1


@pytest.mark.parametrize(
    ("mask", "gone"),
    [
        ("O", [1, 2]),
        (["Ti", "Sr"], [0, 3]),
        ([0, 2], [0, 2]),
        ([True, False, False, False], [0]),
        ({"centre": (0.1, 0.2, 0.32), "radius": 0.5}, [0]),
        ({"centre": (1.1, 0.2, -0.68), "radius": 0.5}, [0]),
    ],
)
def test_masks_take_sites_out(miad, mask, gone):
    assert masked_sites(HOST, mask) == gone
    left = HOST.copy()
    left.remove_sites(gone)
    same_host(fill(miad, mask=mask, count=1)[0], left)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([], "selects no site"),
        ([False] * 4, "selects no site"),
        ([True] * 4, "selects every site"),
        ("Ti-O-Sr", "selects every site"),
        ([True, False], "2 truth values for 4 sites"),
        ([4], "sites 0 to 3"),
        ([-1], "sites 0 to 3"),
        ("Xx", "no chemical element"),
        ("Fe", "does not have"),
        ({"centre": (0, 0)}, "A sphere is"),
        ({"centre": (0, 0, 0), "radius": -1}, "A sphere is"),
        ({"centre": (0.3, 0.9, 0.05), "radius": 0.01}, "selects no site"),
    ],
)
def test_masks_that_make_no_sense_are_refused(mask, message):
    with pytest.raises(InputError, match=message):
        masked_sites(HOST, mask)


def test_cell_may_relax(miad):
    samples = fill(miad, SKEWED, relax_cell=True)
    for s in samples:
        same_host(s, SKEWED)
        ratio = s.volume / SKEWED.volume
        assert ratio != pytest.approx(1, abs=1e-4)
        assert 0.1 < ratio < 10


def test_relaxed_cell_keeps_setting_and_orientation():
    from ase_crysdiff.crystal.convert import from_structures
    from pymatgen_ext.cells import CellMap, HostCell

    way = HostCell(CellMap.of(SKEWED.lattice), SKEWED, True)
    inside = Structure(way.cell.niggli, SKEWED.species, SKEWED.frac_coords @ way.cell.matrix)
    turned = from_structures(
        [
            Structure(
                Lattice.from_parameters(*inside.lattice.parameters),
                inside.species,
                inside.frac_coords,
            )
        ]
    )
    back = way.structure(turned, {})
    np.testing.assert_allclose(back.lattice.matrix, SKEWED.lattice.matrix, atol=1e-4)


def test_charge_balance_narrows_filters_and_reports(miad):
    host = Structure(Lattice.cubic(6.0), ["O", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    samples = fill(miad, host, {"Na": (0, 4)}, charge_balance=True)
    assert {s.composition.reduced_formula for s in samples} <= {
        "Na2O",
        "Na2O2",
        "NaO2",
        "O2",
        "NaO",
    }
    assert all(s.composition.oxi_state_guesses() for s in samples)
    assert any("oxidation states that pymatgen guesses" in note for note in samples.report.notes)
    assert "oxidation states" in str(samples.report)
    with pytest.raises(InputError, match="balances the charge"):
        fill(miad, host, {"Na": (5, 7)}, charge_balance=True)


def test_sets_are_ranked_freed_of_duplicates_and_symmetrised(miad):
    plain = fill(miad, count=4)
    ranked = fill(miad, count=4, potential=PairPotential(), distinct=True)
    energies = [s.properties["crysdiff_energy_per_atom"] for s in ranked]
    assert energies == sorted(energies)
    assert {s.properties["crysdiff_index"] for s in ranked} <= {
        s.properties["crysdiff_index"] for s in plain
    }
    assert ranked.report.selection["potential"] == "pair-potential"
    for s in ranked:
        same_host(s, HOST)
    relaxed = fill(miad, count=2, potential=PairPotential(), relax=True)
    assert relaxed.report.selection["relaxed"] == "symmetric, then released"
    for s in relaxed:
        assert s.lattice == HOST.lattice
        assert s.site_properties["crysdiff_role"].count("host") == len(HOST)
    moved = fill(
        miad, Structure(Lattice.cubic(4.2), ["Cl"], [[0, 0, 0]]), {"Na": 1}, count=2, symprec=0.1
    )
    assert moved.report.selection["symprec"] == 0.1
    for s in moved:
        np.testing.assert_array_equal(s.lattice.matrix, 4.2 * np.eye(3))
        assert s.site_properties["crysdiff_role"] == ["host", "guest"]
    with pytest.raises(InputError, match="symprec"):
        fill(miad, symprec=-1.0)


def test_roles_survive_in_cif_files(miad, tmp_path):
    from pymatgen.io.cif import CifFile

    (sample,) = fill(miad, count=1)
    fill(miad, count=1).write(tmp_path / "filled")
    (file,) = (tmp_path / "filled").glob("*.cif")
    (block,) = CifFile.from_file(file).data.values()
    (name,) = [key for key in block.data if "crysdiff_role" in key]
    assert block[name] == sample.site_properties["crysdiff_role"]
    assert len(Structure.from_file(file)) == len(sample)


def test_report_and_origin(miad):
    samples = fill(miad, repeats=3, jump_length=2)
    plan = samples.report.evaluations
    assert plan == 2 * (
        10 + 4 * 2 * 2
    )  # toy: 10 steps, a corrector, jumps from levels 1, 3, 5 and 7
    assert samples[0].properties["crysdiff_sampler"] == "miad"
    assert samples[0].properties["crysdiff_weights"] == miad.version


@pytest.mark.parametrize(
    ("host", "guests", "constraints", "message"),
    [
        (HOST, {}, {}, "must be a mapping"),
        (HOST, "Na2", {}, "must be a mapping"),
        (HOST, {"Na": -1}, {}, "got -1"),
        (HOST, {"Na": 0}, {}, "from 1 to"),
        (HOST, {"Na": 1.5}, {}, "whole number"),
        (HOST, {"Na": True}, {}, "whole number"),
        (HOST, {"Na": (3, 1)}, {}, "a range that rises"),
        (HOST, {"Na": (1, 2, 3)}, {}, "one number or"),
        (HOST, {"Na": 10**9}, {}, "from 1 to"),
        (HOST, {"Qq": 1}, {}, "no chemical element"),
        (HOST, {"Na": 1}, {"jump_length": 0}, "jump_length"),
        (HOST, {"Na": 1}, {"repeats": 0}, "repeats"),
        (HOST, {"Na": 1}, {"steps": 0}, "steps"),
        (HOST, {"Na": 1}, {"count": 0}, "num_samples"),
        ("host.cif", {"Na": 1}, {}, "pymatgen Structure or ASE Atoms, got str"),
        (Structure(Lattice.cubic(4), [], []), {"Na": 1}, {}, "no atoms"),
        (Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]]), {"Na": 1}, {}, "from_disordered"),
        (
            Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0.05]]),
            {"Na": 1},
            {},
            "0.20 Å apart",
        ),
        (
            Structure(Lattice.cubic(2.0), ["Sr"], [[0, 0, 0]]),
            {"Sr": 1},
            {},
            "no room for Sr.*Sr .site 0.*2.34 Å",
        ),
        (Structure(Lattice.cubic(3.0), ["Na"], [[0, 0, 0]]), {"Cl": 12}, {}, "Å³ per atom"),
    ],
)
def test_nonsense_is_refused(miad, host, guests, constraints, message):
    with pytest.raises(InputError, match=message):
        fill(miad, host, guests, **constraints)


def test_limits_are_named(miad, csp):
    with pytest.raises(
        IncompatibleError,
        match="at most 6 atoms, here are 4 of the host and up to 30 guests|at most 20 atoms",
    ):
        fill(miad, guests={"Na": (0, 30)})
    with pytest.raises(IncompatibleError, match="known numbers of guests only"):
        fill(csp, guests={"Na": (0, 2)})
    with pytest.raises(IncompatibleError, match="not seen these elements in training: U"):
        fill(miad, guests={"U": 1})


def test_sampler_that_cannot_inpaint_is_refused():
    class Plain(Sampler):
        def sample(self, request, streams):
            raise AssertionError

    registry.register(registry.SAMPLERS, "plain", lambda weights, device: Plain())
    try:
        with pytest.raises(
            IncompatibleError,
            match=r"'plain' cannot fill this host\. Installed samplers that can: chggen, dao-g",
        ):
            fill(StructureSampler("plain", device="cpu"))
    finally:
        registry.unregister(registry.SAMPLERS, "plain")


# chggen


def test_chggen_takes_the_first_model_that_can(toy_miad, toy_csp):
    places = {"dao-g": toy_csp, "dao-g-flow": toy_csp.parent / "none", "miad": toy_miad}
    filler = Router(
        "toy-chggen",
        {Inpaint: ("dao-g", "dao-g-flow", "miad")},
        lambda name: load_sampler(name, places[name]),
        "use inpaint",
    )
    registry.register(registry.SAMPLERS, "toy-chggen", lambda weights, device: filler)
    try:
        sampler = StructureSampler("toy-chggen", device="cpu")
        known, free = fill(sampler), fill(sampler, guests={"Na": (0, 2)})
        assert known.report.weights == load_sampler("dao-g", toy_csp).card.version
        assert (
            free.report.weights
            == load_sampler("miad", toy_miad).card.version
            == free[0].properties["crysdiff_weights"]
        )
        with pytest.raises(
            IncompatibleError,
            match=r"'dao-g' cannot fill.*'dao-g-flow' has no weights.*'miad' cannot fill",
        ):
            fill(sampler, guests={"Na": 900})
        with pytest.raises(IncompatibleError, match=r"use inpaint"):
            sampler.sample(1, chemical_system="Na-Cl")
    finally:
        registry.unregister(registry.SAMPLERS, "toy-chggen")


def test_chggen_with_given_weights(toy_miad):
    sampler = StructureSampler("chggen", weights=str(toy_miad), device="cpu")
    plain = fill(StructureSampler("miad", weights=str(toy_miad), device="cpu"))
    for a, b in zip(fill(sampler), plain, strict=True):
        np.testing.assert_array_equal(a.frac_coords, b.frac_coords)


# the transformation


def test_transformation_is_one_to_many_and_serialisable(toy_miad):
    change = InpaintTransformation(
        {"Na": (0, 3)},
        "miad",
        num_samples=3,
        seed=0,
        weights=str(toy_miad),
        device="cpu",
        mask="Sr",
    )
    assert change.is_one_to_many
    assert change.inverse is None
    ranked = change.apply_transformation(HOST, return_ranked_list=True)
    assert [r["index"] for r in ranked] == [0, 1, 2]
    assert len(change.apply_transformation(HOST, return_ranked_list=2)) == 2
    again = json.loads(json.dumps(change, cls=MontyEncoder), cls=MontyDecoder)
    assert (
        again.apply_transformation(HOST)
        == ranked[0]["structure"]
        == change.apply_transformation(HOST)
    )
    change.potential = "dao-p"
    best = change.apply_transformation(HOST, return_ranked_list=2)
    energies = [entry["energy_per_atom"] for entry in best]
    assert len(best) == 2
    assert energies == sorted(energies)
    change.potential = None
    start = TransformedStructure(HOST)
    others = start.append_transformation(change, return_alternatives=2)
    assert len(others) == 1
    assert start.final_structure == ranked[0]["structure"]
    assert start.history[-1]["@class"] == "InpaintTransformation"


def test_guests_keep_the_symmetry_of_the_host(miad):
    """The host is untouched, and the crystal has the group that its property names."""
    cube = Structure(Lattice.cubic(3.9), ["Ti"], [[0.1, 0.2, 0.3]])
    found = miad.inpaint(
        cube, {"O": 3}, num_samples=5, keep_symmetry=True, seed=0, redraws=60, progress=False
    )
    assert len(found) == 5
    for s in found:
        np.testing.assert_allclose(s.frac_coords[0], [0.1, 0.2, 0.3])
        number = find_symmetric(s, 1e-3).scaffold.group
        assert number >= group_number(s.properties["crysdiff_space_group"])
    assert found[0].properties["crysdiff_space_group"] == "Pm-3m"
    again = miad.inpaint(
        cube,
        {"O": 3},
        num_samples=5,
        keep_symmetry=True,
        seed=0,
        redraws=60,
        progress=False,
        batch_size=2,
    )
    assert list(again) == list(found)


def test_numbers_of_symmetric_guests_may_be_open(miad):
    cube = Structure(Lattice.cubic(3.9), ["Ti"], [[0, 0, 0]])
    found = miad.inpaint(
        cube, {"O": (1, 3)}, num_samples=6, keep_symmetry=True, seed=0, redraws=60, progress=False
    )
    assert {round(s.composition["O"]) for s in found} <= {1, 2, 3}
    for s in found:
        assert find_symmetric(s, 1e-3).scaffold.group > 2


def test_symmetric_guests_without_room_are_refused(miad):
    tight = Structure(Lattice.cubic(2.7), ["Ti"], [[0, 0, 0]])
    with pytest.raises(InputError, match="Neither Pm-3m, .* so many Na"):
        miad.inpaint(tight, {"Na": 1}, keep_symmetry=True, seed=0, progress=False)

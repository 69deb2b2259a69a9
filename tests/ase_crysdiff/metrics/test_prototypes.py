"""Prototypes of crystals, and which of them are new."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.prototypes import (
    PrototypeLibrary,
    canonical_prototype,
    prototype_novelty,
)
from ase_crysdiff.symmetry.finding import find_symmetric
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.testing.crystals import prototypes

PROTOTYPES = prototypes()
SALTS = PrototypeLibrary.of("salts", [Prototype(225, ("b", "a"))])


def exchanged(name, **elements):
    return PROTOTYPES[name].copy().replace_species(elements)


def test_exchange_of_elements_makes_no_new_prototype():
    structures = [exchanged("NaCl", Na="Ag", Cl="Br"), PROTOTYPES["NaCl"] * (2, 1, 1)]
    assert prototype_novelty(structures, SALTS).value == 0
    assert canonical_prototype(structures[0]) == "Fm-3m a|b"


def test_what_is_new_and_what_has_merely_lost_its_symmetry():
    broken = Structure(
        PROTOTYPES["MoS2"].lattice,
        PROTOTYPES["MoS2"].species,
        PROTOTYPES["MoS2"].frac_coords + 0.1 * np.random.default_rng(0).random((6, 3)),
    )
    result = prototype_novelty([PROTOTYPES["SrTiO3"], broken, PROTOTYPES["NaCl"], None], SALTS)
    assert result.per_structure == (True, True, False, False)
    assert result.value == 0.5
    assert result.settings["beyond_p_1"] == 0.25
    assert (result.settings["distinct"], result.settings["distinct_new"]) == (3, 2)
    assert result.failures == {3: "no structure"}
    assert result.settings["library"] == "salts"


def test_a_library_knows_every_description_of_a_prototype():
    assert Prototype(225, ("a", "b")) in SALTS
    assert Prototype(221, ("a", "b")) not in SALTS
    assert (
        len(PrototypeLibrary.of("two", [Prototype(136, ("a", "f")), Prototype(136, ("b", "g"))]))
        == 1
    )


def test_packed_scaffolds_are_not_looked_for_again():
    structures = [PROTOTYPES["NaCl"], PROTOTYPES["SrTiO3"]]
    batch = from_structures(structures)
    found = PrototypeLibrary.of_crystals("found", PackedCrystals(batch))
    others = PackedScaffolds.of([find_symmetric(PROTOTYPES["MoS2"])] * 2)
    packed = PrototypeLibrary.of_crystals("packed", PackedCrystals(batch, scaffolds=others))
    assert found.prototypes == {"Fm-3m a|b", canonical_prototype(PROTOTYPES["SrTiO3"])}
    assert packed.prototypes == {canonical_prototype(PROTOTYPES["MoS2"])}
    assert found.digest != packed.digest


def test_a_crystal_without_symmetry_adds_nothing_to_a_library():
    flat = Structure(Lattice.from_parameters(3, 3, 3, 90, 90, 90), ["H", "H"], [[0, 0, 0]] * 2)
    crystals = PackedCrystals(from_structures([PROTOTYPES["NaCl"], flat]))
    assert PrototypeLibrary.of_crystals("one", crystals).prototypes == {"Fm-3m a|b"}


def test_nothing_to_score_is_refused():
    with pytest.raises(InputError, match="no structures"):
        prototype_novelty([], SALTS)

"""What is no structure and no name is refused by type; objects say what they are."""

import pytest

from ase_crysdiff.errors import InputError
from pymatgen_ext import StructurePredictor, StructureSampler, from_disordered


def test_what_is_no_structure_is_named():
    for nothing, kind in ((None, "NoneType"), ("salt.cif", "str"), (3, "int")):
        with pytest.raises(InputError, match=f"got {kind}"):
            StructurePredictor("band-gap", device="cpu").predict(nothing)
        with pytest.raises(InputError, match=f"got {kind}"):
            from_disordered(nothing)


def test_what_is_no_name_is_named():
    for kind in (StructureSampler, StructurePredictor):
        with pytest.raises(InputError, match="got NoneType"):
            kind(None)


def test_objects_are_shown_by_name_and_weights(toy_miad):
    sampler = StructureSampler("miad", str(toy_miad), "cpu")
    shown = f"StructureSampler('miad', weights={str(toy_miad)!r}, device='cpu')"
    assert repr(sampler) == shown
    shown = "StructurePredictor('band-gap', weights=None, device='auto')"
    assert repr(StructurePredictor("band-gap")) == shown

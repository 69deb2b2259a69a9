"""That the tests check annotations at all: of plain values, of arrays, of fields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from lean_checks import jaxtyped
from torch import Tensor

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.symmetry.tables import space_group

if TYPE_CHECKING:
    from fractions import Fraction

checked = jaxtyped(typechecker=beartype)


@pytest.mark.parametrize("number", ["3", 3.0, None, np.float64(3)])
def test_functions_of_the_package_take_what_they_name(number):
    with pytest.raises(TypeCheckError, match="number"):
        space_group(number)
    assert space_group(3).number == 3


def test_arrays_of_the_package_have_the_named_shapes():
    fields = torch.eye(3)[None], torch.zeros(2, 3), torch.ones(2).long(), torch.tensor([2])
    assert CrystalBatch(*fields).num_atoms.tolist() == [2]
    for place, wrong in ((0, torch.eye(3)), (1, torch.zeros(3, 3)), (2, torch.ones(2)), (3, [2])):
        with pytest.raises(TypeCheckError):
            CrystalBatch(*fields[:place], wrong, *fields[place + 1 :])


def test_a_shape_is_one_within_a_call():
    @checked
    def added(a: Float[Tensor, " n"], *, b: "Float[Tensor, ' n'] | None" = None) -> Tensor:
        return a if b is None else a + b

    assert added(torch.ones(2), b=torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(TypeCheckError):
        added(torch.ones(2), b=torch.ones(1))


def test_what_is_returned_is_checked():
    @checked
    def half(number: int) -> int:
        return number / 2

    @checked
    def doubled(a: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return torch.cat([a, a])

    with pytest.raises(TypeCheckError, match="return"):
        half(3)
    with pytest.raises(TypeCheckError, match="return"):
        doubled(torch.ones(2))


def test_each_call_has_its_own_sizes():
    @checked
    def halved(a: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        return halved(a[: len(a) // 2]) if len(a) > 2 else a

    @checked
    def parts(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Iterator[int]:
        yield from (len(a), len(b))

    assert halved(torch.ones(8)).tolist() == [1, 1]
    assert list(parts(torch.ones(2), torch.ones(2))) == [2, 2]
    with pytest.raises(TypeCheckError):
        list(parts(torch.ones(2), torch.ones(3)))


def test_fields_of_a_dataclass_are_checked_and_those_it_inherits():
    @checked
    @dataclass
    class Parent:
        width: float

    @checked
    @dataclass
    class Child(Parent):
        height: float = 1.0

    @checked
    class Grandchild(Child):
        pass

    for kind in (Parent, Child, Grandchild):
        assert kind(2.0).width == 2
        with pytest.raises(TypeCheckError, match="width"):
            kind(2)
    with pytest.raises(TypeCheckError, match="height"):
        Grandchild(2.0, 1)


def test_names_that_are_not_imported_when_it_runs_pass():
    @checked
    def same(number: "Fraction", times: int = 1) -> "Fraction":
        return number * times

    assert same(3) == 3
    assert same.__annotations__["number"] == "Fraction"
    with pytest.raises(TypeCheckError, match="times"):
        same(3, 2.0)

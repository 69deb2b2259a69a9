import numpy as np
import pytest
import torch
from ase.data import covalent_radii as ase_radii
from pymatgen.core import Element

from ase_crysdiff.networks.element_properties import (
    covalent_radii,
    descriptors,
    electronegativities,
    place,
)
from ase_crysdiff.networks.radial import bessel, envelope, gaussian_basis, quadrupole


def test_envelope_has_its_golden_values():
    x = torch.tensor([0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.7], dtype=torch.float64)
    expected = [1, 0.98712158, 0.7734375, 0.24359131, 0.0256915, 0, 0]
    np.testing.assert_allclose(envelope(x).numpy(), expected, atol=5e-8)
    assert envelope(torch.tensor([1.0])).item() == 0


def test_envelope_ends_with_two_vanishing_derivatives():
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(envelope(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert first.item() == second.item() == 0


def test_envelope_has_its_own_derivatives():
    """Written out in closed form, for forces and for training on them."""
    x = torch.linspace(0.05, 1.3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(envelope, x)
    assert torch.autograd.gradgradcheck(envelope, x)


def test_bessel_waves_are_sines():
    x = torch.tensor([0.3, 1.0], dtype=torch.float64)
    expected = [[np.sin(n * np.pi * v) / (2 * v) for n in (1, 2, 3)] for v in x.tolist()]
    np.testing.assert_allclose(bessel(x, 3).T.numpy(), expected, atol=1e-14)


def test_gaussian_basis_peak_at_their_centres():
    assert gaussian_basis(torch.tensor([1.0, 1.3, 0.7]), 3).diagonal().tolist() == pytest.approx(
        [1, 1, 1]
    )
    assert gaussian_basis(torch.tensor([1.2]), 1).item() == pytest.approx(np.exp(-0.5))


def test_quadrupole_is_the_traceless_square(generator):
    """Its scalar product is that of the traceless tensors: (3 (a·b)² - a² b²) / 2."""
    a, b = torch.randn(2, 5, 3, 1, generator=generator, dtype=torch.float64)
    dot, squares = (a * b).sum((1, 2)), a.square().sum((1, 2)) * b.square().sum((1, 2))
    product = (quadrupole(a) * quadrupole(b)).sum((1, 2))
    torch.testing.assert_close(product, (3 * dot**2 - squares) / 2)


def test_tables_are_those_of_ase_and_pymatgen():
    known = slice(1, 96)  # of the others different versions of ASE say different things
    np.testing.assert_allclose(covalent_radii().numpy()[known], ase_radii[known])
    values = electronegativities()
    for z in (1, 3, 8, 9, 26, 57, 79, 92):
        assert float(values[z]) == pytest.approx(Element.from_Z(z).X)


def test_places_are_those_of_the_periodic_table():
    for z in range(1, 119):
        element = Element.from_Z(z)
        period, group = place(z)
        assert period == element.row, z
        if element.is_lanthanoid or element.is_actinoid:
            assert 19 <= group <= 33 or (z in (71, 103) and group == 33), z
        else:
            assert group == element.group, z


def test_no_two_elements_are_described_alike():
    table = descriptors()
    assert table[0].abs().sum() == 0
    assert len(torch.unique(table[1:], dim=0)) == len(table) - 1
    gaps = torch.cdist(table[1:], table[1:]) + 10 * torch.eye(len(table) - 1)
    assert float(gaps.min()) > 0.5

"""What every potential must satisfy; authors of new ones run the same checks.

Each check takes a potential and raises AssertionError with the numbers that disagree:

    for name, check in CHECKS.items():
        check(load_potential("my-potential"))

Derivatives are compared with finite differences of the energy, with steps and tolerances for the
number format that the potential computes in. A crystal whose elements it does not know is replaced
by one that it knows; it must know sodium and chlorine, or copper, or aluminium.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields

import numpy as np
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.base import Configurations, Evaluation, Potential
from ase_crysdiff.shapes import Float, Tensor
from ase_crysdiff.testing.crystals import prototypes

#: Step of finite differences in Å (and of strains), and what an energy per atom may differ by, eV.
_STEP = {torch.float32: 1e-2, torch.float64: 1e-4}
_ENERGY = {torch.float32: 2e-5, torch.float64: 1e-8}
#: What derivatives may differ by, over the largest of them and at least 0.1 eV/Å (eV/Å³ for stress
#: times volume per atom).
_DERIVATIVE = {torch.float32: 3e-2, torch.float64: 1e-4}


def shapes(potential: Potential) -> None:
    """Energies of atoms add up to those of systems; forces and stresses have their shapes, stress
    is symmetric, and nothing carries a gradient.
    """
    given = _systems(potential)
    found = potential.evaluate(given)
    atoms, systems = len(given.species), len(given)
    expected = {
        "energies": (atoms,),
        "energy": (systems,),
        "forces": (atoms, 3),
        "stress": (systems, 3, 3),
    }
    for name, shape in expected.items():
        value = getattr(found, name)
        assert tuple(value.shape) == shape, f"{name} has shape {tuple(value.shape)}, not {shape}"
        assert not value.requires_grad, f"{name} is not detached"
        assert bool(torch.isfinite(value).all()), f"{name} is not finite: {found.failures}"
    total = torch.zeros(systems, dtype=torch.float64).index_add(
        0, given.index, found.energies.double().cpu()
    )
    _close(potential, total, found.energy, _per_atom(potential, given), "sums of atomic energies")
    _close(potential, found.stress.mT, found.stress, 1e-6, "stress and its transpose")


def forces(potential: Potential) -> None:
    """Forces are minus the gradient of the energy, by finite differences in random directions."""
    step = _STEP[potential.dtype]
    for atoms in _structures(potential):
        given = _as([atoms])
        direction = _directions((4, len(atoms), 3))
        moved = [
            _moved(atoms, atoms.cart_coords + sign * step * d.numpy())
            for d in direction
            for sign in (1, -1)
        ]
        up, down = potential.evaluate(_as(moved)).energy.double().view(-1, 2).unbind(1)
        numeric = -(up - down).cpu() / (2 * step)
        analytic = potential.evaluate(given).forces.double().cpu()
        projected = (analytic * direction).sum((1, 2))
        limit = _DERIVATIVE[potential.dtype] * max(0.1, float(projected.abs().max()))
        _close(potential, projected, numeric, limit, f"forces of {atoms.formula} along a direction")


def stress(potential: Potential) -> None:
    """Stress is the gradient of the energy by strain over the volume, by finite differences: a
    crystal that gains energy when it is stretched has a positive one.
    """
    step = _STEP[potential.dtype] / 4
    for atoms in _structures(potential):
        analytic = potential.evaluate(_as([atoms])).stress[0].double().cpu()
        strains = torch.zeros(6, 3, 3, dtype=torch.float64)
        places = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
        for k, (i, j) in enumerate(places):
            strains[k, i, j] += step / 2
            strains[k, j, i] += step / 2
        moved = [_strained(atoms, sign * strain.numpy()) for strain in strains for sign in (1, -1)]
        up, down = potential.evaluate(_as(moved)).energy.double().view(-1, 2).unbind(1)
        per_atom = atoms.volume / len(atoms)
        numeric = (up - down).cpu() / (2 * step) / len(atoms)
        found = torch.stack([analytic[i, j] for i, j in places]) * per_atom
        limit = _DERIVATIVE[potential.dtype] * max(0.1, float(found.abs().max()))
        _close(potential, found, numeric, limit, f"stress of {atoms.formula} x volume per atom")


def extensivity(potential: Potential) -> None:
    """A supercell has as many times the energy, and the same forces and stress."""
    for atoms in _structures(potential):
        large = atoms.make_supercell([2, 1, 1], in_place=False)
        one, two = (potential.evaluate(_as([s])) for s in (atoms, large))
        limit = _per_atom(potential, _as([large]))
        _close(potential, 2 * one.energy, two.energy, limit, "energies of a cell and of two")
        copies = _nearest_rows(large, atoms)
        loose = _rounding(potential, one.forces)
        _close(potential, one.forces[copies], two.forces, loose, "forces in a supercell")
        _close(potential, one.stress, two.stress, loose, "stress of a supercell")


def rotation(potential: Potential) -> None:
    """A rotated crystal has the same energy; forces and stress rotate with it."""
    matrix, _ = torch.linalg.qr(_directions((3, 3)))
    for atoms in _structures(potential):
        turned = Structure(
            Lattice(atoms.lattice.matrix @ matrix.numpy()), atoms.species, atoms.frac_coords
        )
        one, two = (potential.evaluate(_as([s])) for s in (atoms, turned))
        limit = _per_atom(potential, _as([atoms]))
        turn = matrix.to(one.forces)
        loose = _rounding(potential, one.forces)
        _close(potential, one.energy, two.energy, limit, "energies before and after a rotation")
        _close(potential, one.forces @ turn, two.forces, loose, "rotated forces")
        _close(potential, turn.T @ one.stress @ turn, two.stress, loose, "rotated stress")


def permutation(potential: Potential) -> None:
    """Atoms in another order have the same forces in that order; the energy is the same."""
    for atoms in _structures(potential):
        order = torch.arange(len(atoms)).roll(1)
        mixed = Structure.from_sites([atoms[int(i)] for i in order])
        one, two = (potential.evaluate(_as([s])) for s in (atoms, mixed))
        limit = _per_atom(potential, _as([atoms]))
        _close(potential, one.energy, two.energy, limit, "energies of atoms in another order")
        loose = _rounding(potential, one.forces)
        _close(potential, one.forces[order], two.forces, loose, "forces of atoms in another order")


def batch_independence(potential: Potential) -> None:
    """A batch gives what its systems give one by one, whatever their order."""
    given = _systems(potential)
    together = potential.evaluate(given)
    alone = [potential.evaluate(given.select([k])) for k in range(len(given))]
    limit = _per_atom(potential, given)
    _close(potential, torch.cat([e.energy for e in alone]), together.energy, limit, "energies")
    loose = _rounding(potential, together.forces)
    _close(potential, torch.cat([e.forces for e in alone]), together.forces, loose, "forces")
    _close(potential, torch.cat([e.stress for e in alone]), together.stress, loose, "stress")
    reverse = list(range(len(given)))[::-1]
    _close(
        potential,
        together.energy.flip(0),
        potential.evaluate(given.select(reverse)).energy,
        limit,
        "energies in another order of systems",
    )


def unchanged_input(potential: Potential) -> None:
    """What was given is as it was, and asks for no gradient."""
    given = _systems(potential)
    values = {f.name: getattr(given, f.name) for f in fields(given)}
    before = {name: v.clone() for name, v in values.items() if isinstance(v, torch.Tensor)}
    potential.evaluate(given)
    potential.evaluate_energies(given)
    for name, value in before.items():
        after = getattr(given, name)
        assert torch.equal(after, value), f"{name} of the input was changed"
        assert not after.requires_grad, f"{name} of the input was made to ask for a gradient"


def energies_alone(potential: Potential) -> None:
    """`evaluate_energies` gives the energies of `evaluate`."""
    given = _systems(potential)
    one, two = potential.evaluate(given).energy, potential.evaluate_energies(given).energy
    _close(potential, one, two, _per_atom(potential, given), "energies without derivatives")


def no_answer_where_there_is_none(potential: Potential) -> None:
    """Positions and cells that are not finite and elements that are not known are refused: by
    InputError, or with NaN and a reason in `failures`. Atoms in one place are refused, too, or
    answered with finite numbers.
    """
    atoms = _structures(potential)[0]
    good = _as([atoms])
    lost, stretched = good.positions.clone(), good.cells.clone()
    lost[0, 0], stretched[0, 0, 0] = torch.nan, torch.inf
    together = good.positions.clone()
    together[1:] = together[:1]
    unknown = min(set(range(1, 119)) - set(potential.elements), default=0)
    on_top = _answer(
        potential,
        Configurations(together, good.cells, good.periodic, good.species, good.num_atoms),
    )
    if on_top is not None and not _says_so(on_top):
        finite = torch.isfinite(on_top.energy).all() & torch.isfinite(on_top.forces).all()
        assert bool(finite), "atoms in one place were answered with numbers that are not finite"
    bad = {
        "a position that is not finite": (lost, good.cells, good.species),
        "a cell that is not finite": (good.positions, stretched, good.species),
        f"element {unknown}": (good.positions, good.cells, torch.full_like(good.species, unknown)),
    }
    for what, (positions, cells, species) in bad.items():
        given = Configurations(positions, cells, good.periodic, species, good.num_atoms)
        found = _answer(potential, given)
        assert found is None or _says_so(found), (
            f"{what} was answered with {found.energy.tolist()} eV instead of being refused"
        )


def lone_atom(potential: Potential) -> None:
    """An atom far from its own images is refused, or has an energy that does not change when it is
    even farther, and no forces.
    """
    atoms = _structures(potential)[0]
    alone = [Structure(Lattice.cubic(a), [atoms[0].specie], [[0.1, 0.2, 0.3]]) for a in (30, 40)]
    found = _answer(potential, _as(alone))
    if found is None or _says_so(found):
        return
    limit = _ENERGY[potential.dtype]
    one, other = found.energy.tolist()
    assert abs(one - other) <= limit, f"a lone atom has {one} eV or {other} eV"
    largest = float(found.forces.abs().max())
    assert largest <= limit, f"a lone atom has a force of {largest:.2g} eV/Å"


#: All of them by name.
def uncertainty(potential: Potential) -> None:
    """A potential that says how far it is to be believed says so for every system, in positive
    numbers that supercells share; one that does not says NaN.
    """
    systems = _structures(potential)
    given = _as(systems)
    said = potential.uncertainty(given)
    shapes = (len(given.species),), (len(given),)
    found = tuple(said.atoms.shape), tuple(said.systems.shape)
    assert found == shapes, f"uncertainties have shapes {found}, not {shapes}"
    if math.isnan(potential.uncertainty_limit):
        assert bool(said.systems.isnan().all()), "uncertainties without a limit"
        return
    for values in (said.atoms, said.systems):
        assert bool((values > 0).all()), f"uncertainties are not above 0: {values.tolist()}"
        assert not values.requires_grad, "uncertainties are not detached"
    large = [atoms.make_supercell([2, 1, 1], in_place=False) for atoms in systems]
    ratio = potential.uncertainty(_as(large)).systems / said.systems
    _close(potential, ratio, torch.ones_like(ratio), 1e-3, "uncertainties of a cell and of two")


CHECKS: Mapping[str, Callable[[Potential], None]] = {
    check.__name__: check
    for check in (
        shapes,
        forces,
        stress,
        extensivity,
        rotation,
        permutation,
        batch_independence,
        unchanged_input,
        energies_alone,
        no_answer_where_there_is_none,
        lone_atom,
        uncertainty,
    )
}


def _structures(potential: Potential) -> list[Structure]:
    """Distorted crystals of elements that the potential knows."""
    salt, copper = prototypes()["NaCl"], prototypes()["Cu"]
    aluminium = Structure(Lattice.cubic(4.05), ["Al"] * 4, _FACE_CENTRED)
    candidates = [salt, prototypes()["SrTiO3"], copper * (2, 1, 1), aluminium]
    known = [s for s in candidates if {site.specie.Z for site in s} <= set(potential.elements)]
    assert known, f"{potential.name} knows none of {[s.formula for s in candidates]}"
    found = []
    for structure in known[:2]:
        shifts = 0.05 * _directions((len(structure), 3)).numpy()
        strained = _strained(
            structure, 0.02 * np.array([[1, 0.5, 0], [0.5, -0.5, 0.3], [0, 0.3, 0]])
        )
        found.append(_moved(strained, strained.cart_coords + shifts))
    return found


_FACE_CENTRED = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def _systems(potential: Potential) -> Configurations:
    """Three crystals of several sizes."""
    first, *others = _structures(potential)
    return _as([first, *others[:1], first * (1, 2, 1)])


def _as(structures: list[Structure]) -> Configurations:
    return Configurations(
        torch.from_numpy(np.concatenate([s.cart_coords for s in structures])),
        torch.from_numpy(np.stack([s.lattice.matrix for s in structures])),
        torch.ones(len(structures), 3, dtype=torch.bool),
        torch.tensor([site.specie.Z for s in structures for site in s]),
        torch.tensor([len(s) for s in structures]),
    )


def _moved(structure: Structure, positions: np.ndarray) -> Structure:
    return Structure(structure.lattice, structure.species, positions, coords_are_cartesian=True)


def _strained(structure: Structure, strain: np.ndarray) -> Structure:
    matrix = structure.lattice.matrix @ (np.eye(3) + strain)
    return Structure(Lattice(matrix), structure.species, structure.frac_coords)


def _directions(shape: tuple[int, ...]) -> Float[Tensor, "..."]:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return drawn / drawn.square().mean().sqrt()


def _nearest_rows(large: Structure, small: Structure) -> Tensor:
    """The row of the small cell that each atom of the large one is a copy of."""
    frac = large.cart_coords @ np.linalg.inv(small.lattice.matrix)
    difference = frac[:, None] - small.frac_coords[None]
    return torch.from_numpy(np.abs(difference - np.round(difference)).sum(-1).argmin(1))


def _answer(potential: Potential, given: Configurations) -> Evaluation | None:
    """What the potential says; None where it refuses."""
    try:
        return potential.evaluate(given)
    except InputError:
        return None


def _says_so(found: Evaluation) -> bool:
    """Whether every system failed, with a reason and without a number."""
    systems = range(len(found.energy))
    return bool(torch.isnan(found.energy).all()) and all(found.failures.get(k) for k in systems)


def _per_atom(potential: Potential, given: Configurations) -> float:
    return _ENERGY[potential.dtype] * int(given.num_atoms.max())


def _rounding(potential: Potential, forces: Tensor) -> float:
    largest = max(1.0, float(forces.abs().max()))
    return {torch.float32: 2e-4, torch.float64: 1e-7}[potential.dtype] * largest


def _close(potential: Potential, one: Tensor, other: Tensor, limit: float, what: str) -> None:
    worst = float((one.double().cpu() - other.double().cpu()).abs().max())
    assert worst <= limit, f"{potential.name}: {what} differ by {worst:.3g}; {limit:.3g} is allowed"

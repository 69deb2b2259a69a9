"""From a host and guests as users give them to a request, checked before anything is drawn."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from ase import Atoms
from pymatgen.core import Element, Lattice, Structure

from ase_crysdiff import arguments
from ase_crysdiff.conditions.named import Conditions, conditions_of
from ase_crysdiff.constants import GATE_DISTANCE, PHYSICAL_FRACTION, VOLUME_PER_ATOM
from ase_crysdiff.crystal.charge_balance import has_balance
from ase_crysdiff.crystal.convert import as_structure, check_structure
from ase_crysdiff.crystal.volume import atom_count_weights
from ase_crysdiff.errors import InputError
from ase_crysdiff.geometry.distances import shortest_distance
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.sampling.host import Guests, Host
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from pymatgen_ext import parsing
from pymatgen_ext.cells import CellMap, HostCell, rows_of
from pymatgen_ext.charge_balance import ChargeBalance
from pymatgen_ext.disorder import from_disordered
from pymatgen_ext.masks import Mask, masked_sites
from pymatgen_ext.symmetric_hosts import symmetric_fillings

#: Element symbol -> number of atoms, or (smallest, largest) number.
GuestCounts: TypeAlias = Mapping[str, int | Sequence[int]]

#: Guests that may be asked for at all; no model comes near it.
MOST_GUESTS = 1000
_GRID_SPACING = 0.25  # Å


@dataclass(frozen=True)
class Filling:
    """What is to be drawn, and how a draw becomes a structure.

    Args:
        request: What is asked of a sampler.
        cell: The way back to the user's cell and sites.
        notes: What was decided on the way, for the report.
    """

    request: SampleRequest
    cell: HostCell
    notes: tuple[str, ...]


def prepare(
    check: Callable[[SampleRequest], None],
    host: Structure | Atoms,
    guests: GuestCounts | None,
    *,
    mask: Mask | None = None,
    relax_cell: bool = False,
    charge_balance: bool = False,
    keep_symmetry: bool = False,
    jump_length: int = 10,
    repeats: int = 1,
    conditions: Conditions = (),
    steps: int | None = None,
) -> Filling:
    """The keywords of `StructureSampler.inpaint`, parsed and checked.

    Args:
        check: Raises if the sampler cannot serve a request; asked first, so that what is far too
            large costs nothing.
        host: The known part of the crystal; if it is disordered and no guests are given, its
            full sites, and the atoms of the others are the guests.
        guests: Atoms to place: element symbol -> number, or (smallest, largest) number. None for
            those that `mask` takes out.
        mask: Sites of the host that are taken out first.
        relax_cell: Whether the cell is let go towards the end.
        charge_balance: Whether the charge must balance by guessed oxidation states.
        keep_symmetry: Whether guests go to Wyckoff positions of the host's space group, or of a
            subgroup.
        jump_length: Levels that a resampling jump goes back up.
        repeats: Passes through each stretch of the plan.
        conditions: Further conditions on the sampling loop.
        steps: Steps of the time plan.

    Raises:
        InputError: If an argument makes no sense, or no guest can be where it should.
    """
    host, guests = _host(host, guests, mask)
    offered = parse_guests(guests)
    cell = CellMap.of(host.lattice)
    inside = host.frac_coords @ cell.matrix % 1.0
    jumps = arguments.positive("jump_length", jump_length), arguments.positive("repeats", repeats)
    species = tuple(site.specie.Z for site in host)
    known = Host(cell.niggli_rows, rows_of(inside), species, offered)
    task = Inpaint(known, relax_cell, *jumps)
    request = SampleRequest(task, conditions=conditions_of(conditions), steps=steps)
    check(request)
    _check_host(host, cell, inside)
    _check_room(host, offered)
    notes = parsing.isotope_note(None, list(guests))
    if charge_balance:
        offered, found = _balanced(host, offered)
        notes += found
        request = replace(request, filters=(ChargeBalance(),))
    free = not relax_cell and not known.counts_are_known
    prior = _atom_count_prior(host, offered) if free else None
    task = replace(task, host=replace(known, guests=offered), atom_count_prior=prior)
    if keep_symmetry:
        task = symmetric_fillings(task, host, cell)
    request = replace(request, task=task)
    return Filling(request, HostCell(cell, host, relax_cell), notes)


def _host(
    host: Structure | Atoms, guests: GuestCounts | None, mask: Mask | None
) -> tuple[Structure, GuestCounts]:
    """The sites that stay, and what is to be placed between them.

    Raises:
        InputError: If the host is no crystal, or nothing says what to place.
    """
    if not isinstance(host, Structure | Atoms):
        raise InputError(
            f"host must be a pymatgen Structure or ASE Atoms, got {type(host).__name__}."
        )
    known = as_structure(host)
    if not known.is_ordered and guests is None and mask is None:
        return from_disordered(known)
    if not known.is_ordered:
        raise InputError(
            f"{known.composition.formula} is disordered. from_disordered(structure) turns it into "
            "a host and guests for inpaint; so does inpaint without guests."
        )
    if len(known) == 0:
        raise InputError("The host has no atoms. Use sample(lattice=...) to fill an empty cell.")
    check_structure(known)
    gone = set() if mask is None else set(masked_sites(known, mask))
    if guests is None and not gone:
        raise InputError(
            "Nothing says what to place in the host. Give guests such as {'Li': 3}, or a mask that "
            "takes out what is to be placed again."
        )
    if guests is None:
        guests = Counter(Element.from_Z(known[i].specie.Z).symbol for i in sorted(gone))
    if not gone:
        return known, guests
    left = [site for i, site in enumerate(known) if i not in gone]
    return Structure.from_sites(left, properties=known.properties), guests


def prepare_empty(
    check: Callable[[SampleRequest], None],
    lattice: Lattice,
    contents: Mapping[str, int],
    *,
    steps: int | None = None,
) -> Filling:
    """A cell that is given and kept, without a host: all atoms are guests.

    Args:
        check: Raises if the sampler cannot serve a request.
        lattice: The cell.
        contents: Number of atoms of each element.
        steps: Steps of the time plan.

    Raises:
        InputError: If the contents make no sense; IncompatibleError if the sampler cannot serve
            them.
    """
    cell = CellMap.of(lattice)
    host = Host(cell.niggli_rows, (), (), parse_guests(contents))
    request = SampleRequest(Inpaint(host), steps=steps)
    check(request)
    return Filling(request, HostCell(cell, Structure(lattice, [], [])), ())


def _atom_count_prior(host: Structure, guests: Sequence[Guests]) -> tuple[float, ...] | None:
    """What the volume of the cell tells about the number of atoms."""
    amounts = {
        symbol: round(amount) for symbol, amount in host.composition.get_el_amt_dict().items()
    }
    offered = [(Element.from_Z(g.species).symbol, g.least, g.most) for g in guests]
    return atom_count_weights(amounts, offered, host.volume)


def parse_guests(guests: GuestCounts) -> tuple[Guests, ...]:
    """`{"Li": 3}` or `{"Li": (0, 6)}` as records.

    Raises:
        InputError: If it names no guests, an unknown element, or numbers that are negative, not
            whole or in the wrong order.
    """
    if not isinstance(guests, Mapping) or not guests:
        raise InputError(
            f"guests must be a mapping such as {{'Li': 3}} or {{'Li': (0, 6)}}, got {guests!r}."
        )
    found = []
    for symbol, value in guests.items():
        several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        numbers = list(value) if several else [value, value]  # type: ignore[arg-type]
        if len(numbers) != 2:
            raise InputError(
                f"The number of {symbol} must be one number or (smallest, largest), got {value!r}."
            )
        least, most = (arguments.positive(f"The number of {symbol}", n, 0) for n in numbers)
        if least > most or most == 0 or most > MOST_GUESTS:
            raise InputError(
                f"The number of {symbol} must be from 1 to {MOST_GUESTS}, or a range that rises to "
                f"such a number, got {value!r}."
            )
        found.append(Guests(parsing.element(symbol), least, most))
    if len({g.species for g in found}) < len(found):
        raise InputError(f"guests names an element twice: {dict(guests)!r}.")
    return tuple(found)


def _balanced(
    host: Structure, guests: tuple[Guests, ...]
) -> tuple[tuple[Guests, ...], tuple[str, ...]]:
    """The guests with ranges narrowed to what can be balanced, and what to say about it."""
    framework = Counter(int(site.specie.Z) for site in host)
    balanced = []
    for numbers in itertools.product(*(range(g.least, g.most + 1) for g in guests)):
        total = framework + Counter({g.species: n for g, n in zip(guests, numbers, strict=True)})
        if has_balance(total):
            balanced.append(numbers)
    if not balanced:
        raise InputError(
            "No number of guests that was offered balances the charge of "
            f"{host.composition.formula} with oxidation states that "
            "pymatgen knows. Offer other numbers, or leave charge_balance out."
        )
    columns = list(zip(*balanced, strict=True))
    narrowed = tuple(
        replace(g, least=min(c), most=max(c)) for g, c in zip(guests, columns, strict=True)
    )
    names = [Element.from_Z(g.species).symbol for g in guests]
    listed = "; ".join(
        ", ".join(f"{n} {name}" for n, name in zip(b, names, strict=True)) for b in balanced[:8]
    )
    more = " and more" if len(balanced) > 8 else ""
    return narrowed, (f"charge-balanced by oxidation states that pymatgen guesses: {listed}{more}",)


def _check_host(host: Structure, cell: CellMap, inside: np.ndarray) -> None:
    distances = shortest_distance(torch.tensor(inside), torch.tensor(np.array(cell.niggli.matrix)))
    if float(distances.min()) < GATE_DISTANCE:
        i, j = divmod(int(distances.argmin()), len(host))
        raise InputError(
            f"Sites {i} ({host[i].specie}) and {j} ({host[j].specie}) of the host are "
            f"{float(distances.min()):.2f} Å apart, less "
            f"than {GATE_DISTANCE} Å. Remove one of them."
        )


def _check_room(host: Structure, guests: tuple[Guests, ...]) -> None:
    """Refuses guests for which even the largest hole of the host is too small."""
    atoms = len(host) + sum(g.least for g in guests)
    if host.volume / atoms < VOLUME_PER_ATOM[0]:
        raise InputError(
            f"{atoms} atoms in {host.volume:.1f} Å³ are {host.volume / atoms:.2f} Å³ per atom, "
            f"less than {VOLUME_PER_ATOM[0]:g}. "
            "Ask for fewer guests or give a larger cell."
        )
    counts = [max(2, int(np.ceil(length / _GRID_SPACING))) for length in host.lattice.abc]
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in counts), indexing="ij"), -1).reshape(
        -1, 3
    )
    corners = (
        np.array(list(itertools.product((-0.5, 0.5), repeat=3))) / counts @ host.lattice.matrix
    )
    slack = np.linalg.norm(corners, axis=1).max()  # no point is farther than this from the grid
    distances = host.lattice.get_all_distances(grid, host.frac_coords)
    radii = covalent_radii(torch.float64).numpy()
    own = radii[[site.specie.Z for site in host]]
    for g in guests:
        needed = PHYSICAL_FRACTION * (radii[g.species] + own)
        missing = (needed - distances - slack).max(1)
        best = int(missing.argmin())
        if g.least and missing[best] > 0:
            site = int((needed - distances[best]).argmax())
            raise InputError(
                f"There is no room for {Element.from_Z(g.species).symbol}: everywhere in the host "
                "it would be closer than "
                f"{distances[best, site] + slack:.2f} Å to some atom such as {host[site].specie} "
                f"(site {site}), and "
                f"{PHYSICAL_FRACTION} of the sum of their covalent radii is {needed[site]:.2f} Å. "
                "Give a larger cell."
            )

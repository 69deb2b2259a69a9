"""Which scaffold each crystal is held on, where a space group or a prototype is asked for.

Decisions draw from the stream `scaffold`, the number of the decision as its step.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations

import torch

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.conditions.species import AllowedSpecies
from ase_crysdiff.constants import VACANCY
from ase_crysdiff.crystal.batch import CrystalBatch, Layout
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.symmetry_wishes import possible_units, units_of
from ase_crysdiff.sampling.tasks.base import ModelWithCard, rows_without_atoms
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.drawing import Draw, draw_letters, draw_scaffold, holds
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold, site_order
from ase_crysdiff.symmetry.tables import space_group

#: Atoms of each element, by atomic number.
Counts = dict[int, int]
#: Share of known crystals of at most 20 atoms that have each number of occupied sites.
SITES = {1: 0.004, 2: 0.109, 3: 0.374, 4: 0.242, 5: 0.098, 6: 0.072, 7: 0.03, 8: 0.03}


def chosen_scaffolds(
    request: SampleRequest, model: ModelWithCard, streams: Streams
) -> list[Scaffold]:
    """The scaffold of every crystal, one per stream.

    Where the model generates species, the elements of a scaffold only tell sites apart: numbers
    from 1 on, equal for sites that are of one element.

    Args:
        request: With a space group or a prototype, checked.
        model: Which draws the crystals.
        streams: Random numbers.
    """
    task = request.task
    if isinstance(task, CSP):
        return _predicted(request, task, model, streams)
    assert isinstance(task, DeNovo), "checked before"
    return _new(request, task, model, streams)


def _predicted(
    request: SampleRequest, task: CSP, model: ModelWithCard, streams: Streams
) -> list[Scaffold]:
    """Scaffolds of given compositions."""
    wishes = request.prototypes
    if task.cells is not None:
        counts = [_counts(task.cells[i % len(task.cells)], 1) for i in streams.indices]
    elif wishes:
        unit = task.composition or ()
        held = [units_of(wished, unit) or 1 for wished in wishes]
        counts = [_counts(unit, held[i % len(held)]) for i in streams.indices]
    else:
        unit = task.composition or ()
        able = possible_units(request, task, model.max_atoms)
        atoms, sizes = sum(count for _, count in unit), model.size_histogram
        odds = [float(sizes.get(z * atoms, 0) + 1) for z in able]
        counts = [_counts(unit, z) for z in streams.pick("formula units", able, odds)]
    found = []
    for k, (index, content) in enumerate(zip(streams.indices, counts, strict=True)):
        draw = decisions(streams.take([k]))
        if wishes:
            found.append(occupied(wishes[index % len(wishes)], content, draw))
        else:
            found.append(draw_scaffold(request.space_group or 1, content, draw))
    return found


def _new(
    request: SampleRequest, task: DeNovo, model: ModelWithCard, streams: Streams
) -> list[Scaffold]:
    """Scaffolds of crystals from nothing, whose elements are labels."""
    wishes = request.prototypes
    if wishes:
        parts = [w.prototype if isinstance(w, Scaffold) else w for w in wishes]
        labelled = [p.occupied_by(range(1, len(p.parts) + 1)) for p in parts]
        return [labelled[i % len(labelled)] for i in streams.indices]
    group, least = request.space_group or 1, len(task.chemical_system or (None,))
    sizes = model.size_histogram if task.num_atoms is None else {task.num_atoms: 1}
    able = _sizes_with_sites(group, sizes, least)
    if not able and task.num_atoms is None:  # Training crystals have none of these sizes.
        sizes = dict.fromkeys(range(1, model.max_atoms + 1), 1)
        able = _sizes_with_sites(group, sizes, least)
    if not able:
        raise IncompatibleError(
            f"No cell within {model.max_atoms} atoms has the space group "
            f"{space_group(group).symbol} and {least} site{'s' * (least > 1)} or more. Use a "
            "sampler for larger cells."
        )
    atoms = streams.pick("numbers of atoms", list(able), [float(sizes[n]) for n in able])
    found = []
    for k, count in enumerate(atoms):
        stream, odds = streams.take([k]), able[count]
        sites = stream.pick("numbers of sites", list(odds), list(odds.values()))[0]
        letters = draw_letters(group, [count], decisions(stream), sites)[0]
        found.append(with_labels(group, letters))
    return found


def with_labels(group: int, letters: Iterable[str]) -> Scaffold:
    """A scaffold whose elements are labels: numbers from 1 on, one for each site."""
    return Scaffold(group, tuple(enumerate(letters, start=1)))


def _sizes_with_sites(group: int, sizes: Iterable[int], least: int) -> dict[int, dict[int, float]]:
    """The numbers of atoms that the group has sites for, with the odds of the numbers of sites."""
    odds = {n: _site_odds(group, n, least) for n in sizes}
    return {n: own for n, own in odds.items() if own}


def _site_odds(group: int, num_atoms: int, least: int) -> dict[int, float]:
    """How often a cell of so many atoms has each number of sites, as far as the group allows."""
    found = {n: share for n, share in SITES.items() if n >= least and holds(group, [num_atoms], n)}
    return found or {n: 1.0 for n in range(least, num_atoms + 1) if holds(group, [num_atoms], n)}


def occupied(wished: Prototype | Scaffold, counts: Counts, draw: Draw) -> Scaffold:
    """A prototype with these elements on its sites, one of all `ways`.

    Args:
        wished: Its counts are these in some order.
        counts: Atoms of each element in the primitive cell.
        draw: Random numbers; one is used where there is a choice.
    """
    able = ways(wished, counts)
    return able[int(draw() * len(able))] if len(able) > 1 else able[0]


def ways(wished: Prototype | Scaffold, counts: Counts) -> list[Scaffold]:
    """All ways in which elements take the sites of a prototype, so that the counts agree.

    Of a scaffold as many elements stay where they are as can.

    Args:
        wished: Its counts are these in some order.
        counts: Atoms of each element in the primitive cell.
    """
    if isinstance(wished, Scaffold):
        places = list(wished.counts.items())
    else:
        places = [(-1 - k, count) for k, count in enumerate(wished.counts)]
    able = [
        way
        for way in permutations(counts)
        if all(counts[z] == count for z, (_, count) in zip(way, places, strict=True))
    ]
    kept = [sum(z == own for z, (own, _) in zip(way, places, strict=True)) for way in able]
    best = [way for way, same in zip(able, kept, strict=True) if same == max(kept)]
    if isinstance(wished, Prototype):
        return [wished.occupied_by(way) for way in best]
    owners = [own for own, _ in places]
    return [wished.exchanged(dict(zip(owners, way, strict=True))) for way in best]


def named(
    scaffolds: Sequence[Scaffold], crystals: CrystalBatch
) -> tuple[CrystalBatch, dict[str, list[str]]]:
    """Crystals on scaffolds, whose elements may have been labels, with what is to be said of them.

    Args:
        scaffolds: One for each crystal.
        crystals: Rows site after site, then those that belong to none. Sites may be vacant.

    Returns:
        The crystals without vacancies, whose atoms come in the order of the sites that are named,
        and the properties that name space group and sites.
    """
    starts = (crystals.num_atoms.cumsum(0) - crystals.num_atoms).tolist()
    found: list[Scaffold | None] = []
    places, counts = [], []
    for scaffold, start in zip(scaffolds, starts, strict=True):
        own = slice(start, start + scaffold.num_atoms)
        named, order = renamed(scaffold, crystals.species[own].tolist())
        found.append(named)
        counts.append(len(order))
        places.append(torch.tensor(order, dtype=torch.long) + start)
    rows = torch.cat(places)
    ordered = CrystalBatch(
        crystals.lattice, crystals.frac_coords[rows], crystals.species[rows], torch.tensor(counts)
    )
    properties = {
        "space_group": ["" if s is None else s.space_group.symbol for s in found],
        "scaffold": ["" if s is None else str(s) for s in found],
    }
    return ordered, properties


def first_rows_occupied(layout: Layout, counts: Sequence[int]) -> Condition:
    """The first rows of each crystal are atoms, the others are vacancies."""
    allowed = rows_without_atoms(layout, counts)
    allowed[allowed.all(-1), VACANCY] = False
    return AllowedSpecies(allowed)


def renamed(scaffold: Scaffold, species: Sequence[int]) -> tuple[Scaffold | None, list[int]]:
    """A scaffold whose elements are labels with the elements that were found for them.

    Args:
        scaffold: With labels.
        species: Atomic number of each row, site after site; those of a vacant site are vacancies.

    Returns:
        The scaffold of the occupied sites, which may name them in another order, and its atoms in
        that order, by their numbers before. None, and no atoms, if all sites are vacant.
    """
    group, sites, start = scaffold.space_group, [], 0
    for _, letter in scaffold.sites:
        stop = start + group.position(letter).multiplicity
        if species[start] != VACANCY:
            sites.append(((species[start], letter), range(start, stop)))
        start = stop
    sites.sort(key=lambda pair: site_order(pair[0]))
    named = Scaffold(scaffold.group, tuple(site for site, _ in sites)) if sites else None
    return named, [atom for _, atoms in sites for atom in atoms]


def decisions(stream: Streams) -> Draw:
    """The random numbers of one crystal's decisions about its scaffold, one after the other."""
    number = 0

    def draw() -> float:
        nonlocal number
        number += 1
        rng = stream.rng("scaffold", number, [1], torch.device("cpu"), torch.float32)
        return float(rng.uniform(1))

    return draw


def _counts(unit: Sequence[tuple[int, int]], units: int) -> Counts:
    found: Counter[int] = Counter()
    for z, count in unit:
        found[z] += count * units
    return dict(found)

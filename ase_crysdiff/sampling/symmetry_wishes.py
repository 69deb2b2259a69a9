"""Whether a wished space group or prototype can hold what else is asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ase_crysdiff.crystal.elements import SYMBOLS
from ase_crysdiff.errors import IncompatibleError, InputError
from ase_crysdiff.sampling.tasks.csp import CSP, Amounts
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.symmetry.feasible import feasible, feasible_units
from ase_crysdiff.symmetry.prototype import Prototype
from ase_crysdiff.symmetry.scaffold import Scaffold
from ase_crysdiff.symmetry.tables import SpaceGroup, space_group

if TYPE_CHECKING:
    from ase_crysdiff.sampling.capabilities import Capabilities
    from ase_crysdiff.sampling.request import SampleRequest

#: Atoms of the largest cell that is looked at where a sampler has no limit.
LARGEST = 64


def check_symmetry(request: "SampleRequest", name: str, capabilities: "Capabilities") -> None:
    """Refuses a space group or a prototype that contradicts what else is asked for.

    Args:
        request: What is asked for.
        name: Of the sampler, for messages.
        capabilities: Of the sampler.

    Raises:
        IncompatibleError: If the sampler cannot keep a symmetry.
        InputError: If two wishes contradict each other; the message says what would be possible.
    """
    wishes = {"space_group": request.space_group is not None, "prototype": request.prototypes}
    missing = [w for w, asked in wishes.items() if asked and w not in capabilities.constraints]
    if missing:
        raise IncompatibleError(f"{name!r} cannot keep a given {' or '.join(missing)}.")
    if not request.symmetric:
        return
    task, largest = request.task, capabilities.max_atoms or LARGEST
    if not isinstance(task, CSP | DeNovo):
        raise IncompatibleError(
            "A space group or a prototype is given for new crystals only. To keep the symmetry of "
            "a seed or a host, use keep_symmetry=True."
        )
    for wished in request.prototypes:
        if capabilities.max_atoms is not None and wished.num_atoms > largest:
            raise InputError(
                f"{wished} has {wished.num_atoms} atoms per primitive cell; {name!r} holds at most "
                f"{largest}."
            )
    if isinstance(task, DeNovo):
        _check_new(request, task)
    elif task.cells is not None:
        _check_cells(request, task.cells)
    else:
        possible_units(request, task, largest)


def possible_units(request: "SampleRequest", task: CSP, largest: int) -> tuple[int, ...]:
    """Formula units of a primitive cell that the wished space group or prototype can hold.

    Args:
        request: What is asked for.
        task: Its task, of a composition.
        largest: Atoms of the largest cell.

    Raises:
        InputError: If it can hold none of those that are asked for.
    """
    unit = task.composition or ()
    asked = task.formula_units or ()
    if task.num_atoms is not None:
        asked = (task.num_atoms // sum(count for _, count in unit),)
    if request.prototypes:
        found = tuple(units_of(wished, unit) for wished in request.prototypes)
        units = tuple(sorted({z for z in found if z is not None}))
        if None in found or (asked and not set(units) <= set(asked)):
            raise InputError(_prototype_misfit(request.prototypes[0], unit, asked, units))
        return units
    group = space_group(request.space_group or 1)
    amounts = [count for _, count in unit]
    able = feasible_units(group.number, amounts, largest)
    wanted = tuple(z for z in able if not asked or z in asked)
    if not wanted:
        raise InputError(_group_misfit(group, unit, asked, able, largest))
    return wanted


def units_of(wished: Prototype | Scaffold, unit: Amounts) -> int | None:
    """Formula units that a prototype holds per primitive cell; None if its counts are others."""
    counts, amounts = sorted(counts_of(wished)), sorted(count for _, count in unit)
    z, rest = divmod(sum(counts), sum(amounts))
    return z if not rest and counts == [z * n for n in amounts] else None


def counts_of(wished: Prototype | Scaffold) -> Sequence[int]:
    """Atoms of each element of the primitive cell."""
    return tuple(wished.counts.values()) if isinstance(wished, Scaffold) else wished.counts


def _prototype_misfit(
    wished: Prototype | Scaffold, unit: Amounts, asked: Sequence[int], units: Sequence[int]
) -> str:
    if units:
        return (
            f"{wished} holds {units[0]} formula units of {_formula(unit)} per primitive cell, not "
            f"{' or '.join(map(str, asked))}."
        )
    if len(counts_of(wished)) != len(unit):
        return (
            f"{wished} takes {len(counts_of(wished))} different elements, {_formula(unit)} has "
            f"{len(unit)}."
        )
    counts = " : ".join(map(str, sorted(counts_of(wished))))
    return (
        f"{wished} has {counts} atoms of its elements per primitive cell, which are no whole "
        f"number of formula units of {_formula(unit)}."
    )


def _group_misfit(
    group: SpaceGroup, unit: Amounts, asked: Sequence[int], able: Sequence[int], largest: int
) -> str:
    plural = "" if tuple(asked) == (1,) else "s"
    wanted = f"{' or '.join(map(str, asked))} formula unit{plural} of " if asked else ""
    possible = (
        f"It can hold {', '.join(map(str, able))} formula units per primitive cell."
        if able
        else f"It can hold no number of them within {largest} atoms of a primitive cell."
    )
    return f"{group.symbol} cannot hold {wanted}{_formula(unit)}. {possible}"


def _check_new(request: "SampleRequest", task: DeNovo) -> None:
    """Numbers of atoms and elements of crystals from nothing."""
    system = task.chemical_system or frozenset()
    for wished in request.prototypes:
        if task.num_atoms is not None and wished.num_atoms != task.num_atoms:
            raise InputError(
                f"{wished} has {wished.num_atoms} atoms per primitive cell, num_atoms asks for "
                f"{task.num_atoms}."
            )
        if system and len(system) != len(counts_of(wished)):
            raise InputError(
                f"{wished} has {len(counts_of(wished))} elements, the chemical system has "
                f"{len(system)}."
            )
        if task.elements is not None and len(task.elements) < len(counts_of(wished)):
            raise InputError(
                f"{wished} takes {len(counts_of(wished))} different elements, only "
                f"{len(task.elements)} may occur."
            )
    if request.prototypes or task.num_atoms is None:
        return
    group = space_group(request.space_group or 1)
    if not feasible(group.number, [task.num_atoms]):
        able = [n for n in range(1, LARGEST + 1) if feasible(group.number, [n])]
        near = sorted(sorted(able, key=lambda n: abs(n - (task.num_atoms or 0)))[:5])
        raise InputError(
            f"{group.symbol} cannot hold {task.num_atoms} atoms per primitive cell. Possible are "
            f"{', '.join(map(str, near))} and others."
        )


def _check_cells(request: "SampleRequest", cells: Sequence[Amounts]) -> None:
    """Contents of whole cells against scaffolds, one after the other, or against a group."""
    wishes = request.prototypes
    for i in range(max(len(cells), len(wishes))):
        cell = cells[i % len(cells)]
        if wishes and units_of(wishes[i % len(wishes)], cell) != 1:
            raise InputError(_prototype_misfit(wishes[i % len(wishes)], cell, (1,), ()))
        if not wishes and not feasible(request.space_group or 1, [count for _, count in cell]):
            group = space_group(request.space_group or 1)
            raise InputError(f"{group.symbol} cannot hold {_formula(cell)} in a primitive cell.")


def _formula(unit: Amounts) -> str:
    return "".join(f"{SYMBOLS[z]}{count if count > 1 else ''}" for z, count in unit)

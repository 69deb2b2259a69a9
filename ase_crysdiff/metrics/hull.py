"""The convex hull of known compounds, and how far above it crystals lie."""

import csv
import gzip
import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from copy import copy
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition
from scipy.optimize import linprog

from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.formulas import Formula, Key, fractions, reduced_formula

#: Systems with more elements are looked up by going through all compounds, not through all subsets
#: of the elements.
_MOST_SUBSETS = 10
#: No crystal that can be made lies deeper below the hull of all others, eV/atom: deeper ones say
#: that competitors are missing in the table, or that the potential is far off.
DEEPEST = 0.1


class Footing(StrEnum):
    """What a height above a hull rests on."""

    EXACT = "exact"
    BOUND = "lower bound"
    NONE = "no footing"


def footing(is_listed: bool, height: float) -> Footing:
    """What a height rests on: a compound of its formula in the table, or only its neighbours in
    composition, among which competitors may be missing, so that the true height is larger; or
    nothing, if it is deeper than `DEEPEST`.

    Args:
        is_listed: Whether the table holds the formula.
        height: Energy above the hull, eV/atom.
    """
    if height < -DEEPEST:
        return Footing.NONE
    return Footing.EXACT if is_listed else Footing.BOUND


class Hull:
    """Reference compounds and the phase diagrams they span. Candidates never enter it.

    Phase diagrams are built once per chemical system and hull energies once per formula, so that
    many candidates are cheap.

    Args:
        energies: Energy of each compound by formula, eV/atom; the lowest counts where a formula
            occurs twice. Every element of a system that will be asked for must be there, with 0 on
            the formation energy scale.
        scale: "formation" for formation energies, "total" for a potential's own energies.
        name: Shown in reports.
        digest: Fingerprint of the source.

    Raises:
        InputError: If there are no compounds, a formula cannot be read or an energy is not finite.
    """

    def __init__(
        self,
        energies: Mapping[str, float | int],
        *,
        scale: str = "formation",
        name: str = "given",
        digest: str = "",
    ) -> None:
        if scale not in ("formation", "total"):
            raise InputError(f"scale is 'formation' or 'total', not {scale!r}.")
        if not energies:
            raise InputError("A hull needs compounds; there are none.")
        self.scale, self.name, self.digest = scale, name, digest
        lowest: dict[Key, float] = {}
        for formula, energy in energies.items():
            if not math.isfinite(energy):
                raise InputError(
                    f"The energy of {formula} is {energy}; a hull takes finite energies only."
                )
            key = fractions(formula)
            lowest[key] = min(float(energy), lowest.get(key, math.inf))
        self._hold(lowest)

    @classmethod
    def read(cls, path: str | Path) -> "Hull":
        """A table of formation energies: CSV, gzip or not, with columns `reduced_formula` and
        `hull_energy_per_atom`.

        Raises:
            InputError: If the file cannot be read or lacks the columns.
        """
        path = Path(path)
        columns = ("reduced_formula", "hull_energy_per_atom")
        try:
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            rows = list(csv.DictReader(text.splitlines()))
            if not rows or any(column not in rows[0] for column in columns):
                raise ValueError(f"its columns are {list(rows[0]) if rows else []}")
            energies = {row[columns[0]]: float(row[columns[1]]) for row in rows}
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise InputError(
                f"{path} cannot be read as a hull ({error}). Expected a CSV file with columns "
                f"{columns}, or 'shipped' for the table that comes with the package."
            ) from error
        return cls(energies, name=path.name, digest=hashlib.sha256(raw).hexdigest())

    def __len__(self) -> int:
        return len(self._lowest)

    def among(self, other: "Hull") -> "Hull":
        """The elements of this hull, and of its compounds those that another one lists."""
        kept = {k: e for k, e in self._lowest.items() if len(k) == 1 or k in other._lowest}
        chosen = copy(self)
        chosen.name, chosen.digest = f"{self.name} among {other.name}", ""
        chosen._hold(kept)
        return chosen

    def is_listed(self, composition: Formula) -> bool:
        """Whether the hull holds a compound of this composition; elsewhere a partial table is an
        upper bound of the true hull.
        """
        return fractions(composition) in self._lowest

    def remark(self, composition: Formula, height: float) -> str | None:
        """What must be said beside a height at a composition; None if it is exact.

        Args:
            composition: Of the crystal.
            height: Its energy above the hull, eV/atom.
        """
        formula, listed = Composition(composition).reduced_formula, self.is_listed(composition)
        grade = footing(listed, height)
        if grade is Footing.BOUND:
            return (
                f"a lower bound: {formula} is not among the {len(self):,} formulas of the hull "
                f"{self.name!r}, and compounds that it lacks may lie below"
            )
        if grade is Footing.NONE and listed:
            return (
                f"{-height:.2f} eV/atom below the known compound {formula} cannot be: the "
                "potential is wrong about this crystal, or it is none"
            )
        if grade is Footing.NONE:
            return (
                f"{-height:.2f} eV/atom below a hull {self.name!r} that lacks {formula} cannot be: "
                f"compounds are missing there. energy_above_hull takes a table that holds them"
            )
        return None

    def energy(self, composition: Formula) -> float:
        """Height of the hull at a composition, eV/atom: the least energy of compounds that make it
        up together.

        Raises:
            InputError: If the hull lacks an element of the composition; the message names it.
        """
        key = fractions(composition)
        if key not in self._heights:
            self._heights[key], _ = self._mixture(key, self._entries(frozenset(dict(key))))
        return self._heights[key]

    def phases(self, composition: Formula) -> dict[str, float]:
        """The compounds that make up a composition with the least energy: what lies above the hull
        there falls apart into them.

        Returns:
            Share of the atoms in each, by reduced formula, the largest first.

        Raises:
            InputError: If the hull lacks an element of the composition; the message names it.
        """
        key = fractions(composition)
        _, mixture = self._mixture(key, self._entries(frozenset(dict(key))))
        shares = {reduced_formula(own): share for own, share in mixture.items()}
        return dict(sorted(shares.items(), key=lambda item: (-round(item[1], 9), item[0])))

    def stable(self, elements: frozenset[str], margin: float = 1e-4) -> list[Composition]:
        """The compounds of exactly these elements that make the hull: without one of them it would
        be higher at its composition. A table may hold the height of the hull at compounds above it
        as well, so that to lie on it says nothing.

        Args:
            elements: Symbols.
            margin: By which it would be higher at least, eV/atom: heights are rounded.

        Returns:
            Integer compositions, those of few atoms first.

        Raises:
            InputError: If the hull lacks an element; the message names it.
        """
        every = self._entries(elements)
        found = []
        for key in self._systems.get(elements, []) if len(elements) > 1 else []:
            others, _ = self._mixture(key, [other for other in every if other != key])
            if others - self._lowest[key] > margin:
                found.append(Composition(reduced_formula(key)))
        return sorted(found, key=lambda compound: (compound.num_atoms, compound.formula))

    def _mixture(self, key: Key, compounds: list[Key]) -> tuple[float, dict[Key, float]]:
        """Energy per atom of the best mixture of compounds, and the share of each in it.

        A linear program, since a whole hull of eight elements takes minutes, and its construction
        gives up where compounds are nearly degenerate.
        """
        shares, parts = dict(key), [dict(own) for own in compounds]
        found = linprog(
            [self._lowest[own] for own in compounds],
            A_eq=[[own.get(symbol, 0.0) for own in parts] for symbol in shares],
            b_eq=list(shares.values()),
        )
        assert found.success, found.message  # the elements alone make it up
        mixture = {own: float(x) for own, x in zip(compounds, found.x, strict=True) if x > 1e-6}
        return float(found.fun), mixture

    def diagram(self, elements: frozenset[str]) -> PhaseDiagram:
        """The phase diagram of a chemical system.

        Raises:
            InputError: If the hull lacks one of the elements; the message names it.
        """
        if elements not in self._diagrams:
            # The amounts are fractions, so the energy of an entry is that of one atom.
            self._diagrams[elements] = PhaseDiagram(
                [PDEntry(Composition(dict(k)), self._lowest[k]) for k in self._entries(elements)]
            )
        return self._diagrams[elements]

    def _entries(self, elements: frozenset[str]) -> list[Key]:
        """The compounds of a chemical system, the elements among them.

        Raises:
            InputError: If one of these is missing; the message names it.
        """
        missing = sorted(e for e in elements if frozenset({e}) not in self._systems)
        if missing:
            raise InputError(
                f"The hull {self.name!r} has no entry for the "
                f"element{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                "without it nothing can be said of its compounds. Add its energy (0 on the "
                "formation energy scale)."
            )
        return [key for system in self._subsystems(elements) for key in self._systems[system]]

    @property
    def settings(self) -> dict[str, Any]:
        """What a report says of it."""
        return {
            "hull": self.name,
            "hull_entries": len(self),
            "hull_scale": self.scale,
            "hull_sha256": self.digest,
        }

    def _hold(self, lowest: dict[Key, float]) -> None:
        self._lowest = lowest
        self._systems: dict[frozenset[str], list[Key]] = defaultdict(list)
        for key in lowest:
            self._systems[frozenset(symbol for symbol, _ in key)].append(key)
        self._diagrams: dict[frozenset[str], PhaseDiagram] = {}
        self._heights: dict[Key, float] = {}

    def _subsystems(self, elements: frozenset[str]) -> list[frozenset[str]]:
        if len(elements) > _MOST_SUBSETS:
            return [s for s in self._systems if s <= elements]
        subsets = (
            frozenset(c) for n in range(1, len(elements) + 1) for c in combinations(elements, n)
        )
        return [s for s in subsets if s in self._systems]

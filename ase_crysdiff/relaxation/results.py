"""What is said of a relaxed structure, and whether it is believed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.crystal.soundness import GAS
from ase_crysdiff.data.writing import DOUBT, FORCES, STRESS, UNCERTAINTY
from ase_crysdiff.potentials.base import Uncertainty
from ase_crysdiff.potentials.doubts import doubt
from ase_crysdiff.relaxation.outcomes import Outcome
from ase_crysdiff.relaxation.rejection import rejection_reason
from ase_crysdiff.shapes import Tensor

#: Properties of what a second potential was asked about.
JUDGE, JUDGE_ENERGY = "crysdiff_judge", "crysdiff_judge_energy_per_atom"
JUDGE_REMARK = "crysdiff_judge_remark"


@dataclass(frozen=True, repr=False)
class RelaxResult:
    """What became of one structure.

    Args:
        structure: Where it came to rest; after a failure where its forces were smallest, and as it
            was given if it could not be evaluated at all. None in place of what is neither a
            structure nor periodic atoms.
        converged: Whether `fmax` is below the limit, and no atom is alone.
        steps: Steps taken.
        energy: Total energy of `structure`, eV; NaN if it could not be evaluated.
        fmax: Largest force on an atom or a row of the cell, eV/Å; NaN if it could not be evaluated.
        first_energy: Total energy before, eV; NaN if it could not be evaluated.
        accepted: Whether the result is trusted: nothing failed, the energy has not risen, the
            volume has changed by less than 20 %, no two atoms are closer than 0.7 of the sum of
            their covalent radii, none is far from all others, and the formula is the same. The
            draw of a sampler may change its volume at will. A structure that ran out of steps may
            be accepted; `converged` tells.
        reason: Why it is not accepted or not converged; None if it is both.
        space_group: Symbol of the group that was found at the start and kept; None if none was
            asked for or none was found.
        unsymmetric: Why there is no symmetry that could be kept, although one was asked for.
        symmetric_energy: Total energy at rest with the symmetry, eV; None if it was not released.
        released_energy: Total energy at rest after the release, eV; None likewise.
        kept_symmetry: Whether `structure` has the space group after the release: no for what has
            fallen from a saddle. None if it was not released.
        forces: On the atoms of `structure`, eV/Å, shape (atoms, 3); those on held atoms, too. None
            after a failure.
        stress: On its cell, eV/Å³, tension positive, shape (3, 3); None after a failure or where
            the potential gives none.
        uncertainty: Standard deviation of the energy's error, eV/atom; None where the potential
            does not say how far it is to be believed.
        atom_uncertainties: That of crystals made of such atoms alone, eV/atom, shape (atoms,): the
            largest is the doubtful one. None likewise.
        doubt: That `structure` is outside of what the potential knows, and where; None if it is
            not, or nothing is known of it. Its energy is a guess, whether accepted or not.
        snapped: Tolerance, Å, at which symmetry was found after relaxing that `structure` has
            beyond what it had; None if none was looked for, or none was kept.
        judge: Name of the second potential that `RelaxSet.rank` asked; None if none was.
        judge_energy: What that potential says of `structure`, total energy, eV; None if it was not
            asked or has none.
        judge_remark: Why it has none, or that it does not know such crystals; None otherwise.
    """

    structure: Structure | None
    converged: bool
    steps: int
    energy: float
    fmax: float
    first_energy: float
    accepted: bool
    reason: str | None = None
    space_group: str | None = None
    unsymmetric: str | None = None
    symmetric_energy: float | None = None
    released_energy: float | None = None
    kept_symmetry: bool | None = None
    forces: NDArray[np.float64] | None = field(default=None, compare=False)
    stress: NDArray[np.float64] | None = field(default=None, compare=False)
    uncertainty: float | None = None
    atom_uncertainties: NDArray[np.float64] | None = field(default=None, compare=False)
    doubt: str | None = None
    snapped: float | None = None
    judge: str | None = None
    judge_energy: float | None = None
    judge_remark: str | None = None

    @property
    def energy_per_atom(self) -> float:
        """eV/atom."""
        return self.energy / len(self.structure) if self.structure else math.nan

    @property
    def verdict(self) -> str:
        """`reason`, or "accepted", then `doubt` and `judge_remark`."""
        remarks = (self.reason or "accepted", self.doubt, self.judge_remark)
        return "; ".join(remark for remark in remarks if remark)

    @property
    def judge_energy_per_atom(self) -> float:
        """eV/atom; NaN without a second potential."""
        if self.judge_energy is None or self.structure is None:
            return math.nan
        return self.judge_energy / len(self.structure)

    def __repr__(self) -> str:
        what = "no structure" if self.structure is None else self.structure.composition.formula
        return (
            f"RelaxResult({what}: {self.energy:.4f} eV, {self.fmax:.3g} eV/Å after {self.steps} "
            f"steps; {self.verdict})"
        )

    def labelled(self, index: int) -> Structure:
        """The structure with its numbers among its properties, and the forces as a site property:
        what files of relaxed structures hold.

        Args:
            index: Its number among all, which becomes `crysdiff_index`.
        """
        assert self.structure is not None
        known = {
            "crysdiff_index": index,
            "crysdiff_energy": self.energy,
            "crysdiff_energy_per_atom": self.energy_per_atom,
            "crysdiff_first_energy": self.first_energy,
            "crysdiff_fmax": self.fmax,
            "crysdiff_steps": self.steps,
            "crysdiff_converged": self.converged,
            "crysdiff_accepted": self.accepted,
            "crysdiff_remark": self.reason or "",
            UNCERTAINTY: self.uncertainty,
            DOUBT: self.doubt,
            "crysdiff_first_space_group": self.space_group,
            "crysdiff_unsymmetric": self.unsymmetric,
            "crysdiff_symmetric_energy": self.symmetric_energy,
            "crysdiff_kept_symmetry": self.kept_symmetry,
            "crysdiff_snapped": self.snapped,
            STRESS: None if self.stress is None else self.stress.tolist(),
            JUDGE: self.judge,
            JUDGE_ENERGY: None if self.judge_energy is None else self.judge_energy_per_atom,
            JUDGE_REMARK: self.judge_remark,
        }
        told = {name: value for name, value in known.items() if value is not None}
        # Without what an earlier relaxation, maybe with another potential, has left.
        kept = {n: v for n, v in self.structure.properties.items() if n not in known}
        labelled = copy_of(self.structure, {**kept, **told})
        if self.forces is not None:
            labelled.add_site_property(FORCES, self.forces.tolist())
        elif FORCES in labelled.site_properties:
            labelled.remove_site_property(FORCES)
        return labelled

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the result again."""
        given = {name: getattr(self, name) for name in _ARRAYS}
        arrays = {name: None if a is None else a.tolist() for name, a in given.items()}
        structure = None if self.structure is None else self.structure.as_dict()
        kind = {"@module": type(self).__module__, "@class": type(self).__name__}
        return {**kind, **vars(self), **arrays, "structure": structure}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "RelaxResult":
        """The result that `as_dict` described."""
        values = {name: value for name, value in d.items() if not name.startswith("@")}
        if isinstance(values["structure"], Mapping):
            values["structure"] = Structure.from_dict(values["structure"])
        arrays = {n: None if values.get(n) is None else np.array(values[n]) for n in _ARRAYS}
        return cls(**{**values, **arrays})


_ARRAYS = ("forces", "stress", "atom_uncertainties")


def result_of(first: Structure, outcome: Outcome, fmax: float, potential: str) -> RelaxResult:
    """The outcome as a structure that keeps all else of the first one, with a verdict.

    Args:
        first: The structure as it was given.
        outcome: What became of it.
        fmax: Limit of its forces, eV/Å.
        potential: Name of the potential.
    """
    final = copy_of(first)
    final.lattice = Lattice(outcome.final.cells[0].cpu().numpy())
    for site, position in zip(final, outcome.final.positions.cpu().numpy(), strict=True):
        site.coords = position
    reason = outcome.failure or rejection_reason(first, final, outcome.first_energy, outcome.energy)
    accepted = reason is None
    # Nothing pulls at the atoms of a gas, which is no minimum.
    converged = outcome.converged and not (reason or "").endswith(GAS)
    if reason is None and not outcome.converged:
        reason = (
            f"not converged: after {outcome.steps} steps the largest force is {outcome.fmax:.3g} "
            f"eV/Å, above {fmax:g}"
        )
    return RelaxResult(
        final,
        converged,
        outcome.steps,
        outcome.energy,
        outcome.fmax,
        outcome.first_energy,
        accepted,
        reason,
        forces=_finite(outcome.forces),
        stress=_finite(outcome.stress),
        **_believed(final, outcome.uncertainty, potential),
    )


def _believed(final: Structure, said: Uncertainty | None, potential: str) -> dict[str, Any]:
    """What a result says of how far its energy is to be believed."""
    if said is None or not torch.isfinite(said.systems[0]):
        return {}
    value, atoms = float(said.systems[0]), said.atoms.numpy()
    return {
        "uncertainty": value,
        "atom_uncertainties": atoms,
        "doubt": doubt(potential, value, said.limit, atoms, [site.specie.Z for site in final]),
    }


def _finite(values: Tensor | None) -> NDArray[np.float64] | None:
    """As an array; None if a number is missing."""
    found = None if values is None else values.double().numpy()
    return None if found is None or not np.isfinite(found).all() else found

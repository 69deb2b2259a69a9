"""Published metrics of generated molecules: stability by the rule of bonds, validity, uniqueness,
novelty.
"""

from collections.abc import Collection, Sequence

import numpy as np
from pymatgen.core import Molecule

from ase_crysdiff.crystal.molecule_bonds import MARGINS, stable_atoms
from ase_crysdiff.crystal.smiles import smiles
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.base import MetricResult, rate, wilson

_RULE = {"bonds": "EDM", "margins_pm": MARGINS}


def atom_stability(molecules: Sequence[Molecule | None]) -> MetricResult:
    """Share of the atoms whose bonds add up to their valence; `per_structure` has the share of each
    molecule. What could not be drawn has no atoms and counts in `failures` alone.

    Raises:
        InputError: If there are no molecules.
    """
    verdicts = _verdicts(molecules)
    known = [v for v in verdicts if v is not None]
    hits, total = sum(int(v.sum()) for v in known), sum(map(len, known))
    if not total:
        raise InputError("There are no molecules to score.")
    shares = tuple(None if v is None else float(v.mean()) for v in verdicts)
    return MetricResult(hits / total, wilson(hits, total), shares, _missing(molecules), _RULE)


def molecule_stability(molecules: Sequence[Molecule | None]) -> MetricResult:
    """Share of the molecules all of whose atoms are stable; what could not be drawn is not.

    Raises:
        InputError: If there are no molecules.

    Source: Hoogeboom et al. 2022 (EDM), as `atom_stability`.
    """
    verdicts = [v is not None and bool(v.all()) for v in _verdicts(molecules)]
    return rate(verdicts, _missing(molecules), _RULE)


def written(molecules: Sequence[Molecule | None]) -> list[str | None]:
    """Canonical SMILES of the largest part of each molecule; None where RDKit refuses it.

    Raises:
        MissingExtraError: If RDKit is not installed.
    """
    return [None if m is None else smiles(_numbers(m), m.cart_coords) for m in molecules]


def validity(texts: Sequence[str | None]) -> MetricResult:
    """Share of the molecules that RDKit accepts.

    Args:
        texts: What `written` returns.
    """
    return rate([text is not None for text in texts], {}, {"rule": "RDKit sanitises, largest part"})


def valid_and_unique(texts: Sequence[str | None]) -> MetricResult:
    """Different valid molecules over all that were asked for, the product of the published validity
    and uniqueness.

    Args:
        texts: What `written` returns.
    """
    seen: set[str] = set()
    verdicts = []
    for text in texts:
        verdicts.append(text is not None and text not in seen)
        seen |= set() if text is None else {text}
    return rate(verdicts, {}, {"count": len(texts)})


def novelty(texts: Sequence[str | None], known: Collection[str]) -> MetricResult:
    """Share of the valid and unique molecules that are not among the known ones.

    Args:
        texts: What `written` returns.
        known: Canonical SMILES.

    Raises:
        InputError: If no molecule is valid.
    """
    found = sorted({text for text in texts if text is not None})
    return rate([text not in known for text in found], {}, {"known": len(known)})


def _verdicts(molecules: Sequence[Molecule | None]) -> "list[np.ndarray | None]":
    return [None if m is None else stable_atoms(_numbers(m), m.cart_coords) for m in molecules]


def _numbers(molecule: Molecule) -> "np.ndarray":
    return np.array([site.specie.Z for site in molecule])


def _missing(molecules: Sequence[Molecule | None]) -> dict[int, str]:
    return {i: "not drawn" for i, m in enumerate(molecules) if m is None}

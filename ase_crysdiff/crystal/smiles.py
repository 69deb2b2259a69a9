"""Molecules as RDKit sees them, from the bonds of `crystal.molecule_bonds`."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.crystal.molecule_bonds import bond_orders
from ase_crysdiff.errors import MissingExtraError


def has_rdkit() -> bool:
    """Whether RDKit is installed."""
    return find_spec("rdkit") is not None


def smiles(species: NDArray[Any], positions: NDArray[Any]) -> str | None:
    """Canonical SMILES of the largest connected part of a molecule; None where RDKit refuses it.

    Args:
        species: Atomic numbers, shape (atoms,).
        positions: Å, shape (atoms, 3).

    Raises:
        MissingExtraError: If RDKit is not installed.

    Source: Hoogeboom et al. 2022 (EDM), validity of the published code.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise MissingExtraError(
            "SMILES and validity need RDKit: pip install 'ase-crysdiff[molecules]'"
        ) from error
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    kinds = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    molecule = Chem.RWMol()
    for z in species.tolist():
        molecule.AddAtom(Chem.Atom(int(z)))
    orders = bond_orders(species, positions)
    for first, second in np.argwhere(np.triu(orders)).tolist():
        molecule.AddBond(first, second, kinds[int(orders[first, second]) - 1])
    try:
        Chem.SanitizeMol(molecule)
        parts = Chem.GetMolFrags(molecule.GetMol(), asMols=True)
        largest = max(parts, key=lambda part: part.GetNumAtoms())
        Chem.SanitizeMol(largest)
        return str(Chem.MolToSmiles(Chem.RemoveHs(largest)))
    except ValueError:  # of valences, aromatic rings and the like
        return None

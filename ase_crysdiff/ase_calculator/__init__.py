"""Potentials as ASE calculators. Importing this room imports ASE and numpy; torch follows when a
calculator is made.

The classes live here, under a name that is ours alone, so that strings in databases and workflows
stay valid; users import them from `calculators`.
"""

from ase_crysdiff.ase_calculator.daop import DAOPCalculator
from ase_crysdiff.ase_calculator.potential_calculator import PotentialCalculator
from ase_crysdiff.ase_calculator.registration import register

__all__ = ["DAOPCalculator", "PotentialCalculator", "register"]

register()

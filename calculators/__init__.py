"""ASE calculators of ase-crysdiff. Their classes are defined in `ase_crysdiff`, a name that is ours
alone.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_crysdiff.ase_calculator import DAOPCalculator, PotentialCalculator

__version__ = version("ase-crysdiff")
__all__ = ["DAOPCalculator", "PotentialCalculator"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ase_crysdiff.ase_calculator"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""ASE calculators of ase-crysdiff. Their classes are defined in `ase_crysdiff`, a name that is ours alone."""

from importlib.metadata import version

__version__ = version("ase-crysdiff")

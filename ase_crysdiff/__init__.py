"""Crystal generation: tensors in, tensors out. Users of pymatgen start at `pymatgen_ext`, users of ASE at `calculators`."""

from importlib.metadata import version

__version__ = version("ase-crysdiff")

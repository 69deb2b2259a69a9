"""Crystal generation: tensors in, tensors out. Users of pymatgen start at `pymatgen_ext`, users of
ASE at `calculators`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ase-crysdiff")
except (
    PackageNotFoundError
):  # training from a source tree on a machine where nothing can be installed
    __version__ = "0+source"

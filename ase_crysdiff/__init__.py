"""Crystal generation: tensors in, tensors out. Users of pymatgen start at `pymatgen_ext`, users of
ASE at `calculators`; what those two offer can be imported from here, too.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("ase-crysdiff")
except (
    PackageNotFoundError
):  # training from a source tree on a machine where nothing can be installed
    __version__ = "0+source"

#: Public names by the package that offers them; imported when they are first used. They stand here,
#: since `from ase_crysdiff import registry` looks for an attribute first and may import neither
#: package, which a source tree for training cannot.
_OFFERED = {
    "calculators": ("DAOPCalculator", "PotentialCalculator"),
    "pymatgen_ext": (
        "EnergyGuidance",
        "HostGuidedGeneration",
        "InpaintTransformation",
        "MoleculeSampler",
        "MoleculeSet",
        "PropertySteering",
        "Prototype",
        "SampleSet",
        "Scaffold",
        "StructurePredictor",
        "StructureSampler",
        "available_predictors",
        "available_samplers",
        "building_blocks",
        "discover",
        "energy_above_hull",
        "evaluate",
        "find_scaffold",
        "from_disordered",
        "relax",
    ),
}


def __getattr__(name: str) -> Any:
    for package, names in _OFFERED.items():
        if name in names:
            return getattr(import_module(package), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *(name for names in _OFFERED.values() for name in names)])

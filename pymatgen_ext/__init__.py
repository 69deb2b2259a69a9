"""Crystals as pymatgen structures: generated, relaxed, scored. Names are imported when they are
first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_crysdiff.predictors.steering import PropertySteering
    from ase_crysdiff.relaxation.structures import relax
    from ase_crysdiff.sampling.molecules.molecule_set import MoleculeSet
    from ase_crysdiff.sampling.sample_set import SampleSet
    from ase_crysdiff.symmetry.finding import find_scaffold
    from ase_crysdiff.symmetry.prototype import Prototype
    from ase_crysdiff.symmetry.scaffold import Scaffold
    from pymatgen_ext.blocks import building_blocks
    from pymatgen_ext.discovery import discover
    from pymatgen_ext.disorder import from_disordered
    from pymatgen_ext.evaluation import evaluate
    from pymatgen_ext.guidance import EnergyGuidance
    from pymatgen_ext.host_guided import HostGuidedGeneration
    from pymatgen_ext.molecules import MoleculeSampler
    from pymatgen_ext.named_sampler import available_samplers
    from pymatgen_ext.predictors import StructurePredictor, available_predictors
    from pymatgen_ext.samplers import StructureSampler
    from pymatgen_ext.stability import energy_above_hull
    from pymatgen_ext.transformation import InpaintTransformation

__version__ = version("ase-crysdiff")
__all__ = [
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
]

_HOMES = {
    "EnergyGuidance": "pymatgen_ext.guidance",
    "HostGuidedGeneration": "pymatgen_ext.host_guided",
    "InpaintTransformation": "pymatgen_ext.transformation",
    "MoleculeSampler": "pymatgen_ext.molecules",
    "MoleculeSet": "ase_crysdiff.sampling.molecules.molecule_set",
    "building_blocks": "pymatgen_ext.blocks",
    "from_disordered": "pymatgen_ext.disorder",
    "StructurePredictor": "pymatgen_ext.predictors",
    "available_predictors": "pymatgen_ext.predictors",
    "StructureSampler": "pymatgen_ext.samplers",
    "available_samplers": "pymatgen_ext.named_sampler",
    "SampleSet": "ase_crysdiff.sampling.sample_set",
    "discover": "pymatgen_ext.discovery",
    "evaluate": "pymatgen_ext.evaluation",
    "find_scaffold": "ase_crysdiff.symmetry.finding",
    "PropertySteering": "ase_crysdiff.predictors.steering",
    "Prototype": "ase_crysdiff.symmetry.prototype",
    "Scaffold": "ase_crysdiff.symmetry.scaffold",
    "relax": "ase_crysdiff.relaxation.structures",
    "energy_above_hull": "pymatgen_ext.stability",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

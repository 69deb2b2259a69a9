"""CHGGen's workflow: crystals by way of symmetric frameworks."""

from pymatgen_ext.host_guided.generation import HostGuidedGeneration

__all__ = ["HostGuidedGeneration"]

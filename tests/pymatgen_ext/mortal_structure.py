"""A structure that ends the process that looks at it, unless it was made there."""

import os

from pymatgen.core import Structure


class MortalStructure(Structure):
    """Symmetry finders and matchers ask for the coordinates, and so end their process."""

    def __init__(self, *arguments, **more):
        self.home = os.getpid()
        super().__init__(*arguments, **more)

    @property
    def frac_coords(self):
        if os.getpid() != self.home:
            os._exit(1)
        return super().frac_coords

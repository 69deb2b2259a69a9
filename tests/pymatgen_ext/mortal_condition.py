"""A condition for worker processes that end."""

import os
from dataclasses import dataclass
from pathlib import Path

from ase_crysdiff.conditions.base import Condition
from ase_crysdiff.errors import InputError


@dataclass(frozen=True)
class Mortal(Condition):
    """Ends the process once for each file in the folder; refuses if it finds a file `refuse`."""

    folder: Path

    def start(self, state, joint, layout):
        for file in sorted(self.folder.iterdir()):
            if file.name == "refuse":
                raise InputError("not in this world")
            try:
                file.unlink()
            except FileNotFoundError:  # it ended another process
                continue
            os._exit(9)
        return state

"""Drawing molecules into a folder that remembers which it holds."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ase_crysdiff.randomness import MAX_SEED
from ase_crysdiff.sampling.molecules.folder import MoleculeFolder
from ase_crysdiff.sampling.molecules.molecule_set import MoleculeSet
from ase_crysdiff.storage import Store

if TYPE_CHECKING:
    from ase_crysdiff.sampling.request import SampleRequest


@runtime_checkable
class MoleculeCollector(Protocol):
    """What is asked of a sampler, such as `pymatgen_ext.MoleculeSampler`."""

    @property
    def collect(self) -> Callable[..., MoleculeSet]:
        """Draws the molecules with the given indices of a run: request and indices, then `seed`,
        `on_draws` and the like by keyword.
        """
        ...


def draw_molecules_into(
    output: Path,
    sampler: "MoleculeCollector",
    request: "SampleRequest",
    settings: Mapping[str, Any],
    *,
    num_samples: int,
    seed: int | None = None,
    **how: Any,
) -> MoleculeSet:
    """Draws what is missing in a folder, then writes the common files there.

    The folder receives an XYZ file for every molecule as soon as it is drawn, and at the end
    `molecules.extxyz`, `molecules.csv` and `run.json`. Called again after an interruption, or for
    more molecules, it goes on where it was.

    Args:
        output: The folder; made if need be.
        sampler: Draws.
        request: What is asked for.
        settings: What the molecules depend on beside the seed; a folder of other settings is
            refused.
        num_samples: How many molecules the folder shall hold.
        seed: Of the run; None takes that of the folder, and a new one for a new folder.
        how: Further keywords of `collect`.

    Raises:
        InputError: If the folder cannot be written, or holds a run with other settings.
    """
    old = Store.record(output)
    if seed is None:
        seed = int(old["seed"]) if "seed" in old else secrets.randbelow(MAX_SEED)
    folder = MoleculeFolder(Store(output, settings, {"seed": seed}))
    missing = [i for i in range(num_samples) if i not in folder.done]
    drawn = sampler.collect(request, missing, seed=seed, on_draws=folder.on_draws, **how)
    return folder.finish(range(num_samples), drawn.report)

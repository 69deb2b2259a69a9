"""What a curation is told; light, as the command line reads it."""

from dataclasses import dataclass
from pathlib import Path

from ase_crysdiff.relaxation.settings import FMAX

#: Up to here a crystal counts as stable, eV/atom.
STABLE = 0.08
#: From there up to here it is relaxed for stage II, eV/atom.
RELAXED_BELOW = 0.5


@dataclass(frozen=True, kw_only=True)
class CurationOptions:
    """Options of `curate`.

    Args:
        output: folder for the results
        against: benchmarks: nothing that matches a crystal of these files is kept
        hull: CSV (reduced_formula, hull_energy_per_atom) for crystals without e_above_hull
        potential: gives energies and relaxes: dao-p or chgnet
        copies: unstable copies of every crystal, such as rattled and substituted
        min_atoms: smallest cell
        max_atoms: largest cell
        max_height: eV/atom above the hull must be below this
        fmax: force that may remain after relaxing, eV/Å
        relax_steps: steps at most for each crystal
        seed: of the copies
        workers: isolated processes that compare and relax; 0 does so in this one
        timeout: seconds for one comparison
    """

    output: Path = Path("curated")
    against: tuple[Path, ...] = ()
    hull: Path | None = None
    potential: str = "dao-p"
    copies: tuple[str, ...] = ()
    min_atoms: int = 3
    max_atoms: int = 30
    max_height: float = 1.0
    fmax: float = FMAX
    relax_steps: int = 200
    seed: int = 0
    workers: int = 1
    timeout: float = 30.0

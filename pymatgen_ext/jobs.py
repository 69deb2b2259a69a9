"""Evaluation as a step of a jobflow workflow. Needs the extra `workflows`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.campaigns.evaluation.relaxing import Options
from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.relaxation.settings import FMAX, STEPS

try:
    from jobflow import Maker, job
except ImportError as error:
    raise MissingExtraError("Jobs need jobflow: pip install 'ase-crysdiff[workflows]'") from error


@dataclass
class EvaluateMaker(Maker):  # type: ignore[misc]
    """Relaxes and scores structures in the folder of the job, where the report and the tables stay.

    Args:
        name: Of the job; runners choose workers by it.
        potential: Name of a potential; None relaxes nothing.
        reference: File of known crystals, or "shipped" for the fingerprints that come with the
            package; None scores no novelty.
        hull: CSV file of a hull, or "shipped" for the table that comes with the package; None gives
            no energies above the hull.
        fmax: Largest force that may remain, eV/Å.
        steps: At most so many for each structure.
        profile: Rule of S.U.N.
        workers: Processes that relax and compare, which may hang or die at the cost of one crystal;
            0 works in the job's own, without limits of time.
    """

    name: str = "evaluate structures"
    potential: str | None = "chgnet"
    reference: str | None = "shipped"
    hull: str | None = "shipped"
    fmax: float = FMAX
    steps: int = STEPS
    profile: str = "package"
    workers: int = 0

    @job  # type: ignore[untyped-decorator]
    def make(self, structures: list[Structure | None]) -> dict[str, Any]:
        """The job. Its output is what `results.json` holds, and `folder`.

        Args:
            structures: Structures or a reference to them; None stands for one that could not be
                made.
        """
        folder = Path.cwd() / "evaluation"
        results = evaluate_structures(
            structures,
            folder,
            reference=self.reference,
            hull=self.hull,
            potential=self.potential,
            options=Options(fmax=self.fmax, steps=self.steps),
            profile=self.profile,
            workers=self.workers,
            progress=False,
        )
        return {**results, "folder": str(folder)}

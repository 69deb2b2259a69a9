"""Drawing, relaxing, predicting and evaluating as steps of a jobflow workflow. Needs the extra
`workflows`.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.pipeline import evaluate_structures
from ase_crysdiff.campaigns.evaluation.relaxing import Options
from ase_crysdiff.errors import MissingExtraError
from ase_crysdiff.relaxation.relax_set import RelaxSet
from ase_crysdiff.relaxation.settings import FMAX, STEPS
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.sampling.sample_set import SampleSet
from pymatgen_ext.predictors import StructurePredictor
from pymatgen_ext.samplers import StructureSampler

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


@dataclass
class SampleMaker(Maker):  # type: ignore[misc]
    """Draws crystals. Many jobs share a campaign: each draws with a seed of its own.

    Args:
        name: Of the job.
        sampler: Name of a sampler.
        wishes: Keywords of `StructureSampler.sample`, such as `{"composition": "SrTiO3"}`; seeds
            too, without which a job draws its own and says so in the report.
        weights: Folder with other weights of that name.
    """

    name: str = "sample structures"
    sampler: str = "miad"
    wishes: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None

    @job  # type: ignore[untyped-decorator]
    def make(self, num_samples: int = 1, seed: int | None = None) -> SampleSet:
        """The job. Its output is a sequence of structures, as later jobs take them.

        Args:
            num_samples: How many crystals.
            seed: Of the draws; None takes that of the wishes, if any.
        """
        wishes = self.wishes if seed is None else {**self.wishes, "seed": seed}
        sampler = StructureSampler(self.sampler, weights=self.weights)
        return sampler.sample(num_samples, **wishes)


@dataclass
class RelaxMaker(Maker):  # type: ignore[misc]
    """Relaxes structures.

    Args:
        name: Of the job.
        potential: Name of a potential.
        fmax: Largest force that may remain, eV/Å.
        steps: At most so many for each structure.
        symmetric: Whether each keeps its symmetry.
    """

    name: str = "relax structures"
    potential: str = "dao-p"
    fmax: float = FMAX
    steps: int = STEPS
    symmetric: bool = False

    @job  # type: ignore[untyped-decorator]
    def make(self, structures: list[Structure | None]) -> RelaxSet:
        """The job. Its output is a `RelaxSet`.

        Args:
            structures: Structures, a `SampleSet`, or a reference to them.
        """
        return relax(
            structures,
            self.potential,
            fmax=self.fmax,
            steps=self.steps,
            symmetric=self.symmetric,
        )


@dataclass
class PredictMaker(Maker):  # type: ignore[misc]
    """Predicts properties.

    Args:
        name: Of the job.
        properties: Names of predictors.
    """

    name: str = "predict properties"
    properties: tuple[str, ...] = ("formation-energy", "band-gap")

    @job  # type: ignore[untyped-decorator]
    def make(self, structures: list[Structure | None] | RelaxSet) -> dict[str, Any]:
        """The job. Its output has for each property `values`, None where there is none, the `unit`,
        and `refused` and `remarks` by position.

        Args:
            structures: Structures, a `SampleSet` or a `RelaxSet`, or a reference to them.
        """
        relaxed = structures if isinstance(structures, RelaxSet) else None
        given = structures if relaxed is None else [result.structure for result in relaxed]
        found = {}
        for name in self.properties:
            predictor = StructurePredictor(name)
            values = predictor.predict(given, progress=False)
            assert predictor.report is not None
            found[name] = {
                "values": [float(v) if math.isfinite(v) else None for v in values],
                "unit": predictor.unit,
                "refused": {str(i): why for i, why in predictor.report.refused.items()},
                "remarks": {str(i): what for i, what in predictor.report.remarks.items()},
            }
        return found

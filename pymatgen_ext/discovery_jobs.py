"""`discover` as a step of a jobflow workflow, and flows that compute the winners by other makers,
such as those of atomate2 for density-functional theory. Needs the extra `workflows`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import MissingExtraError
from pymatgen_ext.discovery import discover

try:
    from jobflow import Flow, Maker, Response, job
except ImportError as error:
    raise MissingExtraError("Jobs need jobflow: pip install 'ase-crysdiff[workflows]'") from error


@dataclass
class DiscoverMaker(Maker):  # type: ignore[misc]
    """Looks for crystals in the folder of the job, where the report and the tables stay.

    Args:
        name: Of the job; runners choose workers by it.
        num_candidates: How many are wanted.
        options: Further keywords of `discover`, such as `{"seed": 0, "judge": "chgnet"}`: names and
            numbers only.
    """

    name: str = "discover crystals"
    num_candidates: int = 20
    options: dict[str, Any] = field(default_factory=dict)

    @job  # type: ignore[untyped-decorator]
    def make(self, wish: str) -> dict[str, Any]:
        """The job. Its output has the `structures` of the candidates, the best first, their rows in
        `candidates`, `rediscovered`, `funnel`, `settings`, `notes` and `folder`.

        Args:
            wish: A formula or a chemical system.
        """
        folder = Path.cwd() / "discovery"
        options = {"progress": False, **self.options}
        found = discover(wish, self.num_candidates, folder=folder, **options)
        return {
            "structures": list(found),
            "candidates": _rows(found.to_dataframe()),
            "rediscovered": _rows(found.rediscovered_dataframe()),
            "funnel": [list(stage) for stage in found.funnel],
            "settings": dict(found.settings),
            "notes": list(found.notes),
            "folder": str(folder),
        }


@dataclass
class DiscoverAndComputeMaker(Maker):  # type: ignore[misc]
    """Looks for crystals, then computes the best by another maker.

    Args:
        name: Of the flow.
        discover_maker: Looks for them.
        compute_maker: Whose `make` takes a structure, such as atomate2's `DoubleRelaxMaker`.
        most: Winners that are computed.
    """

    name: str = "discover and compute"
    discover_maker: DiscoverMaker = field(default_factory=DiscoverMaker)
    compute_maker: Any = None
    most: int = 5

    def make(self, wish: str) -> Any:
        """The flow. Its output lists the outputs of the computed winners, the best first.

        Args:
            wish: A formula or a chemical system.
        """
        found = self.discover_maker.make(wish)
        computed = compute_winners(found.output["structures"], self.compute_maker, self.most)
        return Flow([found, computed], output=computed.output, name=self.name)


@job  # type: ignore[untyped-decorator]
def compute_winners(structures: list[Any], maker: Any, most: int) -> Any:
    """Replaces itself by a computation of each of the first structures.

    Args:
        structures: The best first.
        maker: Whose `make` takes a structure.
        most: How many are computed.
    """
    jobs = [maker.make(structure) for structure in structures[:most]]
    if not jobs:
        return []
    return Response(replace=Flow(jobs, output=[one.output for one in jobs]))


def _rows(table: Any) -> list[dict[str, Any]]:
    """Rows of a table as plain values; None where there is none."""
    plain: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return plain

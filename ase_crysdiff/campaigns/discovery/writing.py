"""The files of a discovery: tables, crystals, and the report last."""

import base64
import json
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.discovery.citing import methods
from ase_crysdiff.campaigns.discovery.finds import Find
from ase_crysdiff.campaigns.discovery.result import Discovery
from ase_crysdiff.crystal.convert import copy_of
from ase_crysdiff.data.writing import cif_name, write
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.hull import Footing
from ase_crysdiff.report.discovery import (
    CandidateCard,
    DiscoveryPage,
    Estimate,
    FunnelStage,
    PageFigure,
    Rediscovered,
    discovery_report,
)
from ase_crysdiff.report.hull_marks import HullPoint
from ase_crysdiff.report.patterns import pattern_svg
from ase_crysdiff.report.phase_diagrams import hull_pictures
from ase_crysdiff.storage import ensure_writable, write_text
from ase_crysdiff.symmetry.refinement import SYMMETRY_ERRORS, conventional, space_group

#: Tolerance of the symmetry that files and pages show, Å.
_SYMPREC = 0.1
#: Reasons why crystals were lost that the page names.
_REASONS = 5


def write_discovery(found: Discovery, folder: Path) -> None:
    """Writes all files; where there is a report, there is everything.

    The folder gets `candidates.csv`, `rediscovered.csv`, the folder `candidates` of CIF files in
    conventional cells, `candidates.extxyz` and `candidates.db` with energies, forces and stresses,
    `results.json` and `report.html`; with a powder pattern the folder `fitted`, too, of crystals
    with the lattices and coordinates that fit it best.

    Args:
        found: What is written.
        folder: Where to; made if need be.

    Raises:
        InputError: If it cannot be written.
    """
    ensure_writable(folder)
    structures = list(found)
    for name, table in (
        ("candidates", found.to_dataframe()),
        ("rediscovered", found.rediscovered_dataframe()),
    ):
        write_text(folder / f"{name}.csv", table.to_csv(index=False))
    for old in (folder / "candidates").glob("*.cif"):  # of fewer draws, with other ranks
        old.unlink()
    fitted = [
        copy_of(f.fit.structure, {"crysdiff_index": i})
        for i, f in enumerate(found.candidates)
        if f.fit and f.fit.curves
    ]
    if fitted:
        write(fitted, {}, folder / "fitted", symprec=_SYMPREC)
    if structures:
        write(structures, {}, folder / "candidates", symprec=_SYMPREC)
        write(structures, {}, folder / "candidates.extxyz")
        write(structures, {}, folder / "candidates.db")
    write_text(folder / "results.json", json.dumps(summary(found), indent=1, default=str) + "\n")
    write_text(folder / "report.html", discovery_report(page_of(found)))


def summary(found: Discovery) -> dict[str, Any]:
    """What `results.json` holds: settings, funnel, and what became of the others."""
    return {
        "settings": dict(found.settings),
        "funnel": [{"stage": s, "count": n, "meaning": m} for s, n, m in found.funnel],
        "no_crystal": dict(found.tally.failed.most_common()),
        "not_believed": dict(found.tally.lost.most_common()),
        "candidates": len(found),
        "rediscovered": len(found.rediscovered),
        "notes": list(found.notes),
        "seconds": round(found.seconds, 1),
    }


def page_of(found: Discovery) -> DiscoveryPage:
    """What the report says."""
    settings = found.settings
    text, citations = methods(settings, found.tally.drawn, found.funnel[0][1])
    judge = settings.get("judge") or ""
    return DiscoveryPage(
        title=f"New crystals: {found.wish}" if settings["new_only"] else f"Crystals: {found.wish}",
        wish=(
            f"Crystals of {found.wish} within {settings['max_above_hull']:g} eV/atom of the hull"
            f"{' that are not known' if settings['new_only'] else ''}, looked for among "
            f"{found.tally.drawn:,} draws."
        ),
        summary=_answers(found),
        candidates=tuple(_card(find, i, s) for (i, find), s in zip(
            enumerate(found.candidates), found, strict=True)),
        funnel=tuple(FunnelStage(*stage) for stage in found.funnel[1:]),
        rediscovered=tuple(map(_known, found.rediscovered)),
        figures=tuple(_pictures(found)),
        pattern=_pattern(found),
        methods=text,
        citations=tuple(citations),
        facts={name: str(value) for name, value in settings.items() if value is not None},
        notes=found.notes,
        judge=judge,
    )  # fmt: skip


def _answers(found: Discovery) -> tuple[str, ...]:
    """What came out, in sentences."""
    low = sum(f.judged_height <= 0 for f in found.candidates)
    sentences = [
        f"{len(found)} candidates are left, {low} of them on or below the hull of known compounds.",
        f"{len(found.rediscovered)} known crystals were found again.",
    ]
    _, formulas, told = found.funnel[0]
    if formulas > 1:
        sentences.append(f"Of the formulas {told}.")
    lost = found.tally.lost + found.tally.failed
    if lost:
        reasons = "; ".join(f"{why} ({n})" for why, n in lost.most_common(_REASONS))
        sentences.append(f"{lost.total()} draws gave no sound crystal: {reasons}.")
    return tuple(sentences)


def _card(find: Find, position: int, structure: Any) -> CandidateCard:
    properties = {
        name: Estimate(value, unit, None if spread != spread else spread)
        for name, (value, spread, unit) in (find.properties or {}).items()
        if value == value
    }
    doubt = (find.result.doubt,) if find.result.doubt else ()
    fit = (f"pattern: {find.fit.remark} (misfit {find.fit.residual:.2f})",) if find.fit else ()
    return CandidateCard(
        rank=position + 1,
        structure=conventional(find.structure, _SYMPREC),
        formula=find.formula,
        space_group=_group(find),
        height=find.height,
        footing=str(find.footing),
        provenance=find.origin,
        file=f"candidates/{cif_name(structure)}",
        uncertainty=find.result.uncertainty,
        judge_height=find.judge_height,
        energy_per_atom=find.result.energy_per_atom,
        properties=properties,
        dynamics=find.dynamics or "",
        remarks=(*fit, *find.remarks, *doubt),
    )


def _known(find: Find) -> Rediscovered:
    return Rediscovered(
        find.formula, _group(find), find.height, find.origin, "; ".join(find.remarks)
    )


def _group(find: Find) -> str:
    try:
        return space_group(find.structure, _SYMPREC)[0]
    except SYMMETRY_ERRORS:
        return "unknown"


def _pattern(found: Discovery) -> PageFigure | None:
    """The measured pattern and the best fit; None without a pattern."""
    best = next((f.fit for f in found.candidates if f.fit and f.fit.curves), None)
    if best is None:
        return None
    text = base64.b64encode(pattern_svg(best).encode()).decode()
    label = f"Powder pattern and {best.structure.composition.reduced_formula}"
    return PageFigure(
        "Pattern, fit and difference of the first candidate",
        f'<img class="pattern" alt="{label}" src="data:image/svg+xml;base64,{text}">',
        best.remark,
    )


def _pictures(found: Discovery) -> list[PageFigure]:
    """Pictures of the hull, where the wish names elements that the hull knows."""
    if found.wish.symbols is None or found.hull.scale != "formation":
        return []
    points = [
        HullPoint(f.formula, f.height, f"{i}, {_group(f)}", f.footing is Footing.EXACT)
        for i, f in enumerate(found.candidates, start=1)
    ]
    try:
        pictures = hull_pictures(found.hull, found.wish.symbols, points)
    except InputError:
        return []
    return [PageFigure.of_hull(picture) for picture in pictures]

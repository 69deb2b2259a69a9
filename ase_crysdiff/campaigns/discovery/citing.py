"""What a paper should say of a discovery, and whom it should cite."""

from collections.abc import Mapping
from typing import Any

from ase_crysdiff.report.discovery import Citation
from ase_crysdiff.report.references import works, works_of


def methods(settings: Mapping[str, Any], drawn: int, formulas: int) -> tuple[str, list[Citation]]:
    """A paragraph that tells how the candidates came about, and the works that it names.

    Args:
        settings: Of the run.
        drawn: Crystals that were drawn.
        formulas: Formulas whose structures could be asked for; 0 for none.
    """
    used = ["Ong2013", "Togo2024"]
    samplers = " and ".join(f"{n} ({v or 'no weights'})" for n, v in settings["samplers"].items())
    sentences = [
        f"Candidates were searched with ase-crysdiff {settings['version']} (seed "
        f"{settings['seed']}). {drawn:,} crystals were drawn with the samplers {samplers}."
    ]
    if formulas > 1:
        used.insert(0, "Hautier2011")
        sentences.append(
            f"{formulas:,} formulas were proposed by exchanging elements in known crystals, in "
            "order of the resemblance of the elements [Hautier2011], and kept where the charge "
            "balances or no anion occurs."
        )
    sentences.append(
        f"All crystals were relaxed with the potential {settings['potential']}"
        f"{_cited(settings['potential'], used)}, keeping their space group [Togo2024], and placed "
        f"above the convex hull of the known compounds of {settings['hull']} [Jain2013] with "
        "pymatgen [Ong2013]."
    )
    used.append("Jain2013")
    if settings.get("judge"):
        sentences.append(
            f"Heights above the hull were judged by {settings['judge']}"
            f"{_cited(settings['judge'], used)} as well."
        )
    sentences.append(
        f"Different crystals within {settings['max_above_hull']:g} eV/atom of the hull were moved "
        "at random by 0.03 Å and relaxed without symmetry, compared with the known ones, and "
        "ranked by their height above the hull. The energies are those of a machine-learned "
        "potential; candidates should be computed by density-functional theory."
    )
    known = works()
    return " ".join(sentences), [Citation(key, known[key]) for key in dict.fromkeys(used)]


def _cited(potential: str, used: list[str]) -> str:
    """The works behind a potential, in brackets; they become used."""
    keys = works_of(potential)
    used.extend(keys)
    return f" [{', '.join(keys)}]" if keys else ""

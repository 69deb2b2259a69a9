"""What a paper should say of a discovery, and whom it should cite."""

from collections.abc import Mapping
from typing import Any

from ase_crysdiff.report.discovery import Citation

#: Entries by key.
_WORKS = {
    "Hautier2011": """@article{Hautier2011,
  author = {Hautier, Geoffroy and Fischer, Chris and Ehrlacher, Virginie and Jain, Anubhav and
            Ceder, Gerbrand},
  title = {Data Mined Ionic Substitutions for the Discovery of New Compounds},
  journal = {Inorganic Chemistry}, volume = {50}, pages = {656--663}, year = {2011},
  doi = {10.1021/ic102031h}
}""",
    "Jain2013": """@article{Jain2013,
  author = {Jain, Anubhav and Ong, Shyue Ping and Hautier, Geoffroy and Chen, Wei and Richards,
            William Davidson and Dacek, Stephen and Cholia, Shreyas and Gunter, Dan and Skinner,
            David and Ceder, Gerbrand and Persson, Kristin A.},
  title = {Commentary: The Materials Project: A materials genome approach to accelerating materials
           innovation},
  journal = {APL Materials}, volume = {1}, pages = {011002}, year = {2013},
  doi = {10.1063/1.4812323}
}""",
    "Ong2013": """@article{Ong2013,
  author = {Ong, Shyue Ping and Richards, William Davidson and Jain, Anubhav and Hautier, Geoffroy
            and Kocher, Michael and Cholia, Shreyas and Gunter, Dan and Chevrier, Vincent L. and
            Persson, Kristin A. and Ceder, Gerbrand},
  title = {Python Materials Genomics (pymatgen): A robust, open-source python library for materials
           analysis},
  journal = {Computational Materials Science}, volume = {68}, pages = {314--319}, year = {2013},
  doi = {10.1016/j.commatsci.2012.10.028}
}""",
    "Togo2024": """@article{Togo2024,
  author = {Togo, Atsushi and Shinohara, Kohei and Tanaka, Isao},
  title = {Spglib: a software library for crystal symmetry search},
  journal = {Science and Technology of Advanced Materials: Methods}, volume = {4},
  pages = {2384822}, year = {2024}, doi = {10.1080/27660400.2024.2384822}
}""",
    "DAO2026": """@article{DAO2026,
  author = {{GLAD-RUC}},
  title = {{DAO}: generative and predictive models of crystals on {Crysformer}},
  journal = {Nature Communications}, year = {2026}, doi = {10.1038/s41467-026-72362-3}
}""",
    "Deng2023": """@article{Deng2023,
  author = {Deng, Bowen and Zhong, Peichen and Jun, KyuJung and Riebesell, Janosh and Han, Kevin and
            Bartel, Christopher J. and Ceder, Gerbrand},
  title = {CHGNet as a pretrained universal neural network potential for charge-informed atomistic
           modelling},
  journal = {Nature Machine Intelligence}, volume = {5}, pages = {1031--1041}, year = {2023},
  doi = {10.1038/s42256-023-00716-3}
}""",
    "Park2024": """@article{Park2024,
  author = {Park, Yutack and Kim, Jaesun and Hwang, Seungwoo and Han, Seungwu},
  title = {Scalable Parallel Algorithm for Graph Neural Network Interatomic Potentials in Molecular
           Dynamics Simulations},
  journal = {Journal of Chemical Theory and Computation}, volume = {20}, pages = {4857--4868},
  year = {2024}, doi = {10.1021/acs.jctc.4c00190}
}""",
}
#: Works behind potentials, by the beginning of their name.
_POTENTIALS = {
    "dao-p": ("DAO2026", "Park2024", "Deng2023"),
    "chgnet": ("Deng2023",),
    "sevennet": ("Park2024",),
}


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
    return " ".join(sentences), [Citation(key, _WORKS[key]) for key in dict.fromkeys(used)]


def _cited(potential: str, used: list[str]) -> str:
    """The works behind a potential, in brackets; they become used."""
    keys = next((k for name, k in _POTENTIALS.items() if potential.startswith(name)), ())
    used.extend(keys)
    return f" [{', '.join(keys)}]" if keys else ""

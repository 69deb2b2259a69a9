"""The works that this package rests on, as BibTeX, and which of them are behind a name."""

import re
from functools import lru_cache
from importlib import resources

#: What every use rests on: structures, atoms, symmetry.
COMMON = ("Ong2013", "Larsen2017", "Togo2024")
#: Works behind parts, by name.
_PARTS: dict[str, tuple[str, ...]] = {
    "band-gap": ("CrysLDNet2026", "Shen2025", "Jain2013"),
    "band-gap-mbj": ("CrysLDNet2026", "Shen2025", "Hu2022"),
    "bulk-modulus": ("DAO2026", "CrysLDNet2026", "Shen2025", "deJong2015", "Choudhary2020"),
    "chgnet": ("Deng2023",),
    "chggen": ("Zhong2025", "Lugmayr2022", "Okhotin2025"),
    "comformer-pdd": ("CrysLDNet2026", "Yan2024", "Shen2025"),
    "crystal-graph": ("Xie2018",),
    "crysbfn": ("Wu2025", "Graves2023", "Jiao2023"),
    "crysldnet": ("CrysLDNet2026", "Shen2025"),
    "cspnet": ("Jiao2023",),
    "dao-g": ("DAO2026", "Jiao2023"),
    "dao-g-flow": ("DAO2026", "Jiao2023", "Miller2024", "Luo2025"),
    "dao-g-perov5": ("DAO2026", "Jiao2023", "Miller2024", "Luo2025"),
    "dao-p": ("DAO2026", "Park2024", "Deng2023"),
    "default": ("Hautier2011", "Jain2013", "DAO2026", "Jiao2023", "Miller2024", "Luo2025"),
    "denoising": ("Neumann2024",),
    "energy-above-hull": ("DAO2026", "Park2024", "Deng2023", "Jain2013"),
    "formation-energy": ("DAO2026", "Park2024", "Deng2023", "Jain2013"),
    "framework-prototypes": ("Chung2019", "Colon2017"),
    "geobfn": ("Song2024", "Graves2023", "Satorras2021", "Hoogeboom2022", "Ramakrishnan2014"),
    "jmp": ("Shoghi2024",),
    "matformer": ("Yan2022",),
    "miad": ("Okhotin2025", "Jiao2023", "Miller2024", "Luo2025"),
    "mofflow": ("Kim2025", "Chung2019", "Miller2024"),
    "pddformer": ("Shen2025",),
    "prototypes": ("Hautier2011", "Jain2013"),
    "sevennet-0": ("Park2024",),
    "sevennet-l3i5": ("Park2024",),
    "shear-modulus": ("DAO2026", "CrysLDNet2026", "Shen2025", "deJong2015", "Choudhary2020"),
    "tc": ("DAO2026", "CrysLDNet2026", "Shen2025", "Sommer2023", "Jain2013"),
    "tensornet": ("Simeon2023",),
    "wyckoff": ("Hautier2011", "DAO2026", "Jiao2023", "Miller2024", "Luo2025"),
}


@lru_cache(maxsize=1)
def works() -> dict[str, str]:
    """All works as BibTeX entries, by key."""
    text = resources.files("ase_crysdiff").joinpath("resources/references.bib").read_text("utf-8")
    entries = [entry.strip() for entry in re.split(r"\n\n(?=@)", text)]
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in entries}


def works_of(name: str) -> tuple[str, ...]:
    """Keys of the works behind a sampler, potential, predictor or encoder; none where nothing is
    known.

    Args:
        name: Registered name.
    """
    return _PARTS.get(name, ())


def named() -> tuple[str, ...]:
    """Names whose works are known."""
    return tuple(sorted(_PARTS))

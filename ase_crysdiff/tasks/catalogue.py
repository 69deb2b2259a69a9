"""Every task, each with its source. A further one is an entry here; where its table has a layout
that no other has, a function in `reading` besides.
"""

from functools import partial

from ase_crysdiff.tasks import reading
from ase_crysdiff.tasks.base import OFFICIAL, PUBLISHED, Task

_MOE = "partitions of Chang et al., npj Comput. Mater. 8, 242 (2022)"
_MIT, _CC_BY, _PUBLIC = "MIT (as edited by MoE)", "CC BY 4.0", "public domain"
_MP = "Jain et al., APL Mater. 1, 011002 (2013)"
_JARVIS = "Choudhary et al., npj Comput. Mater. 6, 173 (2020)"
_CASTELLI = "Castelli et al., Energy Environ. Sci. 5, 9034 (2012); Xie et al., ICLR 2022"
_ELASTIC = "de Jong et al., Sci. Data 2, 150009 (2015)"
_PHONONS = "Petretto et al., Sci. Data 5, 180065 (2018)"
_FLAT = "Choudhary et al., Sci. Rep. 7, 5179 (2017)"
_MATCALC = "Liu et al., MatCalc (2025); de Jong et al., Sci. Data 2, 150009 (2015)"
_3DSC = "Sommer et al., Sci. Data 10, 816 (2023); SuperCon, NIMS"
_SEVENNET = "Park et al., J. Chem. Theory Comput. 20, 4857 (2024)"


def _published(
    name: str, unit: str, rows: int, about: str, source: str, transform: str | None = None
) -> Task:
    file = f"tasks/{name}.csv.gz"
    return Task(
        name,
        unit,
        about,
        rows,
        partial(reading.published, file),
        (file,),
        f"{source}; {_MOE}",
        _MIT,
        transform,
        PUBLISHED,
    )


def _pool(name: str, column: str, unit: str, rows: int, about: str) -> Task:
    files = ("mp/train.csv.gz", "mp/pool_labels.csv.gz", "mp/extra.csv.gz")
    read = partial(reading.materials_project, column)
    return Task(name, unit, about, rows, read, files, _MP, _CC_BY)


def _jarvis(
    name: str,
    column: str,
    unit: str,
    rows: int,
    about: str,
    transform: str | None = None,
    least: float | None = None,
) -> Task:
    file = "jarvis/dft_3d_subset.csv.gz"
    read = partial(reading.column, file, column, least=least)
    return Task(name, unit, about, rows, read, (file,), _JARVIS, _PUBLIC, transform)


def _perov(name: str, column: str, rows: int, about: str, unit: str) -> Task:
    file = "perov_5/val.csv.gz"
    read = partial(reading.column, file, column)
    return Task(name, unit, about, rows, read, (file,), _CASTELLI, "MIT (as edited by CDVAE)")


def _matcalc(
    file: str,
    name: str,
    column: str,
    unit: str,
    rows: int,
    about: str,
    transform: str | None = None,
    per_atom: bool = False,
) -> Task:
    read = partial(reading.matcalc, file, column, per_atom=per_atom)
    return Task(name, unit, about, rows, read, (file,), _MATCALC, _CC_BY, transform)


def _teacher(name: str, unit: str, rows: int, about: str, transform: str | None = None) -> Task:
    file = "labels/sevennet_train.npz"
    read = partial(reading.teacher, name.removeprefix("teacher_"))
    return Task(name, unit, about, rows, read, (file,), _SEVENNET, "MIT", transform)


TASKS: tuple[Task, ...] = (
    _published("phonon_peak", "1/cm", 1265, "highest peak of the phonon DOS, DFT", _PHONONS, "log"),
    _published("eps_electronic", "1", 1296, "electronic dielectric constant, DFT", _PHONONS, "log"),
    _published(
        "poly_electronic",
        "1",
        1056,
        "electronic dielectric constant of the polycrystal, DFT",
        "Petousis et al., Sci. Data 4, 160134 (2017)",
    ),
    _published("elastic_anisotropy", "1", 1181, "universal elastic anisotropy, DFT", _ELASTIC),
    _published("poisson_ratio", "1", 1181, "Poisson's ratio of the polycrystal, DFT", _ELASTIC),
    _published(
        "piezoelectric_modulus",
        "C/m²",
        941,
        "largest piezoelectric modulus, DFT",
        "de Jong et al., Sci. Data 2, 150053 (2015)",
        "log1p",
    ),
    _published(
        "expt_formation_enthalpy",
        "eV/atom",
        1709,
        "enthalpy of formation, measured",
        "Kim et al., Sci. Data 4, 170162 (2017); Wang et al., Sci. Rep. 11, 15496 (2021)",
    ),
    _published(
        "exfoliation_energy_2d",
        "meV/atom",
        636,
        "exfoliation energy of layered crystals, DFT",
        _FLAT,
    ),
    _published(
        "formation_energy_2d", "eV/atom", 633, "formation energy of single layers, DFT", _FLAT
    ),
    _published("dielectric_2d", "1", 522, "mean dielectric constant of single layers, DFT", _FLAT),
    _published(
        "expt_band_gap",
        "eV",
        1498,
        "band gap, measured; 1,498 of the 2,481 published rows",
        "Zhuo et al., J. Phys. Chem. Lett. 9, 1668 (2018)",
    ),
    _pool(
        "mp_formation_energy",
        "formation_energy_per_atom",
        "eV/atom",
        66645,
        "formation energy, DFT",
    ),
    _pool("mp_energy_above_hull", "e_above_hull", "eV/atom", 66640, "height above the hull, DFT"),
    _pool("mp_band_gap", "band_gap", "eV", 34132, "band gap, PBE"),
    _matcalc(
        "potentials/elasticity_binary.json.gz",
        "bulk_modulus",
        "bulk_modulus_vrh",
        "GPa",
        3153,
        "bulk modulus of binary crystals, DFT",
        "log",
    ),
    _matcalc(
        "potentials/elasticity_binary.json.gz",
        "shear_modulus",
        "shear_modulus_vrh",
        "GPa",
        3153,
        "shear modulus of binary crystals, DFT",
        "log",
    ),
    _matcalc(
        "potentials/heat_capacity_binary.json.gz",
        "heat_capacity",
        "heat_capacity",
        "J/mol/K",
        869,
        "heat capacity per atom at 300 K of binary crystals, DFT",
        per_atom=True,
    ),
    _jarvis(
        "jarvis_formation_energy",
        "formation_energy_peratom",
        "eV/atom",
        1525,
        "formation energy, OptB88vdW",
    ),
    _jarvis(
        "jarvis_energy_above_hull", "ehull", "eV/atom", 1525, "height above the hull, OptB88vdW"
    ),
    _jarvis("jarvis_band_gap", "optb88vdw_bandgap", "eV", 1525, "band gap, OptB88vdW"),
    _jarvis("jarvis_band_gap_mbj", "mbj_bandgap", "eV", 492, "band gap, mBJ"),
    _jarvis("jarvis_bulk_modulus", "bulk_modulus_kv", "GPa", 508, "bulk modulus, DFT", "log", 0.0),
    _jarvis(
        "jarvis_shear_modulus", "shear_modulus_gv", "GPa", 442, "shear modulus, DFT", "log", 0.0
    ),
    _perov(
        "perov5_formation_energy",
        "heat_all",
        3787,
        "formation energy of perovskites of five atoms, DFT",
        "eV/cell",
    ),
    _perov("perov5_direct_gap", "dir_gap", 3787, "direct band gap of perovskites, DFT", "eV"),
    _perov("perov5_indirect_gap", "ind_gap", 3787, "indirect band gap of perovskites, DFT", "eV"),
    Task(
        "tc_computed",
        "K",
        "critical temperature of superconductors, computed",
        616,
        reading.computed_tc,
        ("superconductors/jarvis_dft_tc.csv.gz",),
        "Choudhary and Garrity, npj Comput. Mater. 8, 244 (2022)",
        _PUBLIC,
        "log1p",
        OFFICIAL,
    ),
    Task(
        "tc_measured",
        "K",
        "critical temperature of superconductors, measured; 0 where none was found",
        3807,
        partial(reading.measured_tc, "superconductors/3dsc_mp_ordered.csv.gz"),
        ("superconductors/3dsc_mp_ordered.csv.gz",),
        _3DSC,
        _CC_BY,
        "log1p",
        grouping="measured formulas and crystals that hang together",
    ),
    _teacher("teacher_pressure", "GPa", 57304, "pressure of perturbed crystals, SevenNet-l3i5"),
    _teacher(
        "teacher_largest_force",
        "eV/Å",
        57304,
        "largest force in perturbed crystals, SevenNet-l3i5",
        "log1p",
    ),
)

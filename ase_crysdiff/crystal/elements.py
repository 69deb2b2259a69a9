"""Symbols, electronegativities and masses of the elements, for rooms without ASE and pymatgen.

Source: Pauling electronegativities (as `pymatgen.core.Element.X`) and IUPAC masses (as
`ase.data.atomic_masses`); tests compare the tables with those of ASE and pymatgen.
"""

from ase_crysdiff.errors import InputError

_TABLE = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge "
    "As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm "
    "Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U "
    "Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
#: By atomic number; X at place 0.
SYMBOLS: tuple[str, ...] = tuple(_TABLE.split())
# fmt: off
#: Pauling's, by atomic number; 0 where none is known.
ELECTRONEGATIVITIES: tuple[float, ...] = (
    0.00, 2.20, 0.00, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 0.00, 0.93, 1.31, 1.61, 1.90, 2.19,
    2.58, 3.16, 0.00, 0.82, 1.00, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.90, 1.65, 1.81,
    2.01, 2.18, 2.55, 2.96, 3.00, 0.82, 0.95, 1.22, 1.33, 1.60, 2.16, 1.90, 2.20, 2.28, 2.20, 1.93,
    1.69, 1.78, 1.96, 2.05, 2.10, 2.66, 2.60, 0.79, 0.89, 1.10, 1.12, 1.13, 1.14, 1.13, 1.17, 1.20,
    1.20, 1.10, 1.22, 1.23, 1.24, 1.25, 1.10, 1.27, 1.30, 1.50, 2.36, 1.90, 2.20, 2.20, 2.28, 2.54,
    2.00, 1.62, 2.33, 2.02, 2.00, 2.20, 2.20, 0.70, 0.90, 1.10, 1.30, 1.50, 1.38, 1.36, 1.28, 1.30,
    1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30,
)
#: IUPAC's of 2016, in atomic mass units, by atomic number; 0 for X.
MASSES: tuple[float, ...] = (
    0.000, 1.008, 4.003, 6.940, 9.012, 10.810, 12.011, 14.007, 15.999, 18.998, 20.180, 22.990,
    24.305, 26.982, 28.085, 30.974, 32.060, 35.450, 39.948, 39.098, 40.078, 44.956, 47.867, 50.941,
    51.996, 54.938, 55.845, 58.933, 58.693, 63.546, 65.380, 69.723, 72.630, 74.922, 78.971, 79.904,
    83.798, 85.468, 87.620, 88.906, 91.224, 92.906, 95.950, 97.907, 101.070, 102.906, 106.420,
    107.868, 112.414, 114.818, 118.710, 121.760, 127.600, 126.904, 131.293, 132.905, 137.327,
    138.905, 140.116, 140.908, 144.242, 144.913, 150.360, 151.964, 157.250, 158.925, 162.500,
    164.930, 167.259, 168.934, 173.054, 174.967, 178.490, 180.948, 183.840, 186.207, 190.230,
    192.217, 195.084, 196.967, 200.592, 204.380, 207.200, 208.980, 208.982, 209.987, 222.018,
    223.020, 226.025, 227.028, 232.038, 231.036, 238.029, 237.048, 244.064, 243.061, 247.070,
    247.070, 251.080, 252.083,
)
# fmt: on
_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def atomic_number(symbol: str) -> int:
    """The atomic number of an element.

    Raises:
        InputError: If no element has this symbol.
    """
    number = _NUMBERS.get(symbol, 0)
    if not number:
        raise InputError(f"{symbol!r} is the symbol of no element.")
    return number


def by_electronegativity(number: int) -> tuple[float, int]:
    """Sorting key: elements in the order of their electronegativity, then of atomic number."""
    value = ELECTRONEGATIVITIES[number] if number < len(ELECTRONEGATIVITIES) else 0.0
    return value, number

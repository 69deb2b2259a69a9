"""What others have published on the same partitions: mean absolute errors, mean over the five.

Sources: MoE-18 and the partitions, Chang et al., npj Comput. Mater. 8, 242 (2022); CGCNN, JMP (one
task at a time) and MoMa as tabulated in arXiv:2502.15483 (2025). Of
`expt_band_gap` they had all 2,481 rows, here are 1,498.
"""

from collections.abc import Mapping

SYSTEMS = ("CGCNN", "MoE-18", "JMP", "MoMa")

PUBLISHED: Mapping[str, tuple[float, float, float, float]] = {
    "phonon_peak": (0.126, 0.103, 0.076, 0.057),
    "eps_electronic": (0.170, 0.147, 0.116, 0.106),
    "poly_electronic": (2.94, 2.70, 2.09, 2.20),
    "elastic_anisotropy": (3.69, 3.08, 2.45, 2.84),
    "poisson_ratio": (0.033, 0.029, 0.022, 0.022),
    "piezoelectric_modulus": (0.288, 0.206, 0.179, 0.176),
    "expt_formation_enthalpy": (0.194, 0.095, 0.162, 0.145),
    "exfoliation_energy_2d": (62.0, 52.8, 35.1, 34.3),
    "formation_energy_2d": (0.165, 0.105, 0.140, 0.109),
    "dielectric_2d": (2.71, 2.27, 2.39, 2.32),
    "expt_band_gap": (0.460, 0.376, 0.383, 0.347),
}

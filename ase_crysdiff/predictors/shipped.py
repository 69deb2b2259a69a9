"""The predictors that ship: what the entry points of `ase_crysdiff.predictors` name."""

from functools import partial

from ase_crysdiff.predictors.loading import from_folder

formation_energy = partial(from_folder, "formation-energy")
energy_above_hull = partial(from_folder, "energy-above-hull")
band_gap = partial(from_folder, "band-gap")
bulk_modulus = partial(from_folder, "bulk-modulus")
shear_modulus = partial(from_folder, "shear-modulus")
band_gap_mbj = partial(from_folder, "band-gap-mbj")

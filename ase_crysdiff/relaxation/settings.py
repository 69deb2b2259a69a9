"""When a relaxation ends, unless the caller says otherwise."""

#: Converged when no atom and no row of the cell feels more, eV/Å (ASE's measure of
#: `FrechetCellFilter`).
FMAX = 0.05
#: Steps at most for each crystal.
STEPS = 500
#: Tolerance, Å, at which a symmetry that is to be kept is found: 98 % of the Materials Project's
#: crystals have the same space group at a tenth of it.
SYMPREC = 0.1
#: How far atoms are moved before a crystal relaxes without its symmetry, Å.
RELEASE = 0.03

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
#: Where a symmetry is released, both relaxations go on to forces of at most this, eV/Å: moved by
#: 0.03 Å along a mode of curvature -0.5 eV/Å², a crystal feels 0.015.
RELEASE_FMAX = 0.01

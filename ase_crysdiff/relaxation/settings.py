"""When a relaxation ends, unless the caller says otherwise."""

#: Converged when no atom and no row of the cell feels more, eV/Å (ASE's measure of
#: `FrechetCellFilter`).
FMAX = 0.05
#: Steps at most for each crystal.
STEPS = 500

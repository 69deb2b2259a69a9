"""Distances and limits that several rooms need. Covalent radii come from `ase.data` (Cordero et al.
2008).
"""

#: Shortest interatomic distance of a structure that may be handed to third-party code at all, Å.
GATE_DISTANCE = 0.5
#: Below this multiple of the sum of covalent radii a pair of atoms is flagged as too close.
FLAG_FRACTION = 0.6
#: A structure is accepted as physical above this multiple of the sum of covalent radii.
ACCEPT_FRACTION = 0.7
#: Smallest volume of a cell that may be handed to third-party code, Å³.
GATE_VOLUME = 0.1
#: Volume per atom of a physical crystal, Å³/atom.
VOLUME_PER_ATOM = (3.0, 200.0)

#: Species classes of the networks: 0 is a vacancy ("mirage"), 1-99 are atomic numbers.
NUM_SPECIES = 100
VACANCY = 0

#: Largest seed of a run.
MAX_SEED = 2**63 - 1

#: Steps of the trained time axis: time t in [0, 1] is step k = TRAINED_STEPS * t of the papers.
TRAINED_STEPS = 1000

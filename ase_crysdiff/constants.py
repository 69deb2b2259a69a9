"""Distances and limits that several rooms need. Covalent radii come from `ase.data` (Cordero et al.
2008).
"""

from dataclasses import dataclass

#: Shortest interatomic distance of a structure that may be handed to third-party code at all, Å.
GATE_DISTANCE = 0.5
#: At or below this multiple of the sum of covalent radii no pair of atoms is physical.
PHYSICAL_FRACTION = 0.6
#: Stricter than `PHYSICAL_FRACTION`: `relax` marks a result as accepted, and `distance_validity`
#: counts a structure, only if every distance exceeds this multiple of the sum of covalent radii.
ACCEPT_FRACTION = 0.7
#: An atom is alone, not part of a crystal, if its nearest neighbour is farther than this, Å, ...
LONELY_DISTANCE = 5.0
#: ... and than this multiple of the sum of their covalent radii: caesium's neighbours are 5.3 Å
#: away, 1.08 of it. In 2,500 crystals of `mp/val` no nearest neighbour is farther than 4.35 Å, but
#: in one, whose cell has broken apart.
LONELY_FRACTION = 1.3
#: Smallest volume of a cell that may be handed to third-party code, Å³.
GATE_VOLUME = 0.1
#: Smallest volume that anything is computed or learnt for, Å³/atom: no matter on Earth is denser,
#: and the number of neighbours grows without bound below it.
SMALLEST_VOLUME_PER_ATOM = 1.0
#: Volume per atom of a physical crystal, Å³/atom.
VOLUME_PER_ATOM = (3.0, 200.0)


@dataclass(frozen=True)
class Limits:
    """What a crystal must keep to be called sound for a purpose; see `crystal.soundness.unsound`.

    Args:
        distance: No two atoms are closer, and no cell is thinner, Å.
        cell_volume: No cell is smaller, Å³.
        volume_per_atom: Smallest and largest, Å³/atom.
        radii_fraction: Every distance exceeds this fraction of the sum of the covalent radii; 0 for
            no such limit.
    """

    distance: float = GATE_DISTANCE
    cell_volume: float = GATE_VOLUME
    volume_per_atom: tuple[float, float] = (0.0, float("inf"))
    radii_fraction: float = 0.0


#: What may be handed to symmetry finders, matchers and other third-party code.
GATE = Limits()
#: What a network or a potential may be asked about, and learn from.
COMPUTABLE = Limits(volume_per_atom=(SMALLEST_VOLUME_PER_ATOM, float("inf")))
#: What a sampler hands out.
DRAWN = Limits(volume_per_atom=VOLUME_PER_ATOM)
#: What is believed of a relaxed crystal, whatever its energy.
PHYSICAL = Limits(volume_per_atom=VOLUME_PER_ATOM, radii_fraction=PHYSICAL_FRACTION)

#: Species classes of the networks: 0 is a vacancy ("mirage"), 1-99 are atomic numbers.
NUM_SPECIES = 100
VACANCY = 0
#: The class of what a model does not know yet. No table of crystals has a compound of einsteinium.
HIDDEN = 99

#: Largest seed of a run.
MAX_SEED = 2**63 - 1

#: Steps of the trained time axis: time t in [0, 1] is step k = TRAINED_STEPS * t of the papers.
TRAINED_STEPS = 1000

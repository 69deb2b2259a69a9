"""Builds what `crysdiff evaluate` ships for use without any data, and measures how far it may be
trusted.

    python tools/build_open_reference.py --train mp/train.csv.gz mp/extra.csv.gz --val
    mp/val.csv.gz --hull mp/hull_2025.csv.gz

Writes ase_crysdiff/resources/open-hull.csv.gz (reduced formulas and hull heights of the Materials
Project, CC BY 4.0) and ase_crysdiff/resources/open-fingerprints.safetensors. Prints the agreement
of fingerprints with StructureMatcher on crystals of the validation table and on noisy copies of
training crystals that took no part in the choice of directions and tolerance.
"""

import argparse
import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from scipy.linalg import eigh

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.packing import pack
from ase_crysdiff.metrics.fingerprints import Fingerprints, codes_of, distance_counts, formula_hash
from ase_crysdiff.metrics.hull import Hull
from ase_crysdiff.metrics.matching import formula_key
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference

DIRECTIONS = 6
#: Share of noisy copies of known crystals that may be taken for new ones.
MISSED = 0.05
#: Marks per standard deviation of the noise: fine enough for the tolerance, coarse enough for a
#: byte.
RESOLUTION = 1.5


def main() -> None:
    """Builds both files, then measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    for name in ("val", "hull"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--name", default="open training pool", help="what reports call the known crystals"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("ase_crysdiff/resources"))
    options = parser.parse_args()
    write_hull(options.hull, options.output / "open-hull.csv.gz")
    train, val = read(options.train), read([options.val])
    known = to_structures(train.batch)
    reference = Reference(train)
    copies = noisy_copies(known, 1500, seed=1)
    table = fingerprints(known, copies, {"name": options.name, **distributions(reference)})
    table.save(options.output / "open-fingerprints.safetensors")
    agreement = {
        "validation crystals": agree(to_structures(val.batch)[:500], table, reference),
        "noisy copies": agree([c for _, c in noisy_copies(known, 200, seed=2)], table, reference),
    }
    print(json.dumps({"crystals": len(table), "tolerance": table.tolerance, **agreement}, indent=1))


def read(paths: list[Path]) -> PackedCrystals:
    """Crystals, packed already or to be packed."""
    if [path.suffix for path in paths] == [".safetensors"]:
        return PackedCrystals.load(paths[0])
    return pack(paths)[0]


def write_hull(source: Path, target: Path) -> None:
    """Formulas and heights to 0.1 meV/atom; the same bytes from the same table."""
    lines = gzip.decompress(source.read_bytes()).decode().splitlines()
    rows = [
        lines[0],
        *(
            f"{formula},{float(height):.4f}"
            for formula, height in (line.split(",") for line in lines[1:])
        ),
    ]
    target.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode(), 9, mtime=0))
    print(f"{target}: {len(Hull.read(target))} formulas, {target.stat().st_size} bytes")


def noisy_copies(known: list[Structure], count: int, seed: int) -> list[tuple[int, Structure]]:
    """Known crystals moved by 0.02, 0.05 or 0.1 Å in turn, every other one strained by 1 %, every
    fifth doubled.
    """
    generator = np.random.default_rng(seed)
    copies = []
    for k, i in enumerate(generator.choice(len(known), count, replace=False)):
        strain = np.eye(3) + (0.01 if k % 2 else 0) * generator.standard_normal((3, 3))
        copy = Structure(
            Lattice(known[i].lattice.matrix @ strain), known[i].species, known[i].frac_coords
        )
        if k % 5 == 4:
            copy.make_supercell([2, 1, 1])
        moved = copy.cart_coords + (0.02, 0.05, 0.1)[k % 3] * generator.standard_normal(
            (len(copy), 3)
        )
        copies.append(
            (int(i), Structure(copy.lattice, copy.species, moved, coords_are_cartesian=True))
        )
    return copies


def fingerprints(
    known: list[Structure], copies: list[tuple[int, Structure]], metadata: dict[str, Any]
) -> Fingerprints:
    """The directions in which crystals of one formula differ most, measured by what noise does, and
    the table along them.
    """
    counts = np.array([distance_counts(s) for s in known])
    noise = np.array([distance_counts(copy) - counts[i] for i, copy in copies])
    groups = defaultdict(list)
    for i, structure in enumerate(known):
        groups[formula_key(structure)].append(i)
    pairs = [(a, b) for members in groups.values() for a in members for b in members if a < b]
    between = np.array([counts[a] - counts[b] for a, b in pairs])
    regular = noise.T @ noise / len(noise) + 1e-4 * np.eye(counts.shape[1])
    _, directions = eigh(between.T @ between / len(between), regular)
    projection = RESOLUTION * directions[:, ::-1][:, :DIRECTIONS]
    centre = np.median(counts @ projection, axis=0)
    codes = codes_of(counts, projection, centre)
    own = np.array(
        [codes_of(distance_counts(copy), projection, centre) for _, copy in copies], dtype=float
    )
    moved = np.linalg.norm(own - codes[[i for i, _ in copies]], axis=1)
    keys = np.array([formula_hash(formula_key(s)) for s in known], dtype=np.int32)
    order = np.argsort(keys, kind="stable")
    tolerance = round(float(np.quantile(moved, 1 - MISSED)), 1)
    return Fingerprints(keys[order], codes[order], projection, centre, tolerance, metadata)


def distributions(known: Reference) -> dict[str, dict[str, int]]:
    """Atom counts of all crystals and space groups of those that are looked at, for the report's
    comparison.
    """
    groups = Counter(s.group for s in known.symmetries if s.group is not None)
    atoms = Counter(map(int, known.num_atoms))
    return {
        name: {str(k): c[k] for k in sorted(c)}
        for name, c in (("num_atoms", atoms), ("space_groups", groups))
    }


def agree(
    structures: list[Structure], table: Fingerprints, reference: Reference
) -> dict[str, float]:
    """Share of structures on which both say the same, and of each kind of error."""
    ours = np.array(novelty(structures, table).per_structure, dtype=bool)
    exact = np.array(novelty(structures, reference).per_structure, dtype=bool)
    return {
        "structures": len(structures),
        "agree": round(float((ours == exact).mean()), 4),
        "novel by fingerprint": round(float(ours.mean()), 4),
        "novel by matcher": round(float(exact.mean()), 4),
    }


if __name__ == "__main__":
    main()

"""Novelty against comparing every structure with every reference by `StructureMatcher.fit`.

    python benchmarks/bench_novelty.py mp_train.safetensors [--queries 1000] [--references 2000]
    [--baseline 20]

The packed file gives the references; half of the queries are copies of references moved by 0.05 Å,
the others further crystals of the file. The baseline runs on some of the queries, since each takes
a quarter of a second, and its answers must be the same. Times are CPU seconds of one thread;
reducing the references counts, loading them does not.
"""

import argparse
import json
import platform
import time
import warnings
from importlib.metadata import version

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.metrics.novelty import novelty
from ase_crysdiff.metrics.reference import Reference


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packed", help="packed crystals, from crysdiff pack")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--references", type=int, default=2000)
    parser.add_argument("--baseline", type=int, default=20, help="queries of the baseline")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    packed = PackedCrystals.load(options.packed)
    chosen = rng.permutation(len(packed))[: options.references + options.queries // 2]
    crystals = to_structures(packed.batch.select(chosen.tolist()))
    known, others = crystals[: options.references], crystals[options.references :]
    copies = [
        moved(known[i], rng)
        for i in rng.choice(len(known), options.queries - len(others), replace=False)
    ]
    queries = [s for pair in zip(copies, others, strict=True) for s in pair]

    reference = Reference(known)
    started = time.process_time()
    ours = novelty(queries, reference)
    seconds = time.process_time() - started

    fit = StructureMatcher().fit
    some = queries[: options.baseline]
    started = time.process_time()
    naive = tuple(not any([fit(query, k) for k in known]) for query in some)
    baseline = (time.process_time() - started) / len(some)
    per_query = seconds / len(queries)
    print(
        json.dumps(
            {
                "queries": len(queries),
                "references": len(known),
                "novelty": ours.value,
                "seconds": round(seconds, 2),
                "ms_per_query": round(1e3 * per_query, 3),
                "baseline_queries": len(some),
                "baseline_ms_per_query": round(1e3 * baseline, 1),
                "ratio": round(baseline / per_query, 1),
                "same_answers": naive == ours.per_structure[: len(some)],
                "pymatgen": version("pymatgen"),
                "machine": platform.processor() or platform.machine(),
            }
        )
    )


def moved(structure: Structure, rng: np.random.Generator) -> Structure:
    """The crystal with every atom about 0.05 Å from its place."""
    noise = 0.05 / np.sqrt(3) * rng.standard_normal((len(structure), 3))
    return Structure(
        structure.lattice,
        structure.species,
        structure.cart_coords + noise,
        coords_are_cartesian=True,
    )


if __name__ == "__main__":
    main()

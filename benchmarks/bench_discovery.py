"""`discover` for thirteen chemical systems: time, known stable compounds found again, and what a
second potential and the chemist's rule of charges say of the candidates.

python benchmarks/bench_discovery.py --data DATA --out results/discovery [--systems Li-Mn-O Sr-Ti-O]
"""

import argparse
import csv
import gzip
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pymatgen.core import Composition, Structure

from ase_crysdiff.crystal.charge_balance import has_balance, is_ionic
from ase_crysdiff.metrics.matching import match, reduced
from pymatgen_ext import discover, energy_above_hull, relax

SYSTEMS = (
    "Li-Fe-P-O",
    "Li-Mn-O",
    "Na-V-P-O",
    "Sr-Ti-O",
    "Mg-Al-O",
    "Ca-Si-O",
    "Cu-Zn-Sn-S",
    "Cs-Pb-I",
    "Ga-In-N",
    "Fe-Ni-Al",
    "Ti-Ni-Sn",
    "La-H",
    "Zr-Co-Sb",
)
FILES = ("train", "extra", "val", "test_mp20_biternary", "test_mp20_rest", "test_mpts52")
#: Crystals count as stable up to this height above the hull, eV/atom, and are looked for up to so
#: many atoms.
STABLE, MOST_ATOMS = 0.001, 20


def known_stable(
    data: Path, wanted: set[frozenset[str]]
) -> Iterator[tuple[frozenset[str], str, Structure]]:
    """System, name and structure of the known stable crystals of some systems."""
    for name in FILES:
        with gzip.open(data / "mp" / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                formula = row.get("formula") or row.get("pretty_formula") or ""
                height = row.get("e_above_hull") or ""
                if not formula or not height or float(height) > STABLE:
                    continue
                system = frozenset(e.symbol for e in Composition(formula))
                if system in wanted:
                    structure = Structure.from_str(row["cif"], fmt="cif")
                    if len(structure) <= MOST_ATOMS:
                        yield system, f"{formula} ({row['material_id']})", structure


def main() -> None:
    """Runs every system and prints a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--judge", default="chgnet", help="a potential, or none")
    options = parser.parse_args()
    hull = options.data / "mp" / "hull_2025.csv.gz"
    systems = {frozenset(s.split("-")): s for s in options.systems}
    truth: dict[str, list[tuple[str, Structure]]] = {s: [] for s in options.systems}
    for system, name, structure in known_stable(options.data, set(systems)):
        truth[systems[system]].append((name, reduced(structure)))
    options.out.mkdir(parents=True, exist_ok=True)
    totals: Counter[str] = Counter()
    for system in options.systems:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        own = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        found = discover(
            system, options.n, folder=options.out / system, workers=options.workers, seed=0
        )
        minutes = (time.monotonic() - began) / 60
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        spent += resource.getrusage(resource.RUSAGE_SELF).ru_utime - own
        cells = [reduced(f.structure) for f in (*found.candidates, *found.rediscovered)]
        again = [n for n, s in truth[system] if any(match(s, c) for c in cells)]
        near = None
        if options.judge != "none":
            judged = relax(list(found), options.judge, progress=False)
            heights = energy_above_hull([r.structure for r in judged], options.judge, hull)
            near = sum(h <= 0.1 for h in heights.energy_above_hull.tolist())
        counts = [Counter(site.specie.Z for site in s) for s in found]
        ionic = [c for c in counts if is_ionic(c)]
        row = {
            "system": system,
            "minutes": round(minutes, 2),
            "cpu_minutes": round(spent / 60, 2),
            "draws": found.tally.asked,
            "candidates": len(found),
            "stable_known": len(truth[system]),
            "stable_found": len(again),
            "stable_missed": [n for n, _ in truth[system] if n not in again],
            f"near_by_{options.judge}": near,
            "ionic": len(ionic),
            "balanced": sum(has_balance(c) for c in ionic),
        }
        print(json.dumps(row), flush=True)
        totals.update({k: v for k, v in row.items() if isinstance(v, int | float)})
    print(json.dumps({"total": dict(totals)}))


if __name__ == "__main__":
    main()

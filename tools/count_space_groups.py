"""Space groups of crystals as the card of `wyckoff` holds them, for the templates of new crystals.

python tools/count_space_groups.py packed.safetensors --max-atoms 20

The file is one of `crysdiff pack --symmetry`. Prints how many crystals have each space group, as
JSON: `space_groups` of the config.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from ase_crysdiff.data.packed import PackedCrystals


def main() -> None:
    """Reads the arguments, prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="crystals, packed with --symmetry")
    parser.add_argument("--max-atoms", type=int, default=20, help="of the primitive cell")
    options = parser.parse_args()
    packed = PackedCrystals.load_symmetric(options.data)
    assert packed.scaffolds is not None
    small = packed.scaffolds.group[packed.batch.num_atoms <= options.max_atoms]
    print(json.dumps(dict(sorted(Counter(small.tolist()).items()))))


if __name__ == "__main__":
    main()

"""Constraints for pip: the oldest versions that pyproject allows of the libraries that crystals and
tensors come from, or none, which are the newest.

    python tools/bounds.py oldest > bounds.txt
    pip install -c bounds.txt -e .
"""

import argparse
import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: Libraries whose oldest versions are tried; the others follow from what these need.
TRIED = ("ase", "pymatgen", "torch")


def oldest() -> dict[str, str]:
    """The lower bound of each library that is tried."""
    asked = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    bounds = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups() for line in asked)
    return {name: bounds[name] for name in TRIED}


def main() -> None:
    """Prints the constraints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", choices=("oldest", "newest"))
    if parser.parse_args().versions == "oldest":
        for name, version in oldest().items():
            print(f"{name}=={version}.*" if version.count(".") < 2 else f"{name}=={version}")


if __name__ == "__main__":
    main()

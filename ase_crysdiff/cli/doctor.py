"""`crysdiff doctor`: is everything in place? Exit code 1 and a reason for each thing that is
not.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from ase_crysdiff import __version__, registry
from ase_crysdiff.errors import CrysDiffError, MissingExtraError, NeedsWeightsError

_LIBRARIES = (
    "ase",
    "pymatgen",
    "torch",
    "lightning",
    "spglib",
    "numpy",
    "scipy",
    "safetensors",
    "smact",
)
#: The extra of who works on the package.
_DEVELOPERS = "dev"
_PACKAGES = ("ase_crysdiff", "pymatgen_ext", "calculators")
_PROBE = """
import torch
from ase_crysdiff.training.precision import slowdown
torch.set_num_threads(1)
print(slowdown(torch.bfloat16, torch.device("cpu")))
"""


#: More threads than that are worth a word.
_THREADS = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a line per check."""
    found = examine()
    problems = found["problems"]
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 1 if problems else 0
    print(f"ase-crysdiff {found['version']}, Python {found['python']}, {found['machine']}")
    for name, installed in found["libraries"].items():
        print(f"  {name:12} {installed or 'not installed'}")
    for name, missing in found["extras"].items():
        print(f"  extra        {name}{_missing(name, missing)}")
    print(f"  devices      {', '.join(found['devices'])}")
    print(f"  threads      {found['threads']}")
    print(f"  bfloat16     {found['bfloat16']}")
    print(f"  installed    {found['installed']}")
    for part in found["parts"]:
        note = f" ({part['note']})" if part["note"] else ""
        print(f"  {part['kind']:12} {part['name']}{note}")
    for problem in problems:
        print(f"PROBLEM {problem}")
    count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    print(count if problems else "Everything is in place.")
    return 1 if problems else 0


def examine() -> dict[str, Any]:
    """What there is: versions, extras, devices, threads, and every sampler, potential and predictor
    with its weights, which are opened; and what is wrong.
    """
    home, problems = _shadowed()
    parts, broken = _parts()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "extras": _extras(),
        "devices": _devices(),
        "threads": _threads(),
        "bfloat16": _bfloat16(),
        "installed": home,
        "parts": parts,
        "problems": [*problems, *broken],
    }


def _missing(extra: str, packages: list[str]) -> str:
    if not packages:
        return " (complete)"
    return f" without {', '.join(packages)}: pip install 'ase-crysdiff[{extra}]'"


def _extras() -> dict[str, list[str]]:
    """Packages that each extra asks for and that are not installed."""
    found: dict[str, list[str]] = {}
    try:
        wanted = distribution("ase-crysdiff").requires or []
    except PackageNotFoundError:
        return found
    for line in wanted:
        if match := re.match(r"([\w.-]+).*;.*extra == ['\"]([\w-]+)['\"]", line):
            package, extra = match.groups()
            missing = found.setdefault(extra, [])
            if extra != _DEVELOPERS and _version(package) is None:
                missing.append(package)
    found.pop(_DEVELOPERS, None)
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    """Names of torch, and what they are."""
    import torch

    gpus = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def _threads() -> str:
    import torch

    count = torch.get_num_threads()
    if count <= _THREADS:
        return str(count)
    return (
        f"{count}: small networks gain little from a second one, and on a busy machine threads "
        "wait for each other; OMP_NUM_THREADS=1 is safe"
    )


def _bfloat16() -> str:
    """Whether matrix products in it work, and how fast they are.

    In a process of its own: some virtual machines announce matrix units that end the program when
    they are used.
    """
    command = [sys.executable, "-c", _PROBE]
    probe = subprocess.run(command, capture_output=True, check=False, text=True)
    if probe.returncode == 0:
        times = float(probe.stdout)
        if times < 1:
            return f"works, {1 / times:.1f} times as fast as float32"
        return f"works, but takes {times:.1f} times as long as float32: train in float32"
    return (
        f"fails (exit {probe.returncode}): train in float32, or set "
        "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
    )


def _shadowed() -> tuple[str, list[str]]:
    """Where we are installed, and packages of ours that a folder of the same name hides."""
    problems: list[str] = []
    home = Path(__file__).parents[2].resolve()
    try:
        files = {str(f) for f in distribution("ase-crysdiff").files or ()}
    except PackageNotFoundError:
        return str(home), ["ase-crysdiff is not installed; install it with pip."]
    editable = not any(f.startswith("ase_crysdiff/") for f in files)
    for name in _PACKAGES:
        module = import_module(name)
        place = Path(module.__file__).resolve().parent if module.__file__ else None
        if place != home / name:
            problems.append(
                f"'{name}' is imported from {place}, not from {home}. Rename that folder, or "
                "remove it from the path."
            )
    return f"{home}{' (editable)' if editable else ''}", problems


def _parts() -> tuple[list[dict[str, str]], list[str]]:
    """Samplers, potentials and predictors that can be made, with a note where they need something;
    and those that cannot, and other parts that cannot be imported.
    """
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.predictors.loading import load_predictor
    from ase_crysdiff.sampling.batched import SamplerSpec

    made: dict[str, Callable[[str], Any]] = {
        registry.SAMPLERS: lambda name: SamplerSpec(name, None, "cpu").load(),
        registry.POTENTIALS: load_potential,
        registry.PREDICTORS: load_predictor,
    }
    parts: list[dict[str, str]] = []
    problems: list[str] = []
    for group in registry.GROUPS:
        kind, make = registry.kind_of(group), made.get(group)
        for name in registry.names(group):
            note = ""
            try:
                if make is None:
                    registry.load(group, name)
                    continue
                make(name)
            except NeedsWeightsError:
                note = "with weights of yours"
            except MissingExtraError as error:
                note = str(error)
            except CrysDiffError as error:
                problems.append(str(error))
                continue
            except Exception as error:
                problems.append(f"{kind} {name!r} cannot be made: {error!r}")
                continue
            parts.append({"kind": kind, "name": name, "note": note})
    return parts, problems

"""`crysdiff doctor`: is everything in place? Exit code 1 and a reason for each thing that is
not.
"""

import argparse
import platform
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
_PACKAGES = ("ase_crysdiff", "pymatgen_ext", "calculators")
_PROBE = "import torch; x = torch.ones(64, 64).bfloat16(); x @ x"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a line per check."""
    print(f"ase-crysdiff {__version__}, Python {platform.python_version()}, {platform.machine()}")
    for name in _LIBRARIES:
        print(f"  {name:12} {_version(name)}")
    _devices()
    problems = [*_shadowed(), *_parts()]
    for problem in problems:
        print(f"PROBLEM {problem}")
    count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    print(count if problems else "Everything is in place.")
    return 1 if problems else 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> None:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(
        f"  devices      cpu ({torch.get_num_threads()} threads){''.join(', ' + g for g in gpus)}"
    )
    # In a process of its own: some virtual machines announce matrix units that end the program when
    # they are used.
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False)
    state = (
        "works"
        if probe.returncode == 0
        else (
            f"fails (exit {probe.returncode}): train in float32, or set "
            "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
        )
    )
    print(f"  bfloat16     {state}")


def _shadowed() -> list[str]:
    """Packages of ours that a folder of the same name hides."""
    problems = []
    try:
        files = {str(f) for f in distribution("ase-crysdiff").files or ()}
    except PackageNotFoundError:
        return ["ase-crysdiff is not installed; install it with pip."]
    editable = not any(f.startswith("ase_crysdiff/") for f in files)
    home = Path(__file__).parents[2].resolve()
    for name in _PACKAGES:
        module = import_module(name)
        place = Path(module.__file__).resolve().parent if module.__file__ else None
        if place != home / name:
            problems.append(
                f"'{name}' is imported from {place}, not from {home}. Rename that folder, or "
                "remove it from the path."
            )
    print(f"  installed    {home}{' (editable)' if editable else ''}")
    return problems


def _parts() -> list[str]:
    """Samplers, potentials and predictors that cannot be made, and other parts that cannot be
    imported.
    """
    from ase_crysdiff.potentials.loading import load_potential
    from ase_crysdiff.predictors.loading import load_predictor
    from ase_crysdiff.sampling.batched import SamplerSpec

    made: dict[str, Callable[[str], Any]] = {
        registry.SAMPLERS: lambda name: SamplerSpec(name, None, "cpu").load(),
        registry.POTENTIALS: load_potential,
        registry.PREDICTORS: load_predictor,
    }
    problems = []
    for group in registry.GROUPS:
        kind, make = registry.kind_of(group), made.get(group)
        for name in registry.names(group):
            try:
                if make is None:
                    registry.load(group, name)
                else:
                    make(name)
                    print(f"  {kind:12} {name}")
            except NeedsWeightsError:
                print(f"  {kind:12} {name} (with weights of yours)")
            except MissingExtraError as error:
                print(f"  {kind:12} {name} ({error})")
            except CrysDiffError as error:
                problems.append(str(error))
            except Exception as error:
                problems.append(f"{kind} {name!r} cannot be made: {error!r}")
    return problems

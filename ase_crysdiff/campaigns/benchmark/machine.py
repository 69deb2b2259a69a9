"""Where and with what a benchmark ran."""

import os
import platform
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.versions import versions

_LIBRARIES = ("ase-crysdiff", "torch", "numpy", "pymatgen", "smact")


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, load, graphics card and versions."""
    facts: dict[str, Any] = {"processor": processor(), "cores": os.cpu_count(), "device": device}
    if hasattr(os, "getloadavg"):
        facts["load"] = round(os.getloadavg()[0], 2)
    if device.startswith("cuda"):
        import torch

        facts["gpu"] = torch.cuda.get_device_name(torch.device(device))
    return facts | {
        "python": platform.python_version(),
        "versions": versions(_LIBRARIES),
    }


def processor() -> str:
    """The model name; Linux tells it in a file only."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()

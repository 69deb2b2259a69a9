"""Sampling with the machine's default threads against one thread set by hand, on a busy machine.

python benchmarks/bench_threads.py -n 16 --busy 4 --repeats 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

CODE = """
import sys, time
from pymatgen_ext import StructureSampler
sampler = StructureSampler("miad", device="cpu")
sampler.sample(1, seed=1, progress=False, steps=3)
started = time.monotonic()
sampler.sample(int(sys.argv[1]), seed=0, progress=False)
print(time.monotonic() - started)
"""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def seconds(count: int, threads: int | None) -> float:
    """Of drawing so many crystals in a new process; None leaves the threads to the machine."""
    kept = {k: v for k, v in os.environ.items() if k not in _THREADS}  # noqa: TID251
    chosen = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    command = [sys.executable, "-c", CODE, str(count)]
    done = subprocess.run(
        command, env={**kept, **chosen}, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Prints medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=16)
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the cores busy")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    # They end by themselves, should this process be ended before it ends them.
    spin = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    busy = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(options.busy)]
    try:
        time.sleep(1)
        pairs = [
            (seconds(options.number, None), seconds(options.number, 1))
            for _ in range(options.repeats)
        ]
    finally:
        for process in busy:
            process.kill()
    default, one = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{options.number} crystals of miad beside {options.busy} busy processes on "
        f"{os.cpu_count()} cores, median of {options.repeats}: {default:.1f} s with default "
        f"threads, {one:.1f} s with one; ratio {default / one:.2f}"
    )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Orrery's training steps, and probes, beside the same in eager PyTorch, one thread each, taken in turn: medians of CPU
time and of the ratios of the rounds, with PyTorch as a user would run it and with the BLAS kernels that Orrery chooses.
    tests/bench/table.py [--rounds 3] [WORK...]       needs ./orrery test to have been built, and Debian's python3-torch
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[2]
build = Path(os.environ.get("ORRERY_BUILD", root / "build/release"))
bench = build / "tests/bench/orrery_bench"
works = {
    "mainline": "p = 113 mainline",
    "test_loss": "the same, with test loss",
    "induction": "two-layer induction, 128 x 85",
    "digit_addition": "5-digit addition",
    "sparse_parity": "sparse parity, 1,000 x 30 -> 64 -> 2",
    "mlp_mod67": "mod-67 MLP, 911 pairs",
    "memorised": "the same after 2,500 steps, \"our BLAS\" with flushing",
    "probes": "three probes of a p = 113 checkpoint",
}
# Multiplications and additions that a step of the mainline cannot do without: W_out W_U, 512 x 113, applied to the
# neurons of 3,830 pairs, and its two gradients.
necessary = 3 * 2 * 3830 * 512 * 113
evaluate_every = 100

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(works)}; default: all")
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
if unknown := set(args.works) - set(works):
    parser.error(f"there is no work {', '.join(sorted(unknown))}; choose from {', '.join(works)}")
if not bench.exists():
    sys.exit(f"no {bench}; ./orrery test builds it")

one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
one_thread.pop("OPENBLAS_CORETYPE", None)
# As the program that users start sets it for itself.
environment = subprocess.run([build / "bin/orrery", "--environment"], env=one_thread, capture_output=True, text=True).stdout
ours = {**one_thread, **dict(line.split("=", 1) for line in environment.split())}


def find_python():
    for candidate in ("/usr/bin/python3", "python3"):
        if subprocess.run([candidate, "-c", "import torch"], capture_output=True).returncode == 0:
            return candidate
    sys.exit("no python3 here has torch; on Debian: apt-get install python3-torch")


def run(command, environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def orrery_ms(name):
    out = run([bench, f"--benchmark_filter=^{name}$", "--benchmark_min_time=0.5", "--benchmark_format=csv"], ours)
    lines = out[out.index("name,") :].splitlines()
    return float(next(csv.DictReader(lines))["cpu_time"])


def orrery_step(work):
    if work == "probes":
        return orrery_ms("probe_pass/all")
    if work == "memorised":
        return orrery_ms("step_after/mlp_mod67/steps:2500/iterations:100")
    if work != "test_loss":
        return orrery_ms(f"training_step/{work}")
    return orrery_ms("training_step/mainline") + orrery_ms("evaluate/mainline") / evaluate_every


def eager_step(python, work, environment):
    if work == "probes":
        return float(run([python, root / "tests/bench/eager_probes.py", "--threads", "1"], environment))
    command = [python, root / "tests/bench/eager_reference.py", "--threads", "1"]
    if work == "test_loss":
        command += ["mainline", "--test-loss", "--steps", "7"]
    elif work == "memorised":
        command += ["mlp_mod67", "--after", "2500"] + (["--flush-subnormals"] if environment is ours else [])
    else:
        command += [work]
    return float(run(command, environment))


def sgemm_rate(python):
    """GFLOP/s of a product of two 1,024 x 1,024 matrices, one thread."""
    code = """
import time, torch
torch.set_num_threads(1)
a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
times = []
for _ in range(12):
    start = time.process_time(); a @ b; times.append(time.process_time() - start)
print(2 * 1024**3 / sorted(times)[6] / 1e9)
"""
    return float(run([python, "-c", code], ours))


python = find_python()
print(f"{'CPU ms':38} {'Orrery':>9} {'eager':>9} {'':>7} {'our BLAS':>9}")
for work in args.works or works:
    rounds = []
    # Eager PyTorch trains 2,500 steps before the first that is timed.
    for _ in range(min(args.rounds, 2) if work == "memorised" else args.rounds):
        mine = orrery_step(work)
        plain, tuned = eager_step(python, work, one_thread), eager_step(python, work, ours)
        rounds.append((mine, plain, plain / mine, tuned, tuned / mine, sgemm_rate(python) if work == "mainline" else 0))
    mine, plain, ratio, tuned, tuned_ratio, rate = (statistics.median(column) for column in zip(*rounds))
    print(f"{works[work]:38} {mine:9.3f} {plain:9.3f} {f'x{ratio:.1f}':>7} {tuned:9.3f} {f'x{tuned_ratio:.1f}':>7}", flush=True)
    if rate:
        reached = necessary / mine / 1e6
        print(f"  necessary work at {reached:.0f} GFLOP/s, {100 * reached / rate:.0f} % of sgemm's {rate:.0f}")

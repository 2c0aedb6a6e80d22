#!/usr/bin/env python3
"""A hundred run_with_cache calls in Python beside the same in C++: CPU time, one thread, the two taken in turn. Of each, the
least of several times in a round, which other work on the machine disturbs least; then medians, also of the rounds' ratios.
    tests/bench/run_with_cache.py [--rounds 5] [NETWORK...]   needs ./orrery test to have been built
"""
import argparse
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(__file__).resolve().parents[2]
build = Path(os.environ.get("ORRERY_BUILD", root / "build/release"))
bench = build / "tests/bench/orrery_bench"
base = """
[task]
name = "modular_arithmetic"
p = {p}
[model]
{model}
[train]
steps = 1
"""
tiny = "d_model = 16\nn_heads = 2\nd_head = 8\nd_mlp = 32"
# What they are, the config, the data, how many of its inputs, how many times the hundred calls are timed.
networks = {
    "tiny": ("p = 7, d_model 16, all 49 inputs", base.format(p=7, model=tiny), "grid", 49, 20),
    "one_input": ("p = 113 mainline, one input", base.format(p=113, model=""), "test", 1, 20),
    "mainline": ("p = 113 mainline, 128 inputs", base.format(p=113, model=""), "test", 128, 5),
    "large_batch": ("p = 113 mainline, 1,024 inputs", base.format(p=113, model=""), "test", 1024, 2),
}
calls = """
import sys, time, torch, orrery
torch.set_num_threads(1)
_, folder, which, count, gradients, repetitions = sys.argv
net = orrery.open(folder).network()
tokens = net.data(which)["tokens"][:int(count)]
with torch.set_grad_enabled(gradients == "True"):
    net.run_with_cache(tokens)
    times = []
    for _ in range(int(repetitions)):
        begin = time.process_time()
        for _ in range(100):
            net.run_with_cache(tokens)
        times.append(1000 * (time.process_time() - begin))
    print(min(times))
"""

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(networks)}; default: all")
parser.add_argument("--rounds", type=int, default=5)
args = parser.parse_args()
if unknown := set(args.networks) - set(networks):
    parser.error(f"there is no network {', '.join(sorted(unknown))}; choose from {', '.join(networks)}")
if not bench.exists():
    sys.exit(f"no {bench}; ./orrery test builds it")
python = next(line.split('"')[1] for line in (build / "python/orrery/_build.py").read_text().splitlines()
              if line.startswith("EXECUTABLE"))


def output(command, **environment):
    return subprocess.run(command, env={**ours, **environment}, capture_output=True, text=True, check=True).stdout


ours = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(build / "python")}
ours.update(line.split("=", 1) for line in output([build / "bin/orrery", "--environment"]).split())


def in_cpp(name, runs, repetitions):
    out = output([bench, f"--benchmark_filter=^run_with_cache/{name}/iterations:1$", "--benchmark_format=csv",
                  f"--benchmark_repetitions={repetitions}"],
                 ORRERY_BENCH_RUNS=runs)
    rows = csv.DictReader(out[out.index("name,"):].splitlines())
    return min(float(row["cpu_time"]) for row in rows if not re.search("_(mean|median|stddev|cv)$", row["name"]))


with tempfile.TemporaryDirectory() as place:
    print(f"{'CPU ms of 100 calls':52} {'C++':>10} {'Python':>10} {'ratio':>7}")
    for name in args.networks or networks:
        what, config, which, count, repetitions = networks[name]
        file, folder = Path(place) / f"{name}.toml", Path(place) / name
        file.write_text(config)
        output([build / "bin/orrery", "train", file, "--out", folder])
        for gradients in (False, True):
            rounds = []
            for _ in range(args.rounds):
                cpp = in_cpp(name + ("/gradients" if gradients else ""), f"{name}={folder}={which}={count}",
                             repetitions)
                mine = float(output([python, "-c", calls, folder, which, str(count), str(gradients),
                                     str(repetitions)]))
                rounds.append((cpp, mine, mine / cpp))
            cpp, mine, ratio = (statistics.median(column) for column in zip(*rounds))
            said = what + (", with gradients" if gradients else "")
            print(f"{said:52} {cpp:10.2f} {mine:10.2f} {f'x{ratio:.3f}':>7}", flush=True)

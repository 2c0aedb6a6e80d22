#!/usr/bin/env python3
"""How cost grows with work: time of a training step against p, neurons, batch, layers and length; time of the modular
probes against p; peak memory against the number of checkpoints; time and memory of a sweep against the replicas that
share a process.  Beside each time stands the exponent with which it
grew since the row above, and that of the multiplications that must be done: more than that would be a fault.
    tests/bench/growth.py [--plot FILE.png] [SWEEP...]     runs ./orrery; a plot needs Debian's python3-matplotlib
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

orrery = os.environ.get("ORRERY", Path(__file__).resolve().parents[2] / "orrery")
modular = 'task.name="modular_arithmetic"'
copying = ['task.name="repeated_subsequence"', "model.attn_only=true", "model.n_layers=2", "train.batch_size=32"]


def per_pair(p, d_mlp):
    """Of one pair of numbers, given the tables of a folded circuit: 12 rows to add, and the logits of the neurons."""
    return 12 * d_mlp + d_mlp * p


def per_sequence(n_layers, length, d=128, vocabulary=128):
    """What is written by a head is read by later ones; causal attention; the logits."""
    reads = n_layers * (n_layers - 1) / 2 * length * d * 3 * d
    return reads + n_layers * length * length * d + n_layers * length * d * vocabulary


# name: (title, values, settings for a value, multiplications of a step)
sweeps = {
    "p": ("modulus p, 30 % of the pairs", (59, 113, 199, 401), lambda x: [modular, f"task.p={x}"],
          lambda x: 0.3 * x * x * per_pair(x, 512)),
    "d_mlp": ("neurons, p = 59", (128, 256, 512, 1024, 2048), lambda x: [modular, "task.p=59", f"model.d_mlp={x}"],
              lambda x: per_pair(59, x)),
    "n_train": ("training examples, p = 113", (1000, 2000, 4000, 8000), lambda x: [modular, f"task.n_train={x}"],
                lambda x: x * per_pair(113, 512)),
    "n_layers": ("layers of attention, 32 sequences of 85", (2, 3, 4, 6), lambda x: [*copying, f"model.n_layers={x}"],
                 lambda x: per_sequence(x, 85)),
    "length": ("tokens, two layers of attention, 32 sequences", (50, 100, 200, 400),
               lambda x: [*copying, f"task.length={x}"], lambda x: per_sequence(2, x)),
}  # fmt: skip


def run(*arguments):
    """Returns the peak memory of the command in MiB and the seconds of CPU time that it took."""
    process = subprocess.Popen([orrery, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"orrery {' '.join(map(str, arguments))} failed:\n{said}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def train(folder, settings, steps, every=None):
    config = folder / "growth.toml"
    config.write_text("")
    out = folder / f"run_{len(list(folder.iterdir()))}"
    settings = [*settings, f"train.steps={steps}", f"train.eval_every={steps}", f"checkpoints.every={every or steps}"]
    memory, _ = run("train", config, "--out", out, *(part for setting in settings for part in ("--set", setting)))
    return out, memory


def seconds(run_directory):
    return json.loads((run_directory / "run.json").read_text())["sessions"][-1]["seconds"]


def step_ms(folder, settings):
    """The difference of a short and a long run: what they have in common is not a step's."""
    steps = 4
    while True:
        short, long = (seconds(train(folder, settings, n)[0]) for n in (steps, 5 * steps))
        if long - short > 1.5 or steps > 3000:
            return 1e3 * (long - short) / (4 * steps)
        steps *= 4


def print_rows(title, unit, rows):
    print(f"\n{title}\n{'':>10} {unit:>12} {'exponent':>9} {'of work':>9}")
    for i, (x, y, work) in enumerate(rows):
        exponents = ""
        if i > 0:
            by = math.log(x / rows[i - 1][0])
            pairs = zip((y, work), rows[i - 1][1:])
            exponents = "".join(f"{math.log(now / before) / by:9.2f} " for now, before in pairs)
        print(f"{x:>10} {y:>12.3f} {exponents}", flush=True)


def time_of_probes(folder):
    rows = []
    for p in (59, 113, 199, 401):
        pipeline = folder / "probes.toml"
        names = ("fourier_basis", "trig_loss", "excluded_loss", "circuit_efficiency", "neuron_waves", "clock_pizza")
        pipeline.write_text("".join(f'[[probe]]\nname = "{name}"\n' for name in names))
        out, _ = train(folder, [modular, f"task.p={p}"], 4, every=1)
        command = ("probe", out, "--pipeline", pipeline, "--again", "--steps")
        one, five = (run(*command, steps)[1] for steps in ("4", "0,1,2,3,4"))
        rows.append((p, (five - one) / 4, p * p * 512 * p))
    return rows


def memory_of_checkpoints(folder):
    pipeline = folder / "probes.toml"
    pipeline.write_text('[[probe]]\nname = "fourier_basis"\n[[probe]]\nname = "weight_structure"\n')
    rows = []
    for n in (25, 50, 100, 200):
        out, training = train(folder, [modular, "task.p=31"], n, every=1)
        probing, _ = run("probe", out, "--pipeline", pipeline)
        reporting, _ = run("report", out)
        rows.append((n, training, probing, reporting))
    print("\npeak memory, MiB, against checkpoints (p = 31, two probes)")
    print(f"{'':>10} {'train':>9} {'probe':>9} {'report':>9}")
    for row in rows:
        print(f"{row[0]:>10} " + " ".join(f"{value:>9.0f}" for value in row[1:]), flush=True)
    return rows


def of_replicas(folder):
    """A parity sweep, one worker: CPU time of an update, of all that a run needs beside its updates, and peak memory,
    against how many replicas share its process."""
    base, sweep, runs = folder / "parity.toml", folder / "replicas.toml", 64
    base.write_text(
        '[task]\nname = "sparse_parity"\nn_train = 1000\n[model]\nkind = "mlp"\ninput = "bits"\nbias_column = true\n'
        "d_mlp = 64\n[train]\neval_every = 100000\n"
    )
    print(f"\nsparse parity, 1,000 x 30 -> 64 -> 2, {runs} seeds, up to N to a process, CPU time")
    print(f"{'N':>10} {'us an update':>13} {'ms a run':>9} {'MiB':>6}")
    for n in (1, 4, 16, 32):
        used = {}
        for steps in (1, 2000):
            sweep.write_text(f'base = "parity.toml"\nseeds = {runs}\nkeep = "last"\n[set]\ntrain.steps = {steps}\n')
            out = folder / f"replicas_{n}_{steps}"
            used[steps] = run("sweep", "run", sweep, "--replicas", n, "--out", out)
        idle = run("sweep", "run", sweep, "--out", out)[1]  # all is done
        update = (used[2000][1] - used[1][1]) / (runs * 1999)
        own = (used[1][1] - idle) / runs
        print(f"{n:>10} {1e6 * update:>13.1f} {1e3 * own:>9.1f} {used[2000][0]:>6.0f}", flush=True)


def plot(file, measured, memory):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(16, 7), constrained_layout=True)
    for axis, (title, unit, rows) in zip(axes.flat, measured):
        x, y, work = zip(*rows)
        axis.loglog(x, y, "o-", label="measured")
        axis.loglog(x, [y[-1] * w / work[-1] for w in work], "--", color="grey", label="work to be done")
        axis.set(title=title, xlabel=title.split(",")[0], ylabel=unit)
        axis.legend()
    if memory:
        axis = axes.flat[len(measured)]
        for name, values in zip(("train", "probe", "report"), list(zip(*memory))[1:]):
            axis.plot([row[0] for row in memory], values, "o-", label=name)
        axis.set(title="peak memory", xlabel="checkpoints", ylabel="MiB", ylim=(0, None))
        axis.legend()
    for axis in axes.flat[len(measured) + bool(memory) :]:
        axis.remove()
    figure.savefig(file, dpi=80)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
every = [*sweeps, "probes", "memory", "replicas"]
parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"of {', '.join(every)}; default: all")
parser.add_argument("--plot", metavar="FILE.png")
args = parser.parse_args()
chosen = args.sweeps or every
if unknown := set(chosen) - set(every):
    parser.error(f"there is no sweep {', '.join(sorted(unknown))}; choose from {', '.join(every)}")
measured, memory = [], []
with tempfile.TemporaryDirectory() as name:
    for sweep in (name_ for name_ in chosen if name_ in sweeps):
        title, values, settings, work = sweeps[sweep]
        rows = [(x, step_ms(Path(name), settings(x)), work(x)) for x in values]
        measured.append((title, "ms per step", rows))
        print_rows(title, "ms per step", rows)
    if "probes" in chosen:
        measured.append(("modulus p, six probes", "CPU s per checkpoint", time_of_probes(Path(name))))
        print_rows(*measured[-1])
    if "memory" in chosen:
        memory = memory_of_checkpoints(Path(name))
    if "replicas" in chosen:
        of_replicas(Path(name))
if args.plot:
    plot(args.plot, measured, memory)

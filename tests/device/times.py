#!/usr/bin/env python3
"""Times Orrery beside eager PyTorch, as it is and as one CUDA graph, on one device: a training step of three works and
three probes of a checkpoint. Prints a table in Markdown. run.sh calls it.
    tests/device/times.py --program BUILD/tests/device/device_times [--device cuda] [--steps 200] [--markdown FILE]
"""

import argparse
import subprocess
import sys
from pathlib import Path

bench = Path(__file__).resolve().parents[1] / "bench"
works = {
    "mainline": "p = 113 mainline, a step",
    "induction": "two-layer induction, 128 x 85, a step",
    "sparse_parity": "sparse parity, 1,000 x 30 -> 64 -> 2, a step",
    "probes": "three probes of a p = 113 checkpoint",
}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", required=True, help="device_times")
parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
parser.add_argument("--steps", type=int, default=200, help="steps of a round; the median of five rounds counts")
parser.add_argument("--markdown", type=Path, help="a file that takes the table too")
args = parser.parse_args()
failed = False
patience = 90 if args.device == "cuda" else 900


def milliseconds(name, command):
    """What the command prints at the end of its last line; None, and a word on stderr, if it fails."""
    global failed
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        done = None
    if done is not None and done.returncode == 0:
        return float(done.stdout.split()[-1])
    failed = True
    print(f"{name} failed: {' '.join(map(str, command))}\n{done.stderr if done else f'it took more than {patience} s'}", file=sys.stderr)
    return None


def ours(work, device, steps):
    return milliseconds("Orrery", [args.program, f"--device={device}", f"--steps={steps}", work])


def eager(work, *options):
    script = "eager_probes.py" if work == "probes" else "eager_reference.py"
    command = [sys.executable, bench / script, "--device", args.device, *options]
    if work == "probes" and args.device == "cpu":
        command += ["--rounds", "1"]  # of seconds each
    # One thread feeds a GPU; on the CPU it is the same for both.
    command += ["--threads", "1"]
    return milliseconds("PyTorch", command if work == "probes" else [*command, work, "--steps", args.steps])


def shown(ms):
    return "-" if ms is None else f"{ms:.3f}"


def ratio(theirs, mine):
    return "-" if theirs is None or not mine else f"x{theirs / mine:.2f}"


lines = ["| wall-clock ms | Orrery | eager | | CUDA graph | | Orrery, CPU |", "|---|---|---|---|---|---|---|"]
if args.device == "cpu":
    lines[0] = lines[0].replace("wall-clock", "CPU: Orrery's wall-clock, PyTorch's CPU")
for work, title in works.items():
    mine = ours(work, args.device, args.steps)
    plain = eager(work)
    graph = eager(work, "--cuda-graphs") if args.device == "cuda" else None
    on_cpu = ours(work, "cpu", 10 if work != "sparse_parity" else 200) if args.device == "cuda" else mine
    lines.append(
        f"| {title} | {shown(mine)} | {shown(plain)} | {ratio(plain, mine)} | {shown(graph)} | {ratio(graph, mine)} "
        f"| {shown(on_cpu)} |"
    )
    print(lines[-1], file=sys.stderr, flush=True)
table = "\n".join(lines) + "\n"
print(table)
if args.markdown:
    args.markdown.write_text(table)
sys.exit(failed)

"""A small run, made once by the command line, and what the tests of the package share."""

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("ORRERY_PROGRAM", str(ROOT / "build/release/bin/orrery"))
PLACE = Path(tempfile.mkdtemp(prefix="orrery-python-"))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)

CONFIG = """
[task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 16
n_heads = 2
d_head = 8
d_mlp = 32
[train]
steps = 60
eval_every = 10
[checkpoints]
every = 20
[[probe]]
name = "fourier_basis"
[[probe]]
name = "trig_loss"
"""
CONFIG_FILE = PLACE / "small.toml"
CONFIG_FILE.write_text(CONFIG)


def orrery_program(*arguments):
    """What the command line prints; fails the test if it fails."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=PLACE, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"orrery {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


_made = {}


def small_run():
    """The folder of a run that nobody writes to."""
    if "run" not in _made:
        orrery_program("train", CONFIG_FILE, "--out", PLACE / "run")
        _made["run"] = PLACE / "run"
    return _made["run"]


def copy_of_run(name):
    """A copy of it, to be written to."""
    shutil.rmtree(PLACE / name, ignore_errors=True)
    return Path(shutil.copytree(small_run(), PLACE / name))


def files_of(folder):
    """{path: bytes} of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"}

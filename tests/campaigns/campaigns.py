"""Faults on purpose, at random places, each with what must follow.

  kills       the program is killed at a file operation: the run is resumed, or begun again in the same folder,
              and ends in the same bits
  power_cuts  the same, and the disk loses what was not fsynced: the same must follow
  damages     a file of a finished run is damaged: `show --check` says so, or nothing that is read has changed

python3 campaigns.py kills --count 20 --program build/release/bin/orrery --faults build/release/.../file_faults.so
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

CONFIG = """
[task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 16
[train]
steps = 40
eval_every = 5
[checkpoints]
every = 10
[[probe]]
name = "fourier_basis"
[[probe]]
name = "trig_loss"
[[probe]]
name = "phase_changes"
"""


class Failure(Exception):
    """What a campaign found."""


def content(run):
    """Every file that has to be the same, by its path. The sessions of run.json tell of times."""
    files = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.name != ".lock":
            data = path.read_bytes()
            if path.name == "run.json":
                about = json.loads(data)
                about.pop("sessions"), about.pop("sha256", None)
                data = json.dumps(about).encode()
            files[str(path.relative_to(run))] = data
    return files


def require_same(run, expected, what):
    found = content(run)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        raise Failure(f"{what}: differs from an uninterrupted run in {', '.join(differing)}")


class Campaign:
    def __init__(self, options, folder):
        self.program, self.faults = map(os.path.abspath, (options.program, options.faults))
        self.folder = folder
        self.seed = options.seed
        self.config = folder / "small.toml"
        self.config.write_text(CONFIG)
        self.whole = folder / "whole"
        self.orrery("train", self.config, "--out", self.whole)
        self.expected = content(self.whole)
        self.shown_whole = self.shown(self.whole)

    def orrery(self, *arguments, env=None, may_fail=False):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder,
                              env={**os.environ, **(env or {})}, timeout=300)
        if not may_fail and done.returncode != 0:
            raise Failure(f"orrery {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
        return done

    def shown(self, run):
        return json.loads(self.orrery("show", "--json", run).stdout) | {"run": ""}

    def train(self, run, trace, kill=0):
        """A training in which the file operation number `kill` is the last that is not made."""
        trace.mkdir()
        env = {"LD_PRELOAD": self.faults, "FILE_FAULTS_ROOT": str(run), "FILE_FAULTS_TRACE": str(trace)}
        if kill:
            env["FILE_FAULTS_KILL"] = str(kill)
        self.orrery("train", self.config, "--out", run, env=env, may_fail=True)
        return [line.split("\t") for line in (trace / "log").read_text().splitlines()] if kill != 1 else []

    def n_operations(self):
        return int(self.train(self.folder / "counted", self.folder / "count")[-1][0])

    def go_on(self, run, trace, what):
        """What anybody would do who finds the run. One that ends as it should is removed: thousands fill a disk."""
        try:
            if (run / "run.json").exists():
                self.orrery("train", "--resume", run)
            else:
                self.orrery("train", self.config, "--out", run)
            require_same(run, self.expected, what)
        except Failure as failure:
            raise Failure(f"{what}: {failure}") from None
        shutil.rmtree(run)
        shutil.rmtree(trace)

    def kill(self, number, at):
        run = self.folder / f"run{number}"
        what = f"killed at file operation {at}"
        trace = self.folder / f"trace{number}"
        self.train(run, trace, at)
        self.go_on(run, trace, what)

    def power_cut(self, number, at):
        run, trace = self.folder / f"run{number}", self.folder / f"trace{number}"
        what = f"power cut at file operation {at}"
        operations = self.train(run, trace, at)
        Disk(operations, trace, run).cut(random.Random(f"{self.seed} {number}"))
        self.go_on(run, trace, what)

    def damage(self, number, _):
        rng = random.Random(f"{self.seed} {number}")
        run = self.folder / f"run{number}"
        shutil.copytree(self.whole, run)
        what = damage_one_file(run, rng)
        said = self.orrery("show", "--check", run, may_fail=True)
        if said.returncode not in (0, 1, 2):
            raise Failure(f"{what}: `show --check` ended with {said.returncode}\n{said.stderr}")
        if said.returncode != 0 or "warning:" in said.stderr:
            shutil.rmtree(run)
            return
        # Nobody said anything: then nobody may read anything else than before, and what is lost comes again.
        self.orrery("probe", run)
        if self.shown(run) != self.shown_whole:
            raise Failure(f"{what}: not said, and `orrery show` shows something else")
        shutil.rmtree(run)


class Disk:
    """What a disk holds after a power cut: names that a folder's fsync, and content that a file's fsync made last.
    Of the rest a random part, as a file system writes back when it likes: names in their order, the newest bytes of
    a file last."""

    def __init__(self, operations, trace, run):
        self.run = run
        self.names, self.pending, self.synced, self.folders = {}, [], {}, set()
        made = {}  # the operation that made what has this inode now: a file system uses inodes again
        for number, what, inode, path, to in operations:
            if what in ("create", "mkdir"):
                made[inode] = number
            if what == "mkdir":
                self.folders.add(number)
            if what == "fsync":
                self.synced[made[inode]] = (trace / number).read_bytes()
            elif what == "fsync_folder":
                self.settle(lambda folder, here=path: folder == here)
            elif path == str(run):
                self.names[path] = number  # its own folder is outside, where nothing is recorded
            elif what in ("create", "mkdir", "rename", "unlink"):
                self.pending.append((what, made[inode], path, to))
        self.now = {made[str(file.stat().st_ino)]: file.read_bytes()
                    for file in run.rglob("*") if file.is_file() and file.name != ".lock"}

    def settle(self, chosen):
        kept = []
        for operation in self.pending:
            if chosen(os.path.dirname(operation[2])):
                self.apply(*operation)
            else:
                kept.append(operation)
        self.pending = kept

    def apply(self, what, inode, path, to):
        if what in ("create", "mkdir"):
            self.names[path] = inode
        elif what == "unlink":
            self.names.pop(path, None)
        else:
            self.names.pop(path, None)
            self.names[to] = inode

    def data(self, inode, rng):
        before, now = self.synced.get(inode, b""), self.now.get(inode)
        if now is None or rng.random() < 0.5:
            return before
        if not now.startswith(before):
            return rng.choice([before, now])
        return now[:rng.randint(len(before), len(now))]

    def cut(self, rng):
        for operation in self.pending[:rng.randint(0, len(self.pending))]:
            self.apply(*operation)
        shutil.rmtree(self.run, ignore_errors=True)
        for path, inode in sorted(self.names.items()):
            if not os.path.isdir(os.path.dirname(path)):
                continue  # its folder was lost
            if inode in self.folders:
                os.mkdir(path)
            else:
                pathlib.Path(path).write_bytes(self.data(inode, rng))


def damage_one_file(run, rng):
    file = rng.choice([path for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"])
    data = bytearray(file.read_bytes())
    kind = rng.choice(["bit", "byte", "zeros", "cut", "delete", "empty", "repeat", "garbage"])
    at = rng.randrange(len(data))
    length = rng.randint(1, 64)
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[at] = rng.randrange(256)
    elif kind == "zeros":
        data[at:at + length] = bytes(len(data[at:at + length]))
    elif kind == "garbage":
        data[at:at + length] = rng.randbytes(len(data[at:at + length]))
    elif kind == "cut":
        del data[at:]
    elif kind == "repeat":
        data[at:at] = data[at:at + length]
    elif kind == "empty":
        data.clear()
    if kind == "delete":
        file.unlink()
    else:
        file.write_bytes(data)
    return f"{file.relative_to(run)}: {kind} at {at}, {length}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaign", choices=["kills", "power_cuts", "damages"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--program", required=True)
    parser.add_argument("--faults", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        campaign = Campaign(options, pathlib.Path(os.path.realpath(folder)))
        rng = random.Random(options.seed)
        if options.campaign == "damages":
            one, places = campaign.damage, [0] * options.count
        else:
            last = campaign.n_operations()
            one = campaign.kill if options.campaign == "kills" else campaign.power_cut
            # Spread evenly, so that few cover the whole of a run.
            places = [1 + int((i + rng.random()) * last / options.count) for i in range(options.count)]
        failures = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for done, future in enumerate([pool.submit(one, *each) for each in enumerate(places)], 1):
                try:
                    future.result()
                except Failure as failure:
                    failures.append(failure)
                    print(failure, file=sys.stderr, flush=True)
                if done % 100 == 0:
                    print(f"{done} of {len(places)}, {len(failures)} not as they should be", file=sys.stderr, flush=True)
        print(f"{options.campaign}: {len(places) - len(failures)} of {len(places)} as they should be")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

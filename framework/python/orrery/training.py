"""Training, sweeps and imports."""

import json
from pathlib import Path

from . import _program, reader
from ._load import engine
from ._report import Report, config_of, overrides_of, raise_if_stopped
from .errors import Error, UsageError
from .run import Run


def _finished(result):
    path, ending, step, probed, stop = result
    raise_if_stopped(stop, f"stopped at step {step:,}; go on with orrery.resume({path!r})", path)
    if ending == "diverged":
        raise Error(f"{path}: the loss became NaN or infinite after step {step}",
                    "try a smaller train.lr, or train.loss_dtype = \"float64\"")
    return Run(path)


def train(config, overrides=None, *, out=None, progress=None):
    """Trains a network and returns its Run, as `orrery train` does.

    config: a TOML file, or a dict like run.config. overrides: {"seeds.init": 1, "train.steps": 2000}. out: the run's
    directory, by default runs/NAME-TIME. progress: True or False; None shows it in terminals and notebooks. The
    interpreter lock is released. An interrupt stops after the current step, with a checkpoint, and raises
    orrery.Interrupted (a KeyboardInterrupt): orrery.resume() goes on.
    """
    text, is_dict = config_of(config)
    with Report(progress) as report:
        return _finished(engine().train(text, is_dict, overrides_of(overrides), str(out or ""), "", report))


def resume(run, overrides=None, *, progress=None):
    """Goes on with a run from its newest checkpoint and returns it: the bytes that it would have had uninterrupted."""
    path = run.path if isinstance(run, Run) else run
    with Report(progress) as report:
        return _finished(engine().train("", False, overrides_of(overrides), "", str(path), report))


def import_network(file, config, *, out=None, overrides=None, key="", steps_key="", layout="", map="", step=None,
                   progress=None):
    """Makes a Run of a published network, as `orrery import` does. Nothing in the file is executed.

    file: of torch.save, safetensors or .npz, or a list or folder of them, each a checkpoint. config: the TOML file with
    the network's [task]. The options are those of `orrery import`: key, steps_key, layout, map, step.
    """
    files = [str(each) for each in file] if isinstance(file, (list, tuple)) else [str(file)]
    if isinstance(config, dict):
        raise UsageError("config: expected the TOML file with the network's [task], got a dict")
    options = {"key": key, "steps_key": steps_key, "layout": layout, "map": str(map)}
    with Report(progress) as report:
        path, stop = engine().import_network(files, str(config), str(out or ""), options, overrides_of(overrides),
                                             -1 if step is None else reader._step(step, ()), report)
    raise_if_stopped(stop, "stopped; nothing was imported")
    return Run(path)


class Sweep:
    """A set of runs: its TOML file, or its folder in runs/sweeps."""

    def __init__(self, path, out=None):
        self.path = Path(path)
        self.out = Path(out) if out is not None else None

    def _rows(self):
        """The titles of the readings' columns, and the rows."""
        if not self.path.exists():
            raise UsageError(f"{self.path}: no sweep: there is no such file or folder",
                             "give the sweep's TOML file, or its folder in runs/sweeps")
        readings, lines = engine().sweep_table(str(self.path), str(self.out or ""))
        return readings, [json.loads(line) for line in lines.splitlines()]

    def _file(self):
        """The TOML file, also of a folder, which was planned from one, and the folder."""
        plan = self.path / "plan.json"
        if not plan.exists():
            return self.path, self.out
        file = Path(json.loads(plan.read_text())["origin"])
        if not file.exists():
            raise UsageError(f"{self.path}: it was planned from {file}, which is not there",
                             f"orrery.sweep(FILE, out={str(self.path)!r}).run() takes the file from elsewhere")
        return file, self.path

    def run(self, jobs=1, *, progress=None):
        """Trains what is not done, as `orrery sweep run` does, and returns the sweep.

        jobs: how many processes train at a time, each with one thread. progress: as for orrery.train(). A run that
        fails is an orrery.OrreryWarning, and "failed" in the table; the others go on. An interrupt stops all of them,
        with checkpoints, and raises orrery.Interrupted: run() again goes on.
        """
        file, out = self._file()
        _program.run(["sweep", "run", file, "--jobs", jobs, *(["--out", out] if out else [])], progress,
                     f"stopped; what is done is kept: orrery.sweep({str(self.path)!r}).run() goes on",
                     well_with=r"\d+ of \d+ runs done")
        return self

    def table(self):
        """pandas.DataFrame, tidy: a row for each run, with its keys, seed, status, class and readings.

        A reading that had not come by the end of the run is NaN, and NAME_censored_at has the last step.
        """
        import pandas
        rows = []
        readings, all = self._rows()
        for row in all:
            flat = {"index": row["index"], "run": row["run"], **row["keys"], "seed": row["seed"],
                    "status": row["status"], "class": row.get("class")}
            for name, reading in (row.get("readings") or {}).items():
                value = reading["value"]
                flat[name] = float("nan") if value is None else float(value)
                if reading.get("censored_at") is not None:
                    flat[f"{name}_censored_at"] = reading["censored_at"]
            rows.append(flat)
        others = dict.fromkeys(name for row in rows for name in row if name not in readings)
        frame = pandas.DataFrame(rows, columns=[*others, *readings])
        return frame.astype(dict.fromkeys(readings, float)).set_index("index")

    @property
    def runs(self):
        """{index: Run} of the runs that are there."""
        there = {row["index"]: Path(row["folder"]) for row in self._rows()[1]}
        return {index: Run(folder) for index, folder in there.items() if (folder / "run.json").exists()}

    def __repr__(self):
        return f"<orrery.Sweep {self.path}>"


def sweep(path, *, out=None):
    """A sweep, by its TOML file or its folder. out: the folder of a file's, by default runs/sweeps/NAME."""
    return Sweep(path, out)


def plugins():
    """pandas.DataFrame of the plugins: kind, name, version, summary. ORRERY_PLUGIN_PATH names folders of more."""
    import pandas
    return pandas.DataFrame(engine().plugins(), columns=["kind", "name", "version", "summary"])

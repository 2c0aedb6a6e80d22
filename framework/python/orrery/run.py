"""A run: its config, metrics, networks, and what probes measured."""

import html
import json
from pathlib import Path

from . import reader
from ._load import engine
from ._report import Report, entry_of, raise_if_stopped
from .errors import Error, UsageError
from .figures import Figure, drawn
from .network import Network
from .probes import PythonProbe


def _steps_text(steps):
    """What the engine takes: "" for all of them."""
    if steps is None or isinstance(steps, str) and steps == "all":
        return ""
    if isinstance(steps, str) and steps.strip():
        return steps
    try:
        listed = list(steps)
    except TypeError:
        return str(reader._step(steps))
    if not listed:
        raise UsageError("steps: there is none in it", "leave it out, or give \"all\", for every checkpoint")
    return ",".join(str(reader._step(step)) for step in listed)


class ProbeResults:
    """What one probe recorded: scalars over the steps, findings, tensors, figures, the null and the conclusion."""

    def __init__(self, run, label, by_step, null=None, conclusion=None, stored=True):
        self.run = run
        self.label = label
        self._by_step = by_step
        self._null = null
        self._conclusion = conclusion
        self._stored = stored

    @property
    def steps(self):
        """The steps of the checkpoints with a result, ascending."""
        return list(self._by_step)

    @property
    def scalars(self):
        """pandas.DataFrame: a row for each checkpoint, indexed by step, a column for each scalar."""
        import pandas
        rows = [said["scalars"] for said in self._by_step.values()]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return pandas.DataFrame(rows, index=pandas.Index(self.steps, name="step"), columns=columns, dtype=float)

    @property
    def null(self):
        """{scalar: float} for random weights, the baseline; None if the probe has no null."""
        return self._null and self._null["scalars"]

    @property
    def conclusion(self):
        """The probe's conclusion from the whole run, {"scalars": ..., "findings": ...}, or None."""
        return self._conclusion and {"scalars": self._conclusion["scalars"],
                                     "findings": self._conclusion["findings"]}

    def findings(self, step="last"):
        """{name: {"kind": ..., fields}} at a step, or for "null" or "conclusion"."""
        return self._at(step)["findings"]

    def tensors(self, step="last"):
        """{name: NumPy array} that the probe recorded at a step, or for "null" or "conclusion"."""
        self._need_stored()
        return reader.tensors(self.run, self.label, step)

    def figure_names(self, step="last"):
        """The names of its figures."""
        self._need_stored()
        return reader.figure_names(self.run, self.label, step)

    def figure(self, name, step="last"):
        """A figure at a step: plotly's where Plotly for Python is installed, else an orrery.Figure."""
        self._need_stored()
        return drawn(reader.figure(self.run, self.label, name, step))

    def _at(self, step):
        steps = self.steps
        step = reader._step(step, reader._STEP_OF_RESULT)
        if step in ("null", "conclusion"):
            level = self._null if step == "null" else self._conclusion
            if level is None:
                raise UsageError(f"{self.run}: the probe \"{self.label}\" has no {step}")
            return level
        if step in ("first", "last") and steps:
            step = steps[0 if step == "first" else -1]
        if step == "grokked":
            step = reader.choose_step(self.run, step)
        if step not in self._by_step:
            raise UsageError(f"{self.run}: the probe \"{self.label}\" has no result of step {step}",
                             f"it has: {', '.join(map(str, steps)) or 'none'}")
        return self._by_step[step]

    def _need_stored(self):
        if not self._stored:
            raise UsageError(f"the results of \"{self.label}\" were not stored, so they have numbers and findings only",
                             "leave out store=False, or ask net.probe(), which has the tensors and figures of one "
                             "checkpoint")

    def _repr_html_(self):
        return self.scalars._repr_html_()

    def __repr__(self):
        return f"<orrery.ProbeResults {self.label} of {self.run}>\n{self.scalars!r}"


class Run:
    """A run directory, whoever made it. Made by orrery.open(); reading it needs neither PyTorch nor the engine."""

    def __init__(self, path):
        self.path = Path(path)
        self._about = reader.run_json(self.path)

    @property
    def name(self):
        """The name of the run's config."""
        return self.config["name"]

    @property
    def about(self):
        """All of run.json: versions, plugins, sizes, sessions."""
        return self._about

    @property
    def config(self):
        """The config with every default filled in, as nested dicts."""
        return self._about["config"]

    @property
    def metrics(self):
        """pandas.DataFrame of metrics.jsonl: indexed by step, columns "train/loss", "test/accuracy", ..."""
        import pandas
        columns = reader.metrics(self.path)
        return pandas.DataFrame(columns).set_index("step")

    @property
    def steps(self):
        """The steps of the checkpoints, ascending."""
        return list(reader.checkpoints(self.path))

    @property
    def labels(self):
        """The labels of the probes that have results."""
        return reader.labels(self.path)

    def network(self, step="last"):
        """The network at a checkpoint: a step, "first", "last" or "grokked" (the first with 99 % test accuracy)."""
        return Network(self.path, step)

    def data(self, which="test"):
        """The examples "train", "test" or "grid": {"tokens": int64 [batch, n_ctx], "labels": int64 [batch, n_read]}."""
        return Network(self.path).data(which)

    def results(self, label):
        """The stored results of a probe, by its label; computes nothing."""
        return ProbeResults(self.path, label, reader.results(self.path, label), reader.null(self.path, label),
                            reader.conclusion(self.path, label))

    def probe(self, name, *, steps="all", label=None, reference=None, store=True, again=False, progress=None,
              **parameters):
        """Measures checkpoints with a probe: ProbeResults, the same numbers as `orrery probe`, stored in the run.

        What is stored already is not computed again, unless `again`. steps: "all", "every 500", a step, or a list of
        steps, "first", "last" and "grokked". A probe as the run's config has it goes by its label there; with
        other parameters it gets a label that tells them, or `label`. store=False leaves the run unchanged. Writes to a
        run that nobody else writes to. On an interrupt, what was measured is kept. With a throw-away probe
        (@orrery.probe) in place of a name, the result is its DataFrame.
        """
        if isinstance(name, PythonProbe):
            if label or reference or again or parameters:
                raise UsageError(f"probe {name.__name__}: a throw-away probe takes steps and progress only")
            return self._throw_away(name, steps, progress)
        if not isinstance(name, str):
            raise UsageError(f"run.probe(): expected the name of a probe, got {name!r}",
                             "a function becomes a probe by @orrery.probe")
        extra = {key: value for key, value in (("label", label), ("reference", reference)) if value is not None}
        with Report(progress) as report:
            label, lines, asked, failed, error, stop = engine().probe(
                str(self.path), entry_of(name, {**extra, **parameters}), _steps_text(steps), store, again, report)
        raise_if_stopped(stop, f"stopped; what {name} has measured of {self.path} is "
                         f"{'stored, and not computed again' if store else 'dropped'}", str(self.path))
        if error and asked and failed == asked:
            hints = [hint for what, hint in report.warned if what == error and hint]
            raise Error(error, hints[0] if hints else "it failed at every checkpoint")
        return self.results(label) if store else self._unstored(label, lines)

    def figure(self, probe, name, step="last"):
        """A figure that a probe recorded, by the probe's label or name: plotly's where Plotly for Python is installed,
        else an orrery.Figure. A probe without results is asked at that step first. `step` may be "null" or "conclusion".
        """
        if probe not in self.labels:
            step = reader._step(step, reader._STEP_OF_RESULT)
            probe = self.probe(probe, steps="all" if step in ("null", "conclusion") else [step]).label
        return drawn(reader.figure(self.path, probe, name, step))

    def _unstored(self, label, lines):
        by_step, level = {}, {}
        for line in map(json.loads, lines):
            said = reader._said(line, label, "the results")
            if "step" in line:
                by_step[line["step"]] = said
            else:
                level[line["of"]] = said
        return ProbeResults(self.path, label, by_step, level.get("null"), level.get("conclusion"), stored=False)

    def _throw_away(self, probe, steps, progress):
        import pandas
        chosen = engine().choose_steps(str(self.path), _steps_text(steps))
        rows = []
        with Report(progress) as report:
            net = self.network(chosen[0] if chosen else "last")
            for i, step in enumerate(chosen):
                rows.append(probe.measure(net.load(step)))
                report.show(i + 1, len(chosen), "checkpoints", "")
            frame = pandas.DataFrame(rows, index=pandas.Index(chosen, name="step"))
            if probe.null:
                frame.attrs["null"] = probe.measure(net.randomise())
        return frame

    def _repr_html_(self):
        return f"<code>{html.escape(repr(self))}</code>{self.metrics.tail()._repr_html_() or ''}"

    def __repr__(self):
        return f"<orrery.Run {self.path}: {self.config['model']['kind']} on {self.config['task']['name']}, " \
               f"{len(self.steps)} checkpoints>"


__all__ = ["Figure", "ProbeResults", "Run"]

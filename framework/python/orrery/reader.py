"""Reads the run directory with the standard library and NumPy only.

One file that needs neither the compiled module nor PyTorch: copy it where you like. docs/run_directory.md is the
contract of the files. Readers need no lock and change nothing; a run may be read while it is trained.

    from orrery import reader
    metrics = reader.metrics("runs/quickstart")          # {"step": array, "test/loss": array, ...}
    weights = reader.weights("runs/quickstart", "last")  # {"embed.W_E": array [d_vocab, d_model], ...}
    results = reader.results("runs/quickstart", "fourier_basis")
"""

import json
import math
import operator
import re
from pathlib import Path

import numpy as np

__all__ = ["ReadError", "run_json", "metrics", "checkpoints", "choose_step", "weights", "safetensors", "labels",
           "results", "null", "conclusion", "tensors", "figure", "figure_names"]

GROKKED_ACCURACY = 0.99
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?"}


try:
    from .errors import UsageError as _Failure
except ImportError:  # this file on its own
    class _Failure(ValueError):
        def __init__(self, what, hint=""):
            super().__init__(f"{what}\n  {hint}" if hint else what)
            self.what = what
            self.hint = hint


class ReadError(_Failure):
    """A file of a run that is missing or damaged, or a part that it does not have: `what` says which and where, `hint`
    what to do. A ValueError; in the package, an orrery.UsageError.
    """


def _text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReadError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read: {error}") from None


def _object(text, where):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{where}: is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ReadError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _lines(path):
    """(object, where) of each whole line of a log; a last line without a newline is still being written."""
    text = _text(path)
    whole = text[:text.rfind("\n") + 1].split("\n")[:-1]
    rows = [(_object(line, f"{path}:{number}"), f"{path}:{number}") for number, line in enumerate(whole, 1)]
    for row, where in rows:
        if type(row.get("step")) is not int or not 0 <= row["step"] < 2**63:
            raise ReadError(f"{where}: expected a \"step\", a whole number, got {row.get('step')!r}")
    return rows


_NOT_IN_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _real(value, name, where):
    number = _NOT_IN_JSON.get(value) if isinstance(value, str) else value
    try:
        if number is not None and not isinstance(number, bool):
            return float(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ReadError(f"{where}: \"{name}\": expected a number, got {value!r}")


def _with_reals(value):
    """What JSON holds, with numbers in place of "NaN" and the infinities, at any depth."""
    if isinstance(value, dict):
        return {key: _with_reals(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_reals(each) for each in value]
    return _NOT_IN_JSON.get(value, value) if isinstance(value, str) else value


def _part(of, name, where):
    """of[name], a dict, which a damaged file may lack, or have as something else."""
    if not isinstance(of.get(name), dict):
        raise ReadError(f"{where}: expected \"{name}\" to be a JSON object, got {type(of.get(name)).__name__}")
    return of[name]


def _step(which, names=("first", "last", "grokked")):
    """A step as an int: of an int, NumPy's too, a whole float or a text of digits; or one of `names`."""
    if isinstance(which, str):
        if which in names:
            return which
        if re.fullmatch(r"[0-9]{1,18}", which):
            return int(which)
    elif not isinstance(which, (bool, np.bool_)):
        try:
            whole = isinstance(which, (float, np.floating)) and float(which).is_integer()
            step = operator.index(int(which) if whole else which)
            if 0 <= step < 2**63:
                return step
        except (TypeError, ValueError):
            pass
    raise ReadError(f"step {which!r}: expected a number" + "".join(f", \"{name}\"" for name in names))


_STEP_OF_RESULT = ("first", "last", "grokked", "null", "conclusion")


def _not_one(what, known):
    return ReadError(what, f"there {'is' if len(known) == 1 else 'are'}: {', '.join(map(str, known)) or 'none'}")


def run_json(run):
    """What run.json holds, as a dict: "config", "sessions", "plugins", sizes and versions."""
    path = Path(run) / "run.json"
    if not Path(run).is_dir():
        raise ReadError(f"{run}: no run: there is no such folder", "`orrery runs` lists the runs below a folder")
    if (Path(run) / "plan.json").exists():
        raise ReadError(f"{run}: no run: it is the folder of a sweep", f"orrery.sweep({str(run)!r}).runs are its runs")
    if not path.exists():
        raise ReadError(f"{run}: no run: it has no run.json", "`orrery runs` lists the runs below a folder")
    return _object(_text(path), path)


def metrics(run):
    """The columns of metrics.jsonl: {"step": int64 [n], "train/loss": float64 [n], ...}, NaN where a row lacks one."""
    path = Path(run) / "metrics.jsonl"
    rows = _lines(path) if path.exists() else []
    names = list(dict.fromkeys(name for row, _ in rows for name in row))
    columns = {name: np.array([_real(row.get(name, "NaN"), name, where) for row, where in rows])
               for name in names if name != "step"}
    return {"step": np.array([row["step"] for row, _ in rows], dtype=np.int64), **columns}


def checkpoints(run):
    """{step: path} of the checkpoints that are there, ascending by step."""
    found = {}
    for path in (Path(run) / "checkpoints").glob("step_*.safetensors"):
        if match := re.fullmatch(r"step_(\d{8,})\.safetensors", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def choose_step(run, which="last"):
    """The step of a checkpoint: a number, "first", "last", or "grokked" (at or after the first 99 % test accuracy)."""
    there = list(checkpoints(run))
    step = _step(which)
    if not there:
        raise ReadError(f"{run}: it has no checkpoints")
    if step in ("first", "last"):
        return there[0 if step == "first" else -1]
    if step == "grokked":
        read = metrics(run)
        steps = read["step"][read.get("test/accuracy", np.zeros(len(read["step"]))) >= GROKKED_ACCURACY]
        after = [step for step in there if len(steps) and step >= steps[0]]
        if not after:
            raise ReadError(f"{run}: it has no checkpoint at or after the first 99 % test accuracy")
        return after[0]
    if step not in there:
        raise _not_one(f"{run}: it has no checkpoint of step {step}", there)
    return step


def safetensors(source):
    """The tensors of a safetensors file, a path or its bytes: {name: array}. bfloat16 becomes float32."""
    where = "these bytes" if isinstance(source, bytes) else source
    try:
        raw = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise ReadError(f"{where}: cannot be read: {error}") from None
    size = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or size > len(raw) - 8:
        raise ReadError(f"{where}: is no safetensors file, or is cut short")
    header, data = _object(raw[8:8 + size], where), raw[8 + size:]
    found = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        found[name] = _tensor(about, data, f"{where}: the tensor {name!r}")
    return found


def _tensor(about, data, where):
    if not isinstance(about, dict):
        raise ReadError(f"{where}: expected a JSON object, got {type(about).__name__}")
    kind, shape, offsets = about.get("dtype"), about.get("shape"), about.get("data_offsets")
    for each in (shape, offsets):
        if not isinstance(each, list) or any(type(number) is not int or number < 0 for number in each):
            raise ReadError(f"{where}: expected shape and data_offsets of whole numbers, got {shape!r} and {offsets!r}")
    if not isinstance(kind, str) or kind not in _TYPES and kind != "BF16":
        raise ReadError(f"{where} is of unknown type {kind!r}")
    if len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(data):
        raise ReadError(f"{where} reaches beyond the file: {offsets}")
    stored = np.dtype("<u2" if kind == "BF16" else _TYPES[kind])
    if offsets[1] - offsets[0] != math.prod(shape) * stored.itemsize:
        raise ReadError(f"{where} has {offsets[1] - offsets[0]} bytes, its shape is {shape} of {kind}")
    array = np.frombuffer(data[offsets[0]:offsets[1]], stored)
    if kind == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    try:
        return array.reshape(shape)
    except ValueError as error:  # more axes than NumPy has
        raise ReadError(f"{where} cannot have the shape {shape}: {error}") from None


def weights(run, step="last"):
    """The weights at a checkpoint (see choose_step) under TransformerLens names: {"embed.W_E": float32 array, ...}."""
    return safetensors(checkpoints(run)[choose_step(run, step)])


def labels(run):
    """The labels of the probes that have results, in alphabetical order."""
    folder = Path(run) / "probes"
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def _folder(run, label):
    folder = Path(run) / "probes" / label
    if not folder.is_dir():
        raise _not_one(f"{run}: there are no results of a probe \"{label}\"", labels(run))
    return folder


def _said(line, label, where):
    said = _part(line, "probes", where).get(label)
    if not isinstance(said, dict):
        raise ReadError(f"{where}: it has no results of \"{label}\"")
    said = {"scalars": {}, "findings": {}, **said}
    scalars = {name: _real(value, name, where) for name, value in _part(said, "scalars", where).items()}
    findings = _with_reals(_part(said, "findings", where))
    return {**said, "scalars": scalars, "findings": findings, "origin": line.get("origin")}


def results(run, label):
    """{step: result}, ascending. A result is a dict of scalars {name: float}, headlines, findings, figures, tensors.

    `figures` describes the figures without their data, `tensors` names them: figure() and tensors() have both.
    """
    path = _folder(run, label) / "results.jsonl"
    if not path.exists():
        return {}
    return {line["step"]: _said(line, label, where) for line, where in _lines(path)}


def _run_level(run, label, which):
    path = _folder(run, label) / f"{which}.json"
    return _said(_object(_text(path), path), label, path) if path.exists() else None


def null(run, label):
    """The probe's result for random weights, as in results(), or None: the baseline."""
    return _run_level(run, label, "null")


def conclusion(run, label):
    """The probe's conclusion from the whole run, as in results(), or None."""
    return _run_level(run, label, "conclusion")


def _result_at(run, label, step):
    """The result, its data file; `step` is a step with a result, "first", "last", "null" or "conclusion"."""
    folder = _folder(run, label)
    step = _step(step, _STEP_OF_RESULT)
    if step in ("null", "conclusion"):
        result = _run_level(run, label, step)
        if result is None:
            raise ReadError(f"{run}: the probe \"{label}\" has no {step}")
        return result, folder / f"{step}.safetensors"
    there = results(run, label)
    if not there:
        raise ReadError(f"{run}: the probe \"{label}\" has no results of checkpoints")
    if step in ("first", "last"):
        step = list(there)[0 if step == "first" else -1]
    if step == "grokked":
        step = choose_step(run, "grokked")
    if step not in there:
        raise _not_one(f"{run}: the probe \"{label}\" has no result of step {step}", list(there))
    return there[step], folder / f"step_{step:08}.safetensors"


def tensors(run, label, step="last"):
    """The tensors that the probe recorded: {name: array}. step: one with a result, "last", "null", "conclusion"."""
    result, path = _result_at(run, label, step)
    if not result.get("tensors"):
        return {}
    data = safetensors(path)
    return {name: _taken(data, key, path) for name, key in _part(result, "tensors", path).items()}


def _taken(data, key, where):
    if not isinstance(key, str) or key not in data:
        raise ReadError(f"{where}: it has no tensor {key!r}")
    return data[key]


def figure_names(run, label, step="last"):
    """The names of the figures that the probe recorded at a step."""
    return [each["name"] for each in _result_at(run, label, step)[0].get("figures", [])]


def with_data(said, data, where="the result"):
    """A figure as results() describes it, with arrays in place of the keys of its traces."""
    axes = ("x", "y", "z", "y_error")
    traces = [{key: _taken(data, value, where) if key in axes else value for key, value in trace.items()}
              for trace in said["traces"]]
    return {**said, "traces": traces}


def figure(run, label, name, step="last"):
    """A figure as data: kind, title, x_label, y_label, and traces with arrays x, y, z (see docs/run_directory.md)."""
    result, path = _result_at(run, label, step)
    for said in result.get("figures", []):
        if said["name"] == name:
            return with_data(said, safetensors(path), path)
    raise _not_one(f"{run}: the probe \"{label}\" recorded no figure \"{name}\"",
                   [each["name"] for each in result.get("figures", [])])

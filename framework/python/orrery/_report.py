"""What long calls say: a progress line in terminals and notebooks, warnings as Python's."""

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Mapping

from .errors import Error, OrreryWarning, UsageError


def wants_progress():
    """Whether somebody watches: a terminal, or a notebook."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def _left(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02}"


class Report:
    """Receives the engine's messages; `progress` None: where somebody watches."""

    def __init__(self, progress=None, stream=None):
        self.shown = wants_progress() if progress is None else bool(progress)
        self.stream = stream or sys.stderr
        self.warned = []
        self._width = 0
        self._begin = None

    def note(self, text):
        if self.shown:
            self._end_line()
            print(text, file=self.stream, flush=True)

    def warning(self, what, hint):
        self._end_line()
        self.warned.append((what, hint))
        warnings.warn(f"{what}\n  {hint}" if hint else what, OrreryWarning, stacklevel=3)

    def show(self, done, total, unit, text):
        if not self.shown:
            return
        now = time.monotonic()
        if self._begin is None or done < self._begin[1]:
            self._begin = (now, done)
        rate = (done - self._begin[1]) / max(now - self._begin[0], 1e-9)
        share = done / total if total else 1
        bar = "#" * round(20 * share)
        left = f"  {_left((total - done) / rate)} left" if rate > 0 and done < total else ""
        line = f"[{bar:.<20}] {done:,}/{total:,} {unit}{left}  {text.strip()}"[:110]
        self.stream.write("\r" + line.ljust(self._width))
        self.stream.flush()
        self._width = len(line)

    def _end_line(self):
        if self._width:
            self.stream.write("\n")
        self._width = 0
        self._begin = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end_line()


def _plain(value, key):
    """As JSON and TOML have it: NumPy's arrays and numbers as lists and numbers, mappings as dicts."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each, f"{key}.{name}" if key else str(name)) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, key) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{key}: expected a finite number, got {value}")
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise UsageError(f"{key}: expected a number, a text, True or False, or a list of these, got {type(value).__name__}")


def _toml(value):
    """As it is written after --set KEY=."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def overrides_of(overrides):
    """{"seeds.init": 1}, or {"seeds": {"init": 1}}, as ["seeds.init=1"]."""
    if not isinstance(overrides, (Mapping, type(None))):
        raise UsageError(f"overrides: expected a dict such as {{\"train.steps\": 100}}, got {type(overrides).__name__}")

    def flat(table, prefix):
        for key, value in table.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}={_toml(value)}"
    return list(flat(_plain(overrides or {}, ""), ""))


def config_of(config):
    """(a file's name, False), or (a dict as JSON, True)."""
    if isinstance(config, (str, os.PathLike)):
        return os.fspath(config), False
    if not isinstance(config, Mapping):
        raise UsageError(f"config: expected a TOML file, or a dict like run.config, got {type(config).__name__}")
    return json.dumps(_plain(config, "")), True


def nested(parameters):
    """{"split.rule": 1} as {"split": {"rule": 1}}."""
    result = {}
    for key, value in parameters.items():
        *tables, last = key.split(".")
        place = result
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return result


def entry_of(name, parameters):
    """A [[probe]] entry as JSON."""
    try:
        return json.dumps(nested({"name": name, **_plain(parameters, "")}))
    except UsageError as error:
        raise UsageError(f"probe \"{name}\": {error.what}") from None
    except (TypeError, AttributeError) as error:
        raise UsageError(f"probe \"{name}\": parameters that do not go together: {error}") from None


def raise_if_stopped(stop, text, run=None):
    """What a callback or an interrupt raised, once the engine has stopped in an orderly way."""
    from .errors import Interrupted
    if stop is None:
        return
    if isinstance(stop, KeyboardInterrupt):
        raise Interrupted(text, run) from stop
    raise stop


__all__ = ["Error", "Report", "UsageError"]

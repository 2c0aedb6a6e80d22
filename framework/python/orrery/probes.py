"""Throw-away probes: a Python function that looks at each checkpoint of a run, for a first look."""

import ast
import difflib
import functools
import inspect
import tempfile
import textwrap
import types
from pathlib import Path

from . import _program
from .errors import UsageError
from .network import names_of


class _Named(dict):
    """A dict that says what it has where a name is missing."""

    def __init__(self, missing, values):
        super().__init__(values)
        self._missing = missing

    def __missing__(self, name):
        near = difflib.get_close_matches(str(name), self, 1)
        raise UsageError(f"{self._missing} \"{name}\"" + (f" (did you mean \"{near[0]}\"?)" if near else ""),
                         f"there are: {', '.join(self) or 'none'}")


class Observation:
    """What a throw-away probe sees of one checkpoint. Gradients are off; valid during the call.

    step; net (an orrery.Network of its own, to be changed at will); data, tokens [batch, n_ctx] and labels
    [batch, n_read] of the inputs; weights {name: float32 tensor}; logits [batch, n_read, d_vocab_out] at the output
    positions; cache {hook name: tensor [batch, n_ctx, ...]} of the probe's activations, at all positions.
    """

    def __init__(self, net, inputs, activations):
        self.net = net
        self.step = net.step
        self.weights = types.MappingProxyType(_Named("the network has no weight", dict(net.weights)))
        self.data = net.data(inputs)
        self.tokens = self.data["tokens"]
        self.labels = self.data["labels"]
        logits, cache = net.run_with_cache(self.tokens, activations)
        self.cache = _Named("the probe did not ask for the activation", cache)
        self.logits = logits[:, net.task["read_out"]]


class PythonProbe:
    """A function f(observation) -> number or {name: number}, made by @orrery.probe. Call it with a run."""

    def __init__(self, function, inputs="test", activations=(), null=True):
        functools.update_wrapper(self, function)
        self.function = function
        self.inputs = inputs
        self.activations = names_of(activations)
        self.null = null

    def measure(self, net):
        """{name: float} of the present weights of a network."""
        import torch
        with torch.no_grad():
            said = self.function(Observation(net, self.inputs, self.activations))
        if not isinstance(said, dict):
            said = {self.__name__: said}
        numbers = {}
        for name, value in said.items():
            try:
                numbers[str(name)] = float(value)
            except (TypeError, ValueError):
                raise UsageError(f"probe {self.__name__}, step {net.step}: \"{name}\" is {type(value).__name__}, "
                                 "expected a number", "return a number, or a dict of numbers by name") from None
        return numbers

    def __call__(self, run, steps="all", progress=None):
        """A pandas.DataFrame, a row for each checkpoint, indexed by step; attrs["null"] has random weights' numbers.

        run: an orrery.Run or the folder of one. steps: "all", a step, or a list of them. Nothing is stored.
        """
        from .run import Run
        run = run if isinstance(run, Run) else Run(run)
        return run.probe(self, steps=steps, progress=progress)


def probe(function=None, *, inputs="test", activations=(), null=True):
    """Makes a throw-away probe of a function of an Observation: @orrery.probe, or @orrery.probe(inputs="grid").

    inputs: "train", "test" or "grid". activations: hook points, by name or glob, for observation.cache. null: also
    measure random weights. The function returns a number, or {name: number}. Make a plugin of it, by orrery.new_probe(),
    when it is to run in trainings, be stored, or be held to a claim.
    """
    if inputs not in ("train", "test", "grid"):
        raise UsageError(f"@orrery.probe: inputs={inputs!r}: expected \"train\", \"test\" or \"grid\"")
    if function is None:
        return lambda given: probe(given, inputs=inputs, activations=activations, null=null)
    if not callable(function):
        raise UsageError(f"orrery.probe: expected a function, got {function!r}",
                         "run.probe(\"NAME\") asks a plugin; orrery.plugins() lists them")
    return PythonProbe(function, inputs, activations, null)


def _source(probe):
    """The function's source, under a decorator whose arguments are written out."""
    try:
        lines = textwrap.dedent(inspect.getsource(probe.function)).splitlines(keepends=True)
        (function,) = ast.parse("".join(lines)).body
        start = function.lineno - 1  # without decorators
        if not isinstance(function, ast.FunctionDef) or function.name != probe.function.__name__:
            raise ValueError("a lambda, or the file has changed since")
    except (OSError, TypeError, SyntaxError, ValueError, AttributeError):
        raise UsageError(f"new_probe: Python does not know the source of {probe.__name__}",
                         "define it by `def` in a cell or file; of a file, `orrery new probe NAME --from FILE.py` "
                         "starts a plugin, too") from None
    arguments = f"inputs={probe.inputs!r}, activations={probe.activations!r}, null={probe.null!r}"
    return f"@orrery.probe({arguments})\n" + "".join(lines[start:])


def new_probe(function, name=None, *, out=None):
    """Starts a plugin from a throw-away probe, as `orrery new probe NAME --from FILE.py` does; returns its files.

    needs() asks for the inputs, activations and named weights of the function, whose source becomes a comment;
    measure() is to be written in C++, and fails until then. name: by default the function's. out: where the folder
    NAME is made; by default here, or among the other probes in a source tree of Orrery. Never overwrites a file.
    """
    if not isinstance(function, PythonProbe):
        raise UsageError(f"new_probe: expected a function under @orrery.probe, got {type(function).__name__}")
    name = name or function.__name__
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.py"
        file.write_text(_source(function))
        printed, notes = _program.run(["new", "probe", name, "--from", file, *(["--out", out] if out else [])],
                                      progress=False)
    print("\n".join(notes))
    return [Path(line) for line in printed.splitlines()]

"""Throw-away probes: a Python function that looks at each checkpoint of a run, for a first look."""

import functools

from .errors import UsageError


class Observation:
    """What a throw-away probe sees of one checkpoint. Gradients are off; valid during the call.

    step; net (an orrery.Network of its own, to be changed at will); data, tokens [batch, n_ctx] and labels
    [batch, n_read] of the inputs; weights {name: float32 tensor}; logits [batch, n_read, d_vocab_out] at the output
    positions; cache {hook name: tensor [batch, n_ctx, ...]} of the probe's activations, at all positions.
    """

    def __init__(self, net, inputs, activations):
        self.net = net
        self.step = net.step
        self.weights = net.weights
        self.data = net.data(inputs)
        self.tokens = self.data["tokens"]
        self.labels = self.data["labels"]
        logits, self.cache = net.run_with_cache(self.tokens, activations)
        self.logits = logits[:, net.task["read_out"]]


class PythonProbe:
    """A function f(observation) -> number or {name: number}, made by @orrery.probe. Call it with a run."""

    def __init__(self, function, inputs="test", activations=(), null=True):
        functools.update_wrapper(self, function)
        self.function = function
        self.inputs = inputs
        self.activations = [activations] if isinstance(activations, str) else list(activations)
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
    measure random weights. The function returns a number, or {name: number}. Make a plugin of it (`orrery new probe`)
    when it is to run in trainings, be stored, or be held to a claim.
    """
    if function is None:
        return lambda given: PythonProbe(given, inputs, activations, null)
    return PythonProbe(function, inputs, activations, null)

"""A network of a run: weights, hooks and forward passes in PyTorch."""

import contextlib
import functools
import inspect
import json
import operator
import sys
import tempfile
import threading
import types
from pathlib import Path

from . import reader
from ._load import engine
from ._report import entry_of
from .errors import UsageError


class Hooked:
    """What a hook gets as `hook`: the name of its place in the forward pass."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"<hook point {self.name}>"


def _signature_of(function):
    """(its parameters, whether **kwargs among them may be for a hook): of a module of PyTorch, those of forward()."""
    is_module = "torch" in sys.modules and isinstance(function, sys.modules["torch"].nn.Module)
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = inspect.isfunction(plain) or inspect.ismethod(plain)
    return inspect.signature(function.forward if is_module else function).parameters.values(), plain


def _takes_hook(function):
    try:
        parameters, plain = _signature_of(function)
    except (TypeError, ValueError, AttributeError):
        return None
    needed = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
              and each.default is each.empty]
    if len(needed) > 2:
        return "more"
    if any(each.name == "hook" and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
           or each.kind == each.VAR_KEYWORD and plain for each in parameters):
        return "keyword"
    return "second" if len(needed) == 2 else None


def _pairs(functions):
    """[(name or glob, function)] of a dict or of pairs."""
    form = "give {name or glob: f}, or pairs of them; f is f(activation), or f(activation, hook) as in TransformerLens"
    try:
        pairs = [(name, function) for name, function in getattr(functions, "items", functions.__iter__)()]
    except (AttributeError, TypeError, ValueError):
        raise UsageError(f"hooks: expected functions by the names of hook points, got {type(functions).__name__}",
                         form) from None
    for name, function in pairs:
        if not isinstance(name, str):
            raise UsageError(f"hooks: expected the name of a hook point, got {name!r}", form)
        if not callable(function):
            raise UsageError(f"hooks: the value for \"{name}\" is a {type(function).__name__}, not a function", form)
        if _takes_hook(function) == "more":
            raise UsageError(f"hooks: the function for \"{name}\" takes more than an activation and its hook", form)
    return pairs


def _adapted(function):
    """f(activation), f(activation, hook) or f(activation, hook=...), as in TransformerLens, as f(activation, name)."""
    takes = _takes_hook(function)
    if takes == "keyword":
        return lambda activation, point: function(activation, hook=Hooked(point))
    if takes == "second":
        return lambda activation, point: function(activation, Hooked(point))
    return lambda activation, point: function(activation)


def names_of(names):
    """Hook points, by name or glob, as a list; None: all."""
    names = ["*"] if names is None else [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple, set)) or not all(isinstance(each, str) for each in names):
        raise UsageError(f"expected a hook point, by name or glob, or a list of them, got {names!r}",
                         "net.names has those of the network")
    return list(names)


class Network:
    """A network at a checkpoint, on the CPU, its weights torch tensors under TransformerLens names.

    Made by Run.network(). The tensors share the memory of the model that probes measure: what you write into a weight
    (under torch.no_grad()) is what net(tokens) and net.probe() see. The files of the run stay as they are.
    Threads may share a network: its forward passes take turns, and hooks are those of the thread that set them.
    """

    def __init__(self, run, step="last"):
        """Opens the checkpoint `step` (a number, "first", "last" or "grokked") of the run in the folder `run`."""
        self._core = engine().Network(str(run), str(reader._step(step)))
        self._own = threading.local()

    @property
    def step(self):
        """The number of updates before this checkpoint; 0 for the untrained network."""
        return self._core.step

    @property
    def run(self):
        """The directory of the run, as text."""
        return self._core.run

    @property
    def weights(self):
        """{name: torch.Tensor}, read-only as a dict, in the order of the model.

        float32 leaves of the autograd graph, no copies: "embed.W_E" is [d_vocab, d_model], "blocks.0.attn.W_Q"
        [n_heads, d_model, d_head], "blocks.0.mlp.W_in" [d_model, d_mlp], "unembed.W_U" [d_model, d_vocab_out].
        """
        return types.MappingProxyType(dict(self._core.weights()))

    @property
    def names(self):
        """The names of all hook points, in the order of the forward pass."""
        return self._core.hook_points()

    @property
    def task(self):
        """Shapes of the task, a dict: d_vocab, d_vocab_out, n_ctx, read_out (the output positions), loss, groups."""
        return self._core.spec()

    def load(self, step):
        """Takes the weights of another checkpoint of the run, in place, and returns the network."""
        self._core.load(str(reader._step(step)))
        return self

    def randomise(self, draw=0):
        """Takes random weights, in place: drawn as the run's own but from another seed, the null of probes."""
        self._core.randomise(operator.index(draw))
        return self

    def data(self, which="test"):
        """The examples "train", "test" or "grid" (every possible input): {"tokens": int64 [batch, n_ctx], "labels":
        int64 [batch, n_read], ...}. They are the run's own tensors: clone() before you write.
        """
        return self._core.data(which)

    def show(self, tokens):
        """One input, int64 [n_ctx], as a person would write it: 50 + 8 = of an addition."""
        return self._core.show(self._tokens(tokens))

    def __call__(self, tokens):
        """Logits, float32 [batch, n_ctx, d_vocab_out], of `tokens`, int64 [batch, n_ctx] or [n_ctx].

        A plain forward pass through every hook point, differentiable unless in torch.no_grad(). A model with one output
        for the whole input repeats it at every position.
        """
        return self._forward(tokens, None)[0]

    def run_with_cache(self, tokens, names=None):
        """(logits, cache): a forward pass that keeps activations, at all positions.

        tokens: int64 [batch, n_ctx] or [n_ctx]. names: a hook point, a glob ("blocks.*.attn.hook_pattern") or a list of
        these; None: all. cache: {hook name: torch.Tensor [batch, n_ctx, ...]} in the order of the forward pass, not
        detached (use torch.no_grad()). Hooks in place have changed what it holds.
        """
        return self._forward(tokens, names_of(names))

    @contextlib.contextmanager
    def hooks(self, functions):
        """In the block, forward passes of this thread go through these functions: {name or glob: f}, or pairs.

        f(activation) or f(activation, hook), where hook.name is the hook point, returns the tensor to go on with, of the
        same shape, dtype and device, or None to change nothing; it must not write into the activation. Blocks may be
        nested: hooks of the outer one run first. A pass that f itself runs goes through hooks set in f only. Whatever
        is thrown, afterwards none is left.
        """
        pairs = _pairs(functions)
        for name, _ in pairs:
            self._core.matching(name)  # refuses a name that matches nothing
        added = [(name, _adapted(function)) for name, function in pairs]
        self._hooks().extend(added)
        try:
            yield self
        finally:
            left = self._hooks()
            left[:] = [each for each in left if not any(each is mine for mine in added)]

    def run_with_hooks(self, tokens, fwd_hooks):
        """Logits of a forward pass with these hooks, as `with net.hooks(fwd_hooks): net(tokens)`."""
        with self.hooks(fwd_hooks):
            return self(tokens)

    def probe(self, name, **parameters):
        """What the probe `name` records of the present weights, changed ones included; nothing is stored.

        Returns a dict: scalars, findings, tensors {name: array}, figures {name: Figure}. A probe that is fitted to a
        reference takes this network as its own. Hooks are not in place.
        """
        from .figures import Figure
        line, data = self._core.probe(entry_of(name, parameters))
        read = reader._object(line, "the result")
        said = reader._said(read, *read["probes"], "the result")
        arrays = reader.safetensors(data) if data else {}
        return {"scalars": said["scalars"],
                "findings": said["findings"],
                "tensors": {key: arrays[place] for key, place in said.get("tensors", {}).items()},
                "figures": {each["name"]: Figure(reader.with_data(each, arrays)) for each in said.get("figures", [])}}

    def to_transformer_lens(self):
        """A transformer_lens.HookedTransformer with the weights of the checkpoint, as stored.

        Raises ImportError where TransformerLens is not installed, UsageError if it cannot compute this network.
        """
        try:
            import transformer_lens
        except ImportError:
            raise ImportError("orrery: TransformerLens is not installed\n  pip install transformer_lens; net.run_with_cache() "
                              "and net.hooks() have its names without it") from None
        import torch
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "network.pth"
            engine().export_to_transformer_lens(self.run, self.step, str(out))
            state = torch.load(out)
            (config,) = Path(folder).glob("*.json")
            arguments = json.loads(config.read_text())
        made = transformer_lens.HookedTransformer(transformer_lens.HookedTransformerConfig(**arguments))
        made.load_state_dict(state)
        return made

    def _forward(self, tokens, names):
        before = getattr(self._own, "in_use", [])  # by passes that wait for this one
        hooks = [each for each in self._hooks() if not any(each is used for used in before)]
        tokens = self._tokens(tokens)
        self._own.in_use = before + hooks
        try:
            return self._core.forward(tokens, hooks, names)
        finally:
            self._own.in_use = before

    def _hooks(self):
        if not hasattr(self._own, "hooks"):
            self._own.hooks = []
        return self._own.hooks

    def _tokens(self, tokens):
        import torch
        if isinstance(tokens, torch.Tensor):
            return tokens
        try:
            return torch.as_tensor(tokens)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"tokens: expected int64 [batch, {self.task['n_ctx']}], got {type(tokens).__name__}: {error}",
                             "net.data(\"test\")[\"tokens\"] has inputs of the task") from None

    def __repr__(self):
        return f"<orrery.Network {self.run} at step {self.step:,}>"

"""Orrery in notebooks: runs as DataFrames, networks as PyTorch modules with hooks, probes, figures, training.

    import orrery
    run = orrery.open("runs/quickstart")
    run.metrics                                    # pandas.DataFrame
    net = run.network(step="last")                 # weights as torch tensors, no copy, TransformerLens names
    logits, cache = net.run_with_cache(net.data("test")["tokens"])
    with net.hooks({"blocks.0.attn.hook_pattern": f}):
        net(tokens)
    run.probe("fourier_basis")                     # the same numbers as the command line, stored in the run
    run.figure("fourier_basis", "neuron_waves")    # a plotly figure

Importing it is cheap: the engine and PyTorch are loaded when they are first needed, after a look at which LibTorch the
process has. orrery.reader works without both.
"""

from . import reader
from .errors import Error, Interrupted, OrreryWarning, UsageError
from .figures import Figure
from .network import Network
from .probes import Observation, new_probe, probe
from .run import ProbeResults, Run
from .training import Sweep, import_network, plugins, resume, sweep, train

__all__ = ["open", "train", "resume", "import_network", "sweep", "plugins", "probe", "new_probe", "Run", "Network",
           "ProbeResults", "Observation", "Figure", "Sweep", "Error", "UsageError", "Interrupted", "OrreryWarning", "reader"]

try:
    from ._build import VERSION as __version__
except ImportError:  # the sources, without a build
    __version__ = "unknown"


def open(run):
    """A run, by its directory: an orrery.Run. Needs neither PyTorch nor the engine until you ask for a network."""
    return Run(run)

"""Loads the compiled module, after a look at which LibTorch this process has or would have."""

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

_engine = None


def _release(version):
    """"1.13.0" of "1.13.0a0" and "2.6.0+cu124"."""
    found = re.match(r"\d+(\.\d+)*", version)
    return found[0] if found else version


def _version_in(folder):
    """torch.__version__, read from the file, without importing torch."""
    try:
        found = re.search(r"^__version__\s*=\s*['\"]([^'\"]+)", (folder / "version.py").read_text(), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None


def _loaded_libraries(maps="/proc/self/maps"):
    """The files of this process that are a libtorch_cpu."""
    try:
        lines = Path(maps).read_text().splitlines()
    except OSError:
        return set()
    return {path for line in lines if "libtorch_cpu" in (path := line.split(maxsplit=5)[-1])}


def refusal(build):
    """Why the LibTorch of this process does not fit the module, or "". Imports and loads nothing."""
    built = f"Orrery was built with LibTorch {build.TORCH_VERSION} ({build.TORCH_LIBRARY})"
    ours = os.path.realpath(build.TORCH_LIBRARY)
    for path in _loaded_libraries():
        if os.path.realpath(path) != ours:
            return f"this process has loaded another LibTorch, {path}; {built}"
    if "torch" in sys.modules:
        folder = Path(sys.modules["torch"].__file__).parent
        version = sys.modules["torch"].__version__
    else:
        spec = importlib.util.find_spec("torch")
        if spec is None or not spec.origin:
            return f"there is no PyTorch for this Python ({sys.executable}); {built}"
        folder = Path(spec.origin).parent
        version = _version_in(folder)
    if version is None or _release(version) != _release(build.TORCH_VERSION):
        return f"PyTorch {version or 'of an unknown version'} in {folder} has another LibTorch; {built}"
    library = folder / "lib" / "libtorch_cpu.so"
    if library.exists() and os.path.realpath(library) != ours:
        return f"PyTorch {version} in {folder} brings a LibTorch of its own; {built}"
    return ""


CURE = ("start the Python whose PyTorch that is, or build Orrery against this one: "
        "ORRERY_TORCH=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))') ./orrery build")


def engine():
    """The compiled module. Raises ImportError, with the cure, before anything of another LibTorch is loaded."""
    global _engine
    if _engine is not None:
        return _engine
    try:
        build = importlib.import_module("orrery._build")
    except ImportError:
        raise ImportError("orrery: the compiled module was not built here, only orrery.reader works without it\n"
                          "  build it: ./orrery build, where pybind11-dev, python3-dev and python3-torch are "
                          "installed") from None
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != build.PYTHON:
        raise ImportError(f"orrery: it was built for Python {build.PYTHON}, and this is {here}\n"
                          "  build it with this one: cmake build/release -DPython3_EXECUTABLE=" + sys.executable)
    if wrong := refusal(build):
        raise ImportError(f"orrery: {wrong}\n  {CURE}")
    importlib.import_module("torch")
    module = importlib.import_module("orrery._orrery")
    module.set_plugins(str((Path(__file__).parent / ".." / ".." / "plugins").resolve()))
    _engine = module
    return module

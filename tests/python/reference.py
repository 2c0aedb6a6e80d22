"""The module's reference, docs/python.md, from its docstrings and its type hints; and whether the hints are in step."""

import ast
import inspect
import textwrap

import orrery
from orrery import reader
from support import ROOT

STUB = ROOT / "framework/python/orrery/__init__.pyi"
PAGE = ROOT / "docs/python.md"
OPENING = """# The Python package

Generated from the docstrings of `framework/python/orrery` (`ORRERY_RECORD_REFERENCE=1` and the tests write it anew).
[notebook.md](notebook.md) shows how to use it.
"""


def stub(path=STUB):
    """{"train": node, "Run": node, "Run.probe": node, ...} of a .pyi."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    found[f"{node.name}.{each.name}"] = each
    return found


def described(name):
    """The object itself: a property is one, too."""
    here = orrery
    for part in name.split("."):
        here = inspect.getattr_static(here, part)
    return here


def parameters(function):
    if isinstance(function, property):
        function = function.fget
    return [name for name in inspect.signature(function).parameters]


def stub_parameters(node):
    given = node.args
    names = [each.arg for each in [*given.posonlyargs, *given.args]]
    names += [given.vararg.arg] if given.vararg else []
    names += [each.arg for each in given.kwonlyargs]
    return names + ([given.kwarg.arg] if given.kwarg else [])


def members(kind):
    """The public functions and properties that a class itself has."""
    return [name for name, value in vars(kind).items()
            if (not name.startswith("_") or name == "__call__") and (callable(value) or isinstance(value, property))]


def attributes(kind):
    """The public attributes that its __init__ sets."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind.__init__)))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id == "self" and not node.attr.startswith("_")}


def signature(name, node):
    is_property = any(isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list)
    returns = ast.unparse(node.returns) if node.returns else "None"
    if is_property:
        return f"{name} -> {returns}"
    given = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    return f"{name}({given}) -> {returns}"


def entry(name, node):
    text = inspect.getdoc(described(name).fget if isinstance(described(name), property) else described(name))
    lines = "\n".join(textwrap.wrap(signature(name, node), 110, subsequent_indent="    "))
    return f"```python\n{lines}\n```\n{text}\n"


def page():
    nodes = stub()
    parts = [OPENING, "## Functions\n"]
    kinds = [name for name in orrery.__all__ if inspect.isclass(getattr(orrery, name))]
    parts += [entry(name, nodes[name]) for name in orrery.__all__ if inspect.isfunction(getattr(orrery, name))]
    for name in kinds:
        parts.append(f"## {name}\n\n{inspect.getdoc(getattr(orrery, name))}\n")
        parts += [entry(f"{name}.{member}", nodes[f"{name}.{member}"]) for member in members(getattr(orrery, name))]
    parts.append(f"## orrery.reader\n\n{inspect.getdoc(reader).split(chr(10))[0]} It needs neither the compiled module "
                 "nor PyTorch.\n")
    readers = stub(STUB.with_name("reader.pyi"))
    for name in reader.__all__:
        value = getattr(reader, name)
        shown = signature(name, readers[name]) if inspect.isfunction(value) else name
        parts.append(f"```python\nreader.{shown}\n```\n{inspect.getdoc(value)}\n")
    return "\n".join(parts)

"""The reference, the type hints and the notebook are those of the package."""

import ast
import json
import os
import re
import unittest

import orrery
import reference
from support import PLACE, ROOT


class Reference(unittest.TestCase):
    def test_is_that_of_the_docstrings(self):
        if os.environ.get("ORRERY_RECORD_REFERENCE"):
            reference.PAGE.write_text(reference.page())
        self.assertEqual(reference.PAGE.read_text(), reference.page(),
                         "ORRERY_RECORD_REFERENCE=1 and this test write it anew")

    def test_type_hints_have_every_name_and_parameter(self):
        nodes = reference.stub()
        names = [name for name in orrery.__all__ if name != "reader"]
        for name in names:
            self.assertIn(name, nodes)
            value = getattr(orrery, name)
            for each in [name] if not isinstance(value, type) else [f"{name}.{m}" for m in reference.members(value)]:
                self.assertEqual(reference.stub_parameters(nodes[each]),
                                 reference.parameters(reference.described(each)), each)
        self.assertEqual({name.split(".")[0] for name in nodes}, set(names))

    def test_type_hints_of_the_readers(self):
        nodes = reference.stub(reference.STUB.with_name("reader.pyi"))
        self.assertEqual({name for name in nodes if "." not in name}, set(orrery.reader.__all__))
        for name in set(orrery.reader.__all__) - {"ReadError"}:
            self.assertEqual(reference.stub_parameters(nodes[name]),
                             reference.parameters(getattr(orrery.reader, name)), name)

    def test_type_hints_have_bases_and_attributes(self):
        for module, file in ((orrery, "__init__.pyi"), (orrery.reader, "reader.pyi")):
            nodes = reference.stub(reference.STUB.with_name(file))
            for name in set(nodes) & set(module.__all__):
                value, node = getattr(module, name), nodes[name]
                if not isinstance(value, type):
                    continue
                self.assertEqual([base.id for base in node.bases],
                                 [base.__name__ for base in value.__bases__ if base is not object], name)
                said = {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
                set_here = reference.attributes(value) if "__init__" in vars(value) else set()
                self.assertEqual(said, set_here, name)

    def test_everything_public_has_a_docstring_with_shapes_where_there_are_tensors(self):
        page = reference.page()
        self.assertNotIn("\nNone\n", page)
        for shape in ("[batch, n_ctx, d_vocab_out]", "[d_vocab, d_model]", "int64 [batch, n_ctx]"):
            self.assertIn(shape, page)


class Pages(unittest.TestCase):
    def run_all(self, blocks, folder):
        before = os.getcwd()
        os.makedirs(PLACE / folder, exist_ok=True)
        os.chdir(PLACE / folder)
        self.addCleanup(os.chdir, before)
        names = {"__name__": "__main__"}
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"{folder}, block {number}", "exec"), names)
        return names

    def test_the_page(self):
        blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/notebook.md").read_text(), re.M | re.S)
        self.assertEqual(len(blocks), 4)
        self.run_all(blocks, "page")

    def test_the_notebook(self):
        notebook = json.loads((ROOT / "docs/grokking.ipynb").read_text())
        self.assertEqual(notebook["nbformat"], 4)
        cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        self.assertGreater(len(cells), 4)
        self.run_all(cells, "notebook")


if __name__ == "__main__":
    unittest.main()

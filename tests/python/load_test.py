"""Another LibTorch in the process is refused with a sentence, before anything of it is loaded."""

import os
import subprocess
import sys
import types
import unittest

from orrery import _load
from support import PLACE, small_run

OPEN = f"import orrery; orrery.open({str(small_run())!r}).network()"


def python(code, *folders, **environment):
    path = os.pathsep.join([*map(str, folders), os.environ["PYTHONPATH"]])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path, **environment})


def fake_torch(name, version, library=False):
    folder = PLACE / name / "torch"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("raise SystemExit('torch was imported')")
    (folder / "version.py").write_text(f"__version__ = '{version}'\n")
    if library:
        (folder / "lib").mkdir(exist_ok=True)
        (folder / "lib/libtorch_cpu.so").write_bytes(b"not ours")
    return folder.parent


class Load(unittest.TestCase):
    def refused(self, done):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("torch was imported", done.stderr + done.stdout)
        said = done.stderr.strip().splitlines()
        return "\n".join(said[next(i for i, line in enumerate(said) if line.startswith("ImportError")):])

    def test_another_version(self):
        said = self.refused(python(OPEN, fake_torch("other", "2.1.0+cu121")))
        self.assertIn("PyTorch 2.1.0+cu121", said)
        self.assertIn("Orrery was built with LibTorch", said)
        self.assertIn("./orrery build", said)

    def test_the_same_version_with_a_library_of_its_own(self):
        from orrery import _build
        said = self.refused(python(OPEN, fake_torch("own", _build.TORCH_VERSION, library=True)))
        self.assertIn("brings a LibTorch of its own", said)

    def test_no_torch(self):
        said = self.refused(python("import sys; sys.modules['torch'] = None\n"
                                   "import importlib.util as u; find = u.find_spec\n"
                                   "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
                                   "del sys.modules['torch']\n" + OPEN))
        self.assertIn("there is no PyTorch", said)

    def test_one_that_is_loaded_already(self):
        maps = PLACE / "maps"
        maps.write_text("7f0-7f1 r-xp 0000 08:01 1   /elsewhere/torch/lib/libtorch_cpu.so\n7f2-7f3 rw-p 0 0:0 0\n")
        self.assertEqual(_load._loaded_libraries(maps), {"/elsewhere/torch/lib/libtorch_cpu.so"})
        build = types.SimpleNamespace(TORCH_VERSION="0.0.1", TORCH_LIBRARY="/nowhere/libtorch_cpu.so")
        import torch
        said = _load.refusal(build)
        self.assertIn("has loaded another LibTorch", said, torch.__version__)

    def test_this_one_is_taken(self):
        from orrery import _build
        self.assertEqual(_load.refusal(_build), "")
        self.assertEqual(python("import torch\n" + OPEN).returncode, 0)

    def test_without_the_module_the_readers_work(self):
        code = (f"import sys\nsys.modules['orrery._build'] = None\nimport orrery\nrun = orrery.open({str(small_run())!r})\n"
                "print(len(run.metrics), sorted(run.results('trig_loss').null)[0])\n"
                "try: run.network()\nexcept ImportError as error: print(error)\nprint('torch' in sys.modules)")
        lines = python(code).stdout.splitlines()
        self.assertTrue(lines[0].startswith("7 "), lines)
        self.assertIn("was not built", lines[1])
        self.assertEqual(lines[-1], "False")


if __name__ == "__main__":
    unittest.main()

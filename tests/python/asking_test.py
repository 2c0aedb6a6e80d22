"""Steps, parameters, figures and tables, in whatever form they are asked for."""

import contextlib
import io
import types
import unittest
import warnings
from unittest import mock

import numpy as np
import pandas
import torch

import orrery
from orrery import _program, _report, reader
from support import CONFIG, CONFIG_FILE, PLACE, copy_of_run, orrery_program, small_run


class Steps(unittest.TestCase):
    FORTY = (40, "40", 40.0, np.int32(40), np.float32(40), np.array(40), torch.tensor(40))
    NONE = (40.5, "4e1", "-40", "", "middle", -40, True, float("nan"), float("inf"), None, [40], np.array([40, 60]),
            object())

    def test_one_step(self):
        run = orrery.open(small_run())
        calls = [lambda step: reader.choose_step(run.path, step), lambda step: run.network(step).step,
                 lambda step: run.network("last").load(step).step,
                 lambda step: reader.tensors(run.path, "fourier_basis", step)["norms/W_E"].tolist(),
                 lambda step: run.results("fourier_basis").tensors(step)["norms/W_E"].tolist(),
                 lambda step: run.results("fourier_basis").findings(step),
                 lambda step: run.figure("fourier_basis", "norms_w_e", step).data[0]["y"]]
        with mock.patch.dict("sys.modules", {"plotly": None}):
            for call in calls:
                for step in self.FORTY:
                    self.assertEqual(call(step), call(40), repr(step))
                for wrong in self.NONE:
                    with self.assertRaisesRegex(orrery.UsageError, "step .*: expected a number", msg=repr(wrong)):
                        call(wrong)

    def test_grokked(self):
        run = orrery.open(copy_of_run("grokked_results"))
        (run.path / "metrics.jsonl").write_text('{"step": 30, "test/accuracy": 1.0}\n')
        results = run.results("fourier_basis")
        self.assertEqual(results.findings("grokked"), results.findings(40))
        self.assertEqual(results.tensors("grokked").keys(), results.tensors(40).keys())

    def test_several(self):
        @orrery.probe(null=False)
        def step(seen):
            return seen.step

        run = orrery.open(small_run())
        for steps in ([20, "last"], (20, 60.0), range(20, 61, 40), np.array([20, 60]), pandas.Index([20, 60]),
                      pandas.Series([20, 60]), {20, 60}, iter([20, 60]), "20,last", torch.tensor([20, 60])):
            self.assertEqual(list(run.probe(step, steps=steps).index), [20, 60], repr(steps))
        for one in self.FORTY:
            self.assertEqual(list(run.probe(step, steps=one).index), [40], repr(one))
        for wrong in ([], "", range(0), np.array([]), [20.5], [True], ["middle"], 20.5, [[20]]):
            for name in (step, "fourier_basis"):
                with self.assertRaisesRegex(orrery.UsageError, "step", msg=repr(wrong)):
                    run.probe(name, steps=wrong)


class Parameters(unittest.TestCase):
    def test_overrides(self):
        given = types.MappingProxyType({"a": np.bool_(True), "b": types.MappingProxyType({"c": np.array([1, 2])}),
                                        "d": np.float64(0.5), "e": ("x", np.int64(3))})
        self.assertEqual(_report.overrides_of(given), ["a=true", "b.c=[1, 2]", "d=0.5", 'e=["x", 3]'])

    def test_configs(self):
        config = {**orrery.open(small_run()).config, "name": "mapped"}
        config["model"] = types.MappingProxyType({**config["model"], "d_mlp": np.int64(16)})
        config["train"] = {**config["train"], "steps": np.array(20)}
        run = orrery.train(types.MappingProxyType(config), out=PLACE / "mapped", progress=False)
        self.assertEqual((run.config["model"]["d_mlp"], run.steps[-1]), (16, 20))

    def test_what_is_no_number(self):
        for wrong in (float("nan"), float("inf"), np.array([1, np.nan])):
            for call in (lambda: orrery.train(CONFIG_FILE, {"train.lr": wrong}),
                         lambda: orrery.train({"task": {"name": "modular_arithmetic"}, "train": {"lr": wrong}}),
                         lambda: orrery.open(small_run()).network().probe("fourier_basis", rule=wrong)):
                with self.assertRaisesRegex(orrery.UsageError, "expected a finite number"):
                    call()

    def test_a_probe_that_fails_everywhere_says_the_cure(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", orrery.OrreryWarning)
            with self.assertRaises(orrery.Error) as raised:
                orrery.open(copy_of_run("fails_everywhere")).probe("induction_heads", progress=False)
        self.assertIn("it needs a task with longer sequences", raised.exception.hint)


class Runs(unittest.TestCase):
    def test_a_figure_of_a_probe_with_a_label(self):
        (PLACE / "labelled.toml").write_text(CONFIG.replace('"fourier_basis"', '"fourier_basis"\nlabel = "waves"'))
        orrery_program("train", PLACE / "labelled.toml", "--out", PLACE / "labelled")
        run = orrery.open(PLACE / "labelled")
        with mock.patch.dict("sys.modules", {"plotly": None}):
            self.assertEqual(run.figure("fourier_basis", "norms_w_e").data, run.figure("waves", "norms_w_e").data)

    def test_html(self):
        run = orrery.open(copy_of_run("a<b>&c"))
        self.assertIn("a&lt;b&gt;&amp;c", run._repr_html_())
        with pandas.option_context("display.notebook_repr_html", False):
            self.assertNotIn("None", run._repr_html_())

    def test_data_without_checkpoints(self):
        run = orrery.open(copy_of_run("pruned"))
        for path in (run.path / "checkpoints").iterdir():
            path.unlink()
        with self.assertRaisesRegex(orrery.UsageError, "no checkpoints"):
            run.data()


class Programs(unittest.TestCase):
    def end(self, script):
        program = PLACE / "program.sh"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        with mock.patch.object(_program, "program", lambda: str(program)):
            return orrery.sweep(PLACE / "absent.toml").run(progress=False)

    def test_how_it_ends(self):
        for script in ("exit 127", "exit 1", "echo 3 of 4 runs done >&2; exit 3", "echo something >&2; exit 1"):
            with self.assertRaisesRegex(orrery.Error, "it ended with exit code", msg=script):
                self.end(script)
        self.end("exit 0")
        self.end("echo '3 of 4 runs done, 1 failed; see them with: orrery sweep table x' >&2; exit 1")

    def test_a_sweep_with_nothing_done_has_its_columns(self):
        file = PLACE / "planned.toml"
        file.write_text(f'base = "{CONFIG_FILE}"\nseeds = 2\n[grid]\ntrain.weight_decay = [0.1, 1]\n[[reading]]\n'
                        'name = "loss"\nmetric = "train/loss"\n[[reading]]\nname = "never"\n'
                        'metric = "test/accuracy"\nof = "first step >= 2"\n')
        with contextlib.redirect_stderr(io.StringIO()):
            table = orrery.sweep(file, out=PLACE / "planned").table()
        self.assertEqual(list(table.columns), ["run", "train.weight_decay", "seed", "status", "class", "loss", "never",
                                               "never_censored_at"])
        for name in ("loss", "never", "never_censored_at"):
            self.assertTrue(table[name].isna().all() and table[name].dtype == float, name)


if __name__ == "__main__":
    unittest.main()

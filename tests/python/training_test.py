"""Training, sweeps and imports from Python: the bytes of the command line, interrupts, threads."""

import contextlib
import io
import os
import signal
import threading
import unittest
import warnings

import numpy as np
import torch

import orrery
from support import CONFIG_FILE, PLACE, files_of, orrery_program, small_run

SWEEP = """
base = "small.toml"
seeds = 2
[grid]
train.weight_decay = [0.1, 1]
[[reading]]
name = "loss"
metric = "train/loss"
[[reading]]
name = "never"
metric = "test/accuracy"
of = "first step >= 2"
"""


def kept(folder):
    """What does not depend on when a run was made: everything but run.json."""
    return {name: data for name, data in files_of(folder).items() if name != "run.json"}


class Training(unittest.TestCase):
    def test_the_bytes_of_the_command_line(self):
        run = orrery.train(CONFIG_FILE, out=PLACE / "trained", progress=False)
        self.assertEqual(kept(run.path), kept(small_run()))
        config = {**run.config, "name": "small"}
        again = orrery.train(config, out=PLACE / "from_dict", progress=False)
        self.assertEqual(kept(again.path).keys(), kept(small_run()).keys())
        self.assertEqual(again.metrics.to_dict(), run.metrics.to_dict())

    def test_overrides(self):
        run = orrery.train(CONFIG_FILE, {"seeds": {"init": 1}, "train.steps": np.int64(20), "task.operation": "subtract"},
                           out=PLACE / "overridden", progress=False)
        self.assertEqual((run.config["seeds"]["init"], run.steps, run.config["task"]["operation"]),
                         (1, [0, 20], "subtract"))

    def test_errors(self):
        for wrong in (lambda: orrery.train(PLACE / "absent.toml"), lambda: orrery.train(CONFIG_FILE, {"train.stepz": 3}),
                      lambda: orrery.train(CONFIG_FILE, out=small_run()), lambda: orrery.train({"task": {}}),
                      lambda: orrery.train(CONFIG_FILE, {"train.lr": object()}),
                      lambda: orrery.train(None), lambda: orrery.train({"task": {"name": object()}}),
                      lambda: orrery.train(CONFIG_FILE, 3), lambda: orrery.resume(PLACE / "absent"),
                      lambda: orrery.open(PLACE / "absent"), lambda: orrery.open(CONFIG_FILE)):
            with self.assertRaises(orrery.UsageError):
                wrong()
        with self.assertRaises(orrery.reader.ReadError) as raised:
            orrery.open(PLACE / "absent")
        self.assertTrue(raised.exception.what and raised.exception.hint)

    def test_threads_and_gradients_stay_as_they_were(self):
        torch.set_num_threads(2)
        self.addCleanup(torch.set_num_threads, 1)
        orrery.train(CONFIG_FILE, {"train.steps": 20}, out=PLACE / "threads", progress=False)
        self.assertEqual(torch.get_num_threads(), 2)
        self.assertTrue(torch.is_grad_enabled())

    def test_an_interrupt_leaves_a_run_that_goes_on_to_the_same_bytes(self):
        out = PLACE / "interrupted"

        def interrupt():
            while not (out / "metrics.jsonl").exists():
                threading.Event().wait(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        whole = orrery.train(CONFIG_FILE, {"train.steps": 1500, "checkpoints.every": 500}, out=PLACE / "whole",
                             progress=False)
        threading.Thread(target=interrupt).start()
        with self.assertRaises(KeyboardInterrupt) as raised:
            orrery.train(CONFIG_FILE, {"train.steps": 1500, "checkpoints.every": 500}, out=out, progress=False)
        self.assertIsInstance(raised.exception, orrery.Interrupted)
        self.assertIn("orrery.resume", str(raised.exception))
        run = orrery.open(raised.exception.run)
        self.assertLess(run.steps[-1], 1500)
        run = orrery.resume(run, progress=False)
        self.assertEqual(run.steps[-1], 1500)
        self.assertEqual(run.metrics.to_dict(), whole.metrics.to_dict())

    def test_other_threads_go_on_meanwhile(self):
        steps = []
        done = threading.Event()

        def train():
            orrery.train(CONFIG_FILE, {"train.steps": 1000, "checkpoints.every": 1000}, out=PLACE / "beside",
                         progress=False)
            done.set()

        threading.Thread(target=train).start()
        tokens = orrery.open(small_run()).data("test")["tokens"]
        while not done.is_set():
            net = orrery.open(small_run()).network("last")
            steps.append(net(tokens).shape)
            if len(steps) == 5:
                self.assertFalse(done.is_set(), "the training was to go on")
            done.wait(0.01)
        self.assertGreater(len(steps), 5)

    def test_progress(self):
        text = io.StringIO()
        with contextlib.redirect_stderr(text):
            orrery.train(CONFIG_FILE, {"train.steps": 20}, out=PLACE / "shown", progress=True)
        self.assertIn("20/20 steps", text.getvalue())
        text = io.StringIO()
        with contextlib.redirect_stderr(text):
            orrery.train(CONFIG_FILE, {"train.steps": 20}, out=PLACE / "silent")
        self.assertEqual(text.getvalue(), "")

    def test_what_a_callback_throws_stops_the_training(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", orrery.OrreryWarning)
            broken = {"train.steps": 40, "probe.trig_loss.reference": "step:33"}
            with self.assertRaises((orrery.OrreryWarning, orrery.Error)):
                orrery.train(CONFIG_FILE, broken, out=PLACE / "warned", progress=False)


class Sweeps(unittest.TestCase):
    def sweep_file(self, name, text=SWEEP):
        (PLACE / name).mkdir()
        (PLACE / name / "sweep.toml").write_text(text.replace("small.toml", str(CONFIG_FILE)))
        return PLACE / name / "sweep.toml"

    def test_running_one_and_its_table(self):
        file = self.sweep_file("run_here")
        text = io.StringIO()
        with contextlib.redirect_stderr(text):
            sweep = orrery.sweep(file, out=PLACE / "run_here/runs").run(jobs=2, progress=True)
        self.assertIn("of 4 runs done", text.getvalue())
        self.assertIn("4 of 4 runs done", text.getvalue())
        before = files_of(PLACE / "run_here/runs")
        again = orrery.sweep(PLACE / "run_here/runs").run(progress=False)  # by its folder; nothing is left to do
        self.assertEqual(files_of(PLACE / "run_here/runs"), before)
        table = again.table()
        self.assertTrue(table.equals(sweep.table()))
        self.assertEqual(list(table["train.weight_decay"]), [0.1, 0.1, 1.0, 1.0])
        self.assertEqual(set(table["status"]), {"done"})
        self.assertTrue(table["never"].isna().all() and (table["never_censored_at"] == 60).all())
        for index, run in again.runs.items():
            self.assertEqual(run.metrics["train/loss"].iloc[-1], table.loc[index, "loss"])
        with self.assertRaises(orrery.UsageError):
            orrery.sweep(PLACE / "absent").table()

    def test_a_run_that_fails_costs_itself_only(self):
        diverging = SWEEP.replace("[0.1, 1]", "[0.1]") + '\n[set]\ntrain.lr = 1e30\n'
        file = self.sweep_file("fails", diverging.replace("seeds = 2", "seeds = 1"))
        with self.assertWarnsRegex(orrery.OrreryWarning, "became NaN or infinite"):
            sweep = orrery.sweep(file, out=PLACE / "fails/runs").run(progress=False)
        self.assertEqual(list(sweep.table()["status"]), ["failed"])

    def test_a_wrong_one_is_an_error(self):
        for wrong in (orrery.sweep(PLACE / "absent.toml"),
                      orrery.sweep(self.sweep_file("wrong", SWEEP.replace("weight_decay", "weight_decoy")))):
            with self.assertRaises(orrery.UsageError) as raised:
                wrong.run(progress=False)
            self.assertTrue(raised.exception.what and raised.exception.hint, raised.exception)
        (PLACE / "moved").mkdir()
        (PLACE / "moved/plan.json").write_text('{"origin": "no/such.toml"}')
        with self.assertRaisesRegex(orrery.UsageError, "planned from no/such.toml"):
            orrery.sweep(PLACE / "moved").run()

    def test_an_interrupt_stops_all_of_it_and_it_goes_on(self):
        long = SWEEP.replace("seeds = 2", "seeds = 1").replace("[0.1, 1]", "[1]").replace(
            "[[reading]]", "[set]\ntrain.steps = 3000\ncheckpoints.every = 3000\n[[reading]]", 1)
        file = self.sweep_file("stopped", long)
        out = PLACE / "stopped/runs"

        def interrupt():
            while not list(out.glob("runs/*/metrics.jsonl")):
                threading.Event().wait(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with self.assertRaises(orrery.Interrupted) as raised:
            orrery.sweep(file, out=out).run(progress=False)
        self.assertIn("run() goes on", str(raised.exception))
        self.assertEqual(list(orrery.sweep(out).table()["status"]), ["stale"])
        sweep = orrery.sweep(out).run(progress=False)
        self.assertEqual(list(sweep.table()["status"]), ["done"])
        self.assertEqual(len(sweep.runs[0].about["sessions"]), 2)


class Imports(unittest.TestCase):
    def test_a_network_that_was_exported(self):
        orrery_program("export", small_run(), "--out", PLACE / "theirs.pth")
        run = orrery.import_network(PLACE / "theirs.pth", config=CONFIG_FILE, out=PLACE / "imported", step=60,
                                    progress=False)
        self.assertEqual(run.steps, [60])
        tokens = run.data("test")["tokens"]
        self.assertTrue(torch.equal(run.network()(tokens), orrery.open(small_run()).network()(tokens)))
        with self.assertRaises(orrery.UsageError):
            orrery.import_network(PLACE / "absent.pth", config=CONFIG_FILE)


if __name__ == "__main__":
    unittest.main()

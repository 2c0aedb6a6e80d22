"""The module over the engine: networks, hooks, probes."""

import contextlib
import gc
import importlib.util
import io
import json
import os
import re
import signal
import threading
import unittest
from unittest import mock

import numpy as np
import torch

import orrery
from orrery import reader
from support import CONFIG_FILE, PLACE, ROOT, copy_of_run, files_of, orrery_program, small_run

PATTERN = "blocks.0.attn.hook_pattern"


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Networks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_ = orrery.open(small_run())
        cls.net = cls.run_.network("last")
        cls.tokens = cls.net.data("grid")["tokens"]

    def test_weights_are_those_of_the_checkpoint_without_a_copy(self):
        stored = reader.weights(small_run(), "last")
        self.assertEqual(set(self.net.weights), set(stored))
        for name, value in self.net.weights.items():
            self.assertTrue(value.is_leaf and value.requires_grad, name)
            np.testing.assert_array_equal(value.detach().numpy(), stored[name])
        net = self.run_.network("last")
        before = net(self.tokens)
        with torch.no_grad():
            net.weights["unembed.W_U"].mul_(2)
        torch.testing.assert_close(net(self.tokens), 2 * before)
        self.assertEqual(net.weights["embed.W_E"].data_ptr(), net.weights["embed.W_E"].data_ptr())
        with self.assertRaises(TypeError):
            net.weights["embed.W_E"] = torch.zeros(1)

    def test_weights_outlive_the_network(self):
        weights = self.run_.network("last").weights
        gc.collect()
        np.testing.assert_array_equal(weights["embed.W_E"].detach().numpy(),
                                      reader.weights(small_run())["embed.W_E"])

    def test_losses_are_those_of_the_metrics(self):
        metrics = self.run_.metrics
        for which in ("train", "test"):
            for step in ("first", "last"):
                net = self.run_.network(step)
                data = net.data(which)
                logits = net(data["tokens"])[:, net.task["read_out"]].double()
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), data["labels"].flatten())
                self.assertAlmostEqual(loss.item(), metrics.loc[net.step, f"{which}/loss"], places=6)

    def test_steps(self):
        self.assertEqual(self.run_.network("first").step, 0)
        self.assertEqual(self.run_.network(step=20).step, 20)
        self.assertEqual(self.run_.network(40).load("first").step, 0)
        for wrong in (21, "middle", "grokked"):
            with self.assertRaises(orrery.UsageError) as raised:
                self.run_.network(wrong)
            self.assertIn("step", raised.exception.what)

    def test_cache_and_names(self):
        logits, cache = self.net.run_with_cache(self.tokens)
        self.assertEqual(list(cache), self.net.names)
        torch.testing.assert_close(logits, self.net(self.tokens), rtol=0, atol=0)
        pattern = cache[PATTERN]
        self.assertEqual(list(pattern.shape), [49, 2, 3, 3])
        torch.testing.assert_close(pattern.sum(-1), torch.ones(49, 2, 3))
        _, some = self.net.run_with_cache(self.tokens, names="blocks.*.attn.hook_pattern")
        self.assertEqual(list(some), [PATTERN])

    def test_gradients_reach_the_weights(self):
        net = self.run_.network("last")
        net(self.tokens).square().mean().backward()
        self.assertGreater(net.weights["embed.W_E"].grad.norm().item(), 0)

    def test_hooks_observe_change_and_leave(self):
        before = self.net(self.tokens)
        seen = []

        def ablate(activation, hook):
            seen.append(hook.name)
            return torch.zeros_like(activation)

        with self.net.hooks({PATTERN: ablate}):
            with torch.no_grad():
                inside = self.net(self.tokens)
            _, cache = self.net.run_with_cache(self.tokens, "*hook_z")
        self.assertEqual(seen, [PATTERN, PATTERN])
        self.assertFalse(torch.equal(before, inside))
        self.assertEqual(cache["blocks.0.attn.hook_z"].abs().max().item(), 0)
        torch.testing.assert_close(self.net(self.tokens), before, rtol=0, atol=0)
        torch.testing.assert_close(self.net.run_with_hooks(self.tokens, [(PATTERN, lambda x: None)]), before,
                                   rtol=0, atol=0)

    def test_three_kinds_of_functions(self):
        half = [lambda x: x / 2, lambda x, hook: x / 2, lambda x, **more: x / 2, lambda value, point: value / 2]
        expected = self.net.run_with_hooks(self.tokens, {"hook_embed": half[0]})
        for function in half[1:]:
            torch.testing.assert_close(self.net.run_with_hooks(self.tokens, {"hook_embed": function}), expected)

    def test_outer_hooks_run_first(self):
        order = []
        with self.net.hooks({"hook_embed": lambda x: order.append("outer")}):
            with self.net.hooks({"hook_embed": lambda x: order.append("inner")}):
                self.net(self.tokens)
        self.assertEqual(order, ["outer", "inner"])

    def test_whatever_is_thrown_leaves_no_trace(self):
        before = self.net(self.tokens)

        class Mine(BaseException):
            pass

        def fails(activation):
            raise Mine("of the hook")

        wrong = [(Mine, {PATTERN: fails}), (orrery.Error, {PATTERN: lambda x: x[:1]}),
                 (orrery.Error, {PATTERN: lambda x: [x.detach().mul_(0), None][1]}),
                 (orrery.UsageError, {PATTERN: lambda x: 3})]
        for kind, hooks in wrong:
            with self.assertRaises(kind):
                with self.net.hooks({"hook_embed": lambda x: 2 * x}), self.net.hooks(hooks):
                    self.net(self.tokens)
            torch.testing.assert_close(self.net(self.tokens), before, rtol=0, atol=0)
        with self.assertRaisesRegex(orrery.UsageError, "hook_pattern"):
            with self.net.hooks({"blocks.0.attn.hook_patern": fails}):
                pass
        for hooks in ({PATTERN: 3}, {3: fails}, [fails], 3, {PATTERN: lambda x, hook, more: x}):
            with self.assertRaisesRegex(orrery.UsageError, "hooks: .*\n.*give"):
                with self.net.hooks(hooks):
                    pass
        generator = self.net.hooks({PATTERN: fails})
        generator.__enter__()
        with self.net.hooks({"hook_embed": lambda x: x}):
            generator.__exit__(None, None, None)  # not in the reverse order
            torch.testing.assert_close(self.net(self.tokens), before, rtol=0, atol=0)

    def test_a_hook_may_use_networks(self):
        other = self.run_.network("first")

        def hook(activation):
            self.net.load("last")
            return other.run_with_cache(self.tokens, "hook_embed")[1]["hook_embed"]

        torch.testing.assert_close(
            self.net.run_with_hooks(self.tokens, {"hook_embed": hook}),
            self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: other.weights["embed.W_E"][self.tokens]}))

    def test_tokens_are_checked(self):
        for wrong in (self.tokens.float(), self.tokens[:, :2], torch.full((1, 3), 8), torch.full((1, 3), -1), None,
                      "3 + 4", [[1, 2], [3]]):
            with self.assertRaisesRegex(orrery.UsageError, "tokens: expected"):
                self.net(wrong)
        self.assertEqual(list(self.net(self.tokens[:0]).shape), [0, 3, 7])
        for wrong in (3, [3], "no_such_name"):
            with self.assertRaisesRegex(orrery.UsageError, "hook point"):
                self.net.run_with_cache(self.tokens, wrong)
        torch.testing.assert_close(self.net([3, 4, 7]), self.net(torch.tensor([[3, 4, 7]])))
        self.assertEqual(self.net.show([3, 4, 7]), "3 + 4 =")

    def test_data(self):
        train, test, grid = (self.net.data(which) for which in ("train", "test", "grid"))
        self.assertEqual(len(train["tokens"]) + len(test["tokens"]), len(grid["tokens"]))
        self.assertEqual(grid["labels"].flatten().tolist(), [(a + b) % 7 for a, b, _ in grid["tokens"].tolist()])
        self.assertTrue(torch.equal(self.run_.data("test")["tokens"], test["tokens"]))
        with self.assertRaisesRegex(orrery.UsageError, "validation"):
            self.net.data("validation")

    def test_transformer_lens(self):
        with mock.patch.dict("sys.modules", {"transformer_lens": None}):
            with self.assertRaisesRegex(ImportError, "TransformerLens is not installed"):
                self.net.to_transformer_lens()
        theirs = mock.MagicMock()  # stands for the package: what it is given is looked at
        with mock.patch.dict("sys.modules", {"transformer_lens": theirs}):
            self.run_.network("first").to_transformer_lens()
        arguments = theirs.HookedTransformerConfig.call_args.kwargs
        self.assertEqual((arguments["d_model"], arguments["n_heads"], arguments["d_vocab"]), (16, 2, 8))
        (state,) = theirs.HookedTransformer.return_value.load_state_dict.call_args.args
        np.testing.assert_array_equal(state["embed.W_E"].numpy(), reader.weights(small_run(), "first")["embed.W_E"])

    def test_threads_share_a_network(self):
        expected = {factor: self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x, f=factor: f * x})
                    for factor in range(1, 5)}
        wrong = []

        def work(factor):
            with self.net.hooks({"hook_embed": lambda x: factor * x}):
                for _ in range(20):
                    with torch.no_grad():
                        if not torch.equal(self.net(self.tokens), expected[factor].detach()):
                            wrong.append(factor)

        threads = [threading.Thread(target=work, args=(factor,)) for factor in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_opened_and_dropped_networks_leave_no_memory(self):
        def open_and_drop(times):
            for _ in range(times):
                net = self.run_.network("last")
                with torch.no_grad(), net.hooks({PATTERN: lambda x: x}):
                    net.run_with_cache(self.tokens)
        open_and_drop(50)
        gc.collect()
        before = resident()
        open_and_drop(1000)
        gc.collect()
        per_network = sum(w.numel() * 4 for w in self.net.weights.values())
        self.assertLess(resident() - before, 50 * per_network)


class Probes(unittest.TestCase):
    def test_the_numbers_of_the_command_line_and_stored_as_it_does(self):
        run = orrery.open(copy_of_run("asked"))
        before = files_of(run.path)
        results = run.probe("fourier_basis", rule="neurons")
        self.assertEqual(results.label, "fourier_basis")
        self.assertEqual(files_of(run.path), before)  # the same results: nothing is computed again
        again = run.probe("fourier_basis", again=True)
        self.assertEqual(files_of(run.path), before)  # and the same bytes if it is
        self.assertTrue(again.scalars.equals(results.scalars))
        other = run.probe("fourier_basis", rule="embedding", steps=[0, "last"])
        self.assertEqual(other.label, "fourier_basis,rule=embedding")
        printed = [json.loads(line) for line in
                   orrery_program("probe", run.path, "--probe", "fourier_basis:rule=embedding", "--steps", "0,last",
                                  "--json").splitlines()]
        rows = {row["step"]: row["probes"]["fourier_basis"]["scalars"] for row in printed if "step" in row}
        for step in (0, 60):
            self.assertEqual(other.scalars.loc[step].dropna().to_dict(),
                             {name: float(value) for name, value in rows[step].items() if value != "NaN"})
        null = next(row for row in printed if row.get("of") == "null")["probes"]["fourier_basis"]["scalars"]
        self.assertEqual(other.null, {name: float(value) for name, value in null.items()})

    def test_without_storing(self):
        run = orrery.open(copy_of_run("unstored"))
        before = files_of(run.path)
        results = run.probe("weight_structure", store=False)
        self.assertEqual(files_of(run.path), before)
        self.assertEqual(results.steps, [0, 20, 40, 60])
        with self.assertRaisesRegex(orrery.UsageError, "store"):
            results.tensors()

    def test_what_an_interrupted_probe_has_measured_is_kept(self):
        run = orrery.open(copy_of_run("half_asked"))
        results = run.path / "probes/slow/results.jsonl"

        def interrupt():
            while not results.exists() or not results.read_text():
                threading.Event().wait(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        slow = {"n_draws": 120, "n_burn_in": 0, "label": "slow", "progress": False}
        threading.Thread(target=interrupt).start()
        with self.assertRaises(orrery.Interrupted) as raised:
            run.probe("learning_coefficient", **slow)
        self.assertIn("not computed again", str(raised.exception))
        kept = results.read_text()
        self.assertIn(kept.count("\n"), (1, 2, 3))
        self.assertEqual(run.probe("learning_coefficient", **slow).steps, run.steps)
        self.assertTrue(results.read_text().startswith(kept))

    def test_a_changed_network_is_what_the_probe_sees(self):
        run = orrery.open(small_run())
        net = run.network("last")
        stored = run.results("fourier_basis")
        said = net.probe("fourier_basis")
        self.assertEqual(said["scalars"], {name: value for name, value in
                                           stored.scalars.loc[60].dropna().items()})
        with torch.no_grad():
            net.weights["embed.W_E"].mul_(2)
        changed = net.probe("fourier_basis")["scalars"]["sum_of_squares/embed.W_E"]
        self.assertAlmostEqual(changed / said["scalars"]["sum_of_squares/embed.W_E"], 4, places=5)
        self.assertIn("norms_w_e", said["figures"])
        self.assertEqual(said["tensors"]["norms/W_E"].tolist(), stored.tensors()["norms/W_E"].tolist())

    def test_errors_have_what_and_hint(self):
        run = orrery.open(small_run())
        for wrong in (lambda: run.probe("fourier_bases"), lambda: run.probe("fourier_basis", rulle="x"),
                      lambda: run.probe("fourier_basis", steps=[21]),
                      lambda: run.network("last").probe("induction_heads")):
            with self.assertRaises(orrery.Error) as raised:
                wrong()
            self.assertTrue(raised.exception.what and raised.exception.hint, raised.exception)
        with self.assertRaisesRegex(orrery.UsageError, "expected one of neurons"):  # it says all itself
            run.probe("fourier_basis", rule="nothing")

    def test_figures_in_plotly_s_form(self):
        run = orrery.open(small_run())
        with mock.patch.dict("sys.modules", {"plotly": None}):
            figure = run.figure("fourier_basis", "norms_w_e", step=60)
        self.assertIsInstance(figure, orrery.Figure)
        recorded = reader.figure(small_run(), "fourier_basis", "norms_w_e", 60)
        self.assertEqual(figure.layout["title"]["text"], recorded["title"])
        self.assertEqual(figure.data[0]["y"], recorded["traces"][0]["y"].tolist())
        json.dumps(figure.to_dict(), allow_nan=False)

    def test_figures_of_a_plotly_that_is_installed(self):
        theirs = mock.MagicMock()  # stands for the package: what it is given is looked at
        with mock.patch.dict("sys.modules", {"plotly": theirs, "plotly.graph_objects": theirs.graph_objects}):
            figure = orrery.open(small_run()).figure("fourier_basis", "norms_w_e", step=60)
        self.assertIs(figure, theirs.graph_objects.Figure.return_value)
        (given,) = theirs.graph_objects.Figure.call_args.args
        self.assertEqual(set(given), {"data", "layout"})

    @unittest.skipUnless(importlib.util.find_spec("plotly"), "Plotly for Python is not installed")
    def test_plotly_itself_takes_every_figure(self):
        import plotly.graph_objects
        kinds = set()
        run = orrery.open(copy_of_run("drawn"))
        for probe in ("fourier_basis", "attention_patterns", "weight_structure", "neuron_waves", "linear_probe"):
            results = run.probe(probe, steps="last", progress=False)
            for name in results.figure_names():
                figure = run.figure(results.label, name)  # Plotly refuses what it does not know
                self.assertIsInstance(figure, plotly.graph_objects.Figure)
                kinds |= {trace.type for trace in figure.data}
                json.loads(figure.to_json())
        self.assertTrue(kinds >= {"scatter", "heatmap"}, kinds)

    def test_throw_away_probes(self):
        @orrery.probe(inputs="grid", activations="*hook_pattern")
        def attention(seen):
            assert not torch.is_grad_enabled()
            pattern = seen.cache[PATTERN]
            return {"entropy": -(pattern * pattern.clamp_min(1e-30).log()).sum(-1).mean(),
                    "right": (seen.logits.argmax(-1) == seen.labels).float().mean()}

        run = orrery.open(copy_of_run("looked_at"))
        before = files_of(run.path)
        frame = run.probe(attention)
        self.assertEqual(files_of(run.path), before)
        self.assertEqual(list(frame.index), run.steps)
        self.assertEqual(set(frame.attrs["null"]), {"entropy", "right"})
        self.assertNotEqual(frame.attrs["null"]["entropy"], frame.loc[0, "entropy"])
        metrics, data = run.metrics, run.data("train")
        share = len(data["tokens"]) / 49
        for step in run.steps:
            right = share * metrics.loc[step, "train/accuracy"] + (1 - share) * metrics.loc[step, "test/accuracy"]
            self.assertAlmostEqual(frame.loc[step, "right"], right, places=6)

        @orrery.probe
        def norm(seen):
            return seen.weights["embed.W_E"].norm()
        self.assertEqual(list(norm(run.path, steps="last").columns), ["norm"])
        self.assertEqual(list(run.probe(norm, steps="every 40").index), [0, 40])
        for wrong, said in ((lambda seen: "text", "expected a number"),
                            (lambda seen: seen.cache["hook_embed"], "did not ask for the activation \"hook_embed\""),
                            (lambda seen: seen.weights["embed.W_e"], "did you mean \"embed.W_E\"")):
            with self.assertRaisesRegex(orrery.UsageError, said):
                orrery.probe(wrong)(run.path)
        for wrong in (lambda: orrery.probe("fourier_basis"), lambda: run.probe(lambda seen: 0),
                      lambda: orrery.probe(inputs="all")):
            with self.assertRaises(orrery.UsageError):
                wrong()


class NewProbe(unittest.TestCase):
    def test_a_plugin_starts_from_a_function(self):
        pattern = "blocks.*.attn.hook_pattern"  # what it asks for need not be written out

        @orrery.probe(inputs="grid",
                      activations=[pattern], null=False)
        def looked_at(seen):
            """How it looks at "0"."""
            return {"norm": seen.weights["embed.W_E"].norm(),
                    "pattern": seen.cache[PATTERN].mean()}

        with contextlib.redirect_stdout(io.StringIO()) as text:
            files = orrery.new_probe(looked_at, out=PLACE / "plugins_of_mine")
        folder = PLACE / "plugins_of_mine/looked_at"
        self.assertEqual({file.name for file in files}, {"CMakeLists.txt", "README.md", "looked_at.cpp",
                                                         "looked_at.toml", "looked_at_test.cpp"})
        source = (folder / "looked_at.cpp").read_text()
        for part in (".inputs = orrery::Inputs::grid", '.activations = {"blocks.*.attn.hook_pattern"}',
                     '.weights = {"embed.W_E"}', ".null = false", "//     return {\"norm\": seen.weights"):
            self.assertIn(part, source)
        self.assertIn("cmake -B build", text.getvalue())
        with self.assertRaisesRegex(orrery.UsageError, "exists already"):
            orrery.new_probe(looked_at, out=PLACE / "plugins_of_mine")
        for wrong in (looked_at.function, orrery.probe(lambda seen: 0), orrery.probe(eval("lambda seen: 0"))):
            with self.assertRaises(orrery.UsageError):
                orrery.new_probe(wrong, "of_mine", out=PLACE)


class Readme(unittest.TestCase):
    def test_every_line_of_its_block(self):
        (block,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
        for theirs, ours in (("runs/quickstart-20260131-120000", str(copy_of_run("block"))),
                             ("configs/quickstart.toml", str(CONFIG_FILE))):
            self.assertIn(theirs, block)
            block = block.replace(theirs, ours)
        names, before = {}, os.getcwd()
        os.chdir(PLACE)
        self.addCleanup(os.chdir, before)
        exec(compile(block, "README.md", "exec"), names)
        self.assertEqual(list(names["logits"].shape), [len(names["tokens"]), 3, 7])

    def test_plugins(self):
        table = orrery.plugins()
        self.assertEqual(set(table["kind"]), {"task", "probe", "loss", "update", "model"})
        self.assertIn("fourier_basis", set(table["name"]))


if __name__ == "__main__":
    unittest.main()

"""orrery/reader.py alone: without the compiled module, PyTorch or pandas."""

import json
import subprocess
import sys
import unittest

import numpy as np

from orrery import reader
from support import PLACE, ROOT, copy_of_run, orrery_program, small_run


class Reader(unittest.TestCase):
    def test_metrics_are_those_of_the_file(self):
        rows = [json.loads(line) for line in (small_run() / "metrics.jsonl").read_text().splitlines()]
        columns = reader.metrics(small_run())
        self.assertEqual(columns["step"].tolist(), [row["step"] for row in rows])
        self.assertEqual(columns["test/loss"].tolist(), [row["test/loss"] for row in rows])

    def test_infinities_and_an_unfinished_line(self):
        run = copy_of_run("unfinished")
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step": 70, "train/loss": "Infinity", "test/loss": "NaN"}\n{"step": 80, "tr')
        columns = reader.metrics(run)
        self.assertEqual(columns["step"][-1], 70)
        self.assertEqual(columns["train/loss"][-1], np.inf)
        self.assertTrue(np.isnan(columns["test/loss"][-1]) and np.isnan(columns["weights/norm"][-1]))

    def test_weights_are_those_that_export_writes(self):
        orrery_program("export", small_run(), "--out", PLACE / "exported.safetensors")
        exported = reader.safetensors(PLACE / "exported.safetensors")
        weights = reader.weights(small_run(), "last")
        self.assertEqual(set(exported), set(weights))
        for name, value in weights.items():
            self.assertEqual(value.dtype, np.float32)
            np.testing.assert_array_equal(value, exported[name])

    def test_bfloat16_and_integers(self):
        header = {"b": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
                  "i": {"dtype": "I64", "shape": [], "data_offsets": [4, 12]}}
        text = json.dumps(header).encode()
        raw = len(text).to_bytes(8, "little") + text + np.array([0x3f80, 0xc040], "<u2").tobytes() \
            + np.array(-7, "<i8").tobytes()
        read = reader.safetensors(raw)
        self.assertEqual(read["b"].tolist(), [1.0, -3.0])
        self.assertEqual(read["i"].item(), -7)
        with self.assertRaises(reader.ReadError):
            reader.safetensors(raw[:-1])

    def test_results_are_those_of_show(self):
        lines = (small_run() / "probes/fourier_basis/results.jsonl").read_text().splitlines()
        results = reader.results(small_run(), "fourier_basis")
        self.assertEqual(list(results), [0, 20, 40, 60])
        self.assertEqual(results[60]["scalars"],
                         {name: float(value) for name, value in
                          json.loads(lines[-1])["probes"]["fourier_basis"]["scalars"].items()})
        self.assertIn("scalars", reader.null(small_run(), "fourier_basis"))
        self.assertIsNone(reader.conclusion(small_run(), "fourier_basis"))

    def test_figures_have_their_data(self):
        names = reader.figure_names(small_run(), "fourier_basis")
        self.assertIn("norms_w_e", names)
        figure = reader.figure(small_run(), "fourier_basis", "norms_w_e", 60)
        trace = figure["traces"][0]
        self.assertEqual(trace["x"].shape, trace["y"].shape)
        tensors = reader.tensors(small_run(), "fourier_basis", 60)
        self.assertEqual(tensors["norms/W_E"].ndim, 1)
        with self.assertRaisesRegex(reader.ReadError, "norms_w_e"):
            reader.figure(small_run(), "fourier_basis", "absent", 60)

    def test_steps(self):
        self.assertEqual(reader.choose_step(small_run(), "first"), 0)
        self.assertEqual(reader.choose_step(small_run(), "last"), 60)
        self.assertEqual(reader.choose_step(small_run(), "40"), 40)
        for wrong in (41, "41", "middle", None):
            with self.assertRaises(reader.ReadError):
                reader.choose_step(small_run(), wrong)

    def test_grokked_is_the_first_checkpoint_from_99_percent_on(self):
        run = copy_of_run("grokked")
        rows = [{"step": step, "test/accuracy": accuracy} for step, accuracy in ((0, 0.1), (30, 0.99), (60, 1.0))]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual(reader.choose_step(run, "grokked"), 40)
        (run / "metrics.jsonl").write_text(json.dumps(rows[0]) + "\n")
        with self.assertRaisesRegex(reader.ReadError, "99 %"):
            reader.choose_step(run, "grokked")

    def test_errors_name_the_file(self):
        with self.assertRaisesRegex(reader.ReadError, "no run"):
            reader.run_json(PLACE)
        run = copy_of_run("damaged")
        (run / "metrics.jsonl").write_text('{"step": 0}\nnonsense\n')
        with self.assertRaisesRegex(reader.ReadError, "metrics.jsonl:2"):
            reader.metrics(run)

    def test_damaged_headers_of_safetensors(self):
        good = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        for about in (3, None, [], {}, {**good, "dtype": 3}, {**good, "dtype": ["F32"]}, {**good, "dtype": "F3"},
                      {**good, "shape": 1}, {**good, "shape": ["1"]}, {**good, "shape": [-1]},
                      {**good, "shape": [10**30]}, {**good, "shape": [1] * 100}, {**good, "shape": [2**32, 2**32]},
                      {**good, "data_offsets": [0]}, {**good, "data_offsets": None}, {**good, "data_offsets": [0, 3]},
                      {**good, "data_offsets": [0, 4.0]}, {**good, "data_offsets": [4, 0]},
                      {**good, "data_offsets": [0, 8]}, {**good, "dtype": "BF16"}):
            text = json.dumps({"a": about}).encode()
            with self.assertRaisesRegex(reader.ReadError, "these bytes: the tensor 'a'", msg=repr(about)):
                reader.safetensors(len(text).to_bytes(8, "little") + text + bytes(4))
        text = b'{"a": ' + b"[" * 100000
        with self.assertRaisesRegex(reader.ReadError, "these bytes: is not JSON"):
            reader.safetensors(len(text).to_bytes(8, "little") + text)

    def test_damaged_lines(self):
        run = copy_of_run("damaged_lines")
        good = '{"step": 0, "train/loss": 1.5}\n'
        for line in ('{"train/loss": 1.5}', '{"step": "x"}', '{"step": 1.5}', '{"step": null}', '{"step": 1e30}',
                     '{"step": 99999999999999999999}', '{"step": 1, "train/loss": "much"}',
                     '{"step": 1, "train/loss": [1]}', '{"step": 1, "train/loss": null}',
                     '{"step": 1, "train/loss": 1' + 400 * "0" + "}", "[" * 100000):
            (run / "metrics.jsonl").write_text(good + line + "\n")
            with self.assertRaisesRegex(reader.ReadError, r"metrics\.jsonl:2", msg=line[:50]):
                reader.metrics(run)
        results = run / "probes/fourier_basis/results.jsonl"
        for line in ('{"step": 0}', '{"probes": {"fourier_basis": {}}}', '{"step": 0, "probes": []}',
                     '{"step": 0, "probes": {"fourier_basis": 3}}',
                     '{"step": 0, "probes": {"fourier_basis": {"scalars": 3}}}',
                     '{"step": 0, "probes": {"fourier_basis": {"scalars": {"a": null}}}}'):
            results.write_text(line + "\n")
            with self.assertRaisesRegex(reader.ReadError, r"results\.jsonl:1", msg=line):
                reader.results(run, "fourier_basis")
        results.write_text('{"step": 0, "probes": {"fourier_basis": {"tensors": {"a": "nowhere"}}}}\n')
        with self.assertRaisesRegex(reader.ReadError, "step_00000000.safetensors: it has no tensor 'nowhere'"):
            reader.tensors(run, "fourier_basis", 0)

    def test_findings_have_numbers_at_any_depth(self):
        run = copy_of_run("findings")
        found = {"f": {"kind": "groups", "value": "NaN", "list": [1, "Infinity", {"deep": "-Infinity"}],
                       "text": "a NaN"}}
        said = {"fourier_basis": {"scalars": {}, "findings": found}}
        (run / "probes/fourier_basis/results.jsonl").write_text(json.dumps({"step": 0, "probes": said}) + "\n")
        (run / "probes/fourier_basis/conclusion.json").write_text(json.dumps({"of": "conclusion", "probes": said}))
        for each in (reader.results(run, "fourier_basis")[0], reader.conclusion(run, "fourier_basis")):
            read = each["findings"]["f"]
            self.assertTrue(np.isnan(read["value"]))
            self.assertEqual((read["list"], read["text"]), ([1, np.inf, {"deep": -np.inf}], "a NaN"))

    def test_one_file_needs_only_numpy(self):
        (PLACE / "alone").mkdir(exist_ok=True)
        (PLACE / "alone/orrery_reader.py").write_text((ROOT / "framework/python/orrery/reader.py").read_text())
        code = (f"import sys; sys.path.insert(0, {str(PLACE / 'alone')!r})\n"
                f"import orrery_reader as r; print(len(r.metrics({str(small_run())!r})['step']))\n"
                "print([name for name in ('torch', 'pandas', 'orrery') if name in sys.modules])")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual(done.stdout.split("\n")[:2], ["7", "[]"], done.stderr)


if __name__ == "__main__":
    unittest.main()

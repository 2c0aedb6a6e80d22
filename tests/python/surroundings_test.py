"""What the notebook has set does not reach the engine, and stays as it was."""

import contextlib
import threading
import unittest

import torch

import orrery
from support import CONFIG_FILE, PLACE, copy_of_run, files_of, small_run
from training_test import kept


@contextlib.contextmanager
def double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {"float64": double, "inference": torch.inference_mode, "no_grad": torch.no_grad}


class Surroundings(unittest.TestCase):
    def test_a_training(self):
        for name, surroundings in SURROUNDINGS.items():
            with surroundings():
                before = (torch.get_default_dtype(), torch.is_inference_mode_enabled(), torch.is_grad_enabled())
                run = orrery.train(CONFIG_FILE, out=PLACE / f"in_{name}", progress=False)
                after = (torch.get_default_dtype(), torch.is_inference_mode_enabled(), torch.is_grad_enabled())
            self.assertEqual(after, before, name)
            self.assertEqual(kept(run.path), kept(small_run()), name)

    def test_probes(self):
        asked = {"n_draws": 3, "n_burn_in": 0, "label": "asked", "progress": False}
        plain = copy_of_run("plain_probe")
        orrery.open(plain).probe("learning_coefficient", **asked)
        expected = orrery.open(small_run()).network().probe("weight_structure")["scalars"]
        for name, surroundings in SURROUNDINGS.items():
            copy = copy_of_run(f"probe_in_{name}")
            with surroundings():
                orrery.open(copy).probe("learning_coefficient", **asked)
                found = orrery.open(copy).network().probe("weight_structure")["scalars"]
            self.assertEqual(files_of(copy / "probes"), files_of(plain / "probes"), name)
            self.assertEqual(found, expected, name)

    def test_networks_that_can_be_trained(self):
        tokens = orrery.open(small_run()).data("grid")["tokens"]
        expected = orrery.open(small_run()).network()(tokens)
        for name, surroundings in SURROUNDINGS.items():
            with surroundings():
                net = orrery.open(small_run()).network("first").load("last")
                inside = net(tokens)
            torch.testing.assert_close(inside, expected, rtol=0, atol=0, msg=name)
            self.assertEqual({weight.dtype for weight in net.weights.values()}, {torch.float32})
            before = net(tokens)
            optimizer = torch.optim.SGD(list(net.weights.values()), lr=0.1)
            before.square().mean().backward()
            optimizer.step()
            self.assertFalse(torch.equal(net(tokens), before), name)

    def test_two_trainings_at_a_time_leave_what_was_there(self):
        def train(number):
            orrery.train(CONFIG_FILE, {"train.steps": 150 * (number + 1)}, out=PLACE / f"at_a_time_{number}",
                         progress=False)

        with double():
            threads = [threading.Thread(target=train, args=(number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(torch.get_default_dtype(), torch.float64)


if __name__ == "__main__":
    unittest.main()

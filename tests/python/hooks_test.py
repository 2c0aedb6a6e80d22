"""Hooks that end within a pass, run networks themselves, or are modules; weights that are frozen."""

import contextlib
import functools
import unittest

import torch

import orrery
from support import small_run

PATTERN = "blocks.0.attn.hook_pattern"


class Plain(torch.nn.Module):
    def forward(self, activation):
        return activation / 2


class WithHook(torch.nn.Module):
    def forward(self, activation, hook):
        self.name = hook.name
        return activation / 2


class WithOptions(torch.nn.Module):
    def forward(self, activation, **options):
        return activation / 2 if not options else activation


class Hooks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = orrery.open(small_run()).network()
        cls.tokens = cls.net.data("grid")["tokens"]

    def test_a_hook_may_leave_during_the_pass(self):
        before = self.net(self.tokens)
        for run in (self.net, self.net.run_with_cache):
            for _ in range(20):
                with contextlib.ExitStack() as stack:
                    seen = []

                    def leave(activation, hook):
                        stack.close()
                        seen.append(torch.zeros(1000))

                    stack.enter_context(self.net.hooks({"*": leave}))
                    del leave
                    run(self.tokens)
                    self.assertEqual(len(seen), len(self.net.names))
        torch.testing.assert_close(self.net(self.tokens), before, rtol=0, atol=0)

    def test_a_pass_within_a_hook_goes_through_its_own_hooks_only(self):
        before = self.net(self.tokens)
        inner = []

        def outer(activation):
            inner.append(self.net(self.tokens))
            inner.append(self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: 3 * x}))
            return 2 * activation

        expected = [before, self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: 3 * x})]
        doubled = self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: 2 * x})
        with self.net.hooks({"hook_embed": outer}):
            logits, cache = self.net.run_with_cache(self.tokens, "blocks.0.hook_resid_post")
        self.assertEqual(len(inner), 2)
        for found, wanted in zip([*inner, logits], [*expected, doubled]):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        with self.net.hooks({"hook_embed": lambda x: 2 * x}):
            _, wanted = self.net.run_with_cache(self.tokens, "blocks.0.hook_resid_post")
        self.assertEqual(list(cache), list(wanted))
        for name, value in wanted.items():
            torch.testing.assert_close(cache[name], value, rtol=0, atol=0)

    def test_a_probe_within_a_hook_sees_none(self):
        expected, found = self.net.probe("attention_patterns")["scalars"], []
        net = orrery.open(small_run()).network()

        def probes(activation):
            found.append(net.probe("attention_patterns")["scalars"])
            return 2 * activation

        net.run_with_hooks(self.tokens, {"hook_embed": probes})
        self.assertEqual(found, [expected])

    def test_a_pass_within_a_later_hook_leaves_the_outer_cache(self):
        def outer(activation):
            self.net(self.tokens[:1])

        with self.net.hooks({PATTERN: outer}):
            _, cache = self.net.run_with_cache(self.tokens)
        self.assertEqual({len(value) for value in cache.values()}, {len(self.tokens)})

    def test_what_an_inner_pass_throws_is_what_arrives(self):
        def fails(activation):
            raise KeyError("of the inner hook")

        def outer(activation):
            self.net.run_with_hooks(self.tokens, {"hook_embed": fails})

        with self.assertRaisesRegex(KeyError, "of the inner hook"):
            self.net.run_with_hooks(self.tokens, {"hook_embed": outer, PATTERN: lambda x: x})
        with self.assertRaisesRegex(orrery.UsageError, "tokens"):
            self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: self.net(self.tokens.float())})

    def test_modules_and_partials(self):
        class Callable:
            def __call__(self, activation, **options):
                return activation / 2 if not options else activation

        expected = self.net.run_with_hooks(self.tokens, {"hook_embed": lambda x: x / 2})
        named = WithHook()
        for function in (Plain(), named, WithOptions(), Callable(), functools.partial(torch.div, other=2),
                         functools.partial(lambda by, x, **more: x / by * len(more), 2), lambda x, hook, /: x / 2):
            torch.testing.assert_close(self.net.run_with_hooks(self.tokens, {"hook_embed": function}), expected)
        self.assertEqual(named.name, "hook_embed")

    def test_probes_of_frozen_weights(self):
        expected = self.net.probe("fourier_basis")["scalars"]
        net = orrery.open(small_run()).network()
        net.weights["embed.W_E"].requires_grad_(False)
        self.assertEqual(net.probe("fourier_basis")["scalars"], expected)
        net.probe("learning_coefficient", n_draws=2, n_burn_in=0)
        frozen = [name for name, weight in net.weights.items() if not weight.requires_grad]
        self.assertEqual(frozen, ["embed.W_E"])


if __name__ == "__main__":
    unittest.main()

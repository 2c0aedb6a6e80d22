#!/usr/bin/env python3
"""Training steps of this project's experiments written out in eager PyTorch, as a notebook would: what Orrery's speed
is measured against.  Every position is computed for every example, and the loss is taken in float64 (Nanda et al. 2023).
Prints the median milliseconds of CPU time per step; with --device cuda, those of wall-clock time over five rounds of
--steps steps.
    python3 eager_reference.py [mainline|induction|digit_addition|sparse_parity|mlp_mod67] [--steps 20] [--threads N]
    python3 eager_reference.py mlp_mod67 --after 2500 [--flush-subnormals]       # steps that follow memorisation
    python3 eager_reference.py induction --device cuda [--cuda-graphs]
"""
import argparse
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("work", nargs="?", default="mainline")
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--after", type=int, default=3, help="steps before the first that is timed")
parser.add_argument("--flush-subnormals", action="store_true", help="torch.set_flush_denormal(True)")
parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
parser.add_argument("--test-loss", action="store_true", help="mainline: also compute the test loss at every step")
parser.add_argument("--wall", action="store_true", help="print wall-clock time instead")
parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
parser.add_argument("--cuda-graphs", action="store_true", help="capture the whole step once, and replay it")
args = parser.parse_args()
if args.cuda_graphs and args.device != "cuda":
    parser.error("--cuda-graphs needs --device cuda")
if args.threads:
    torch.set_num_threads(args.threads)
torch.set_flush_denormal(args.flush_subnormals)
torch.manual_seed(0)


def weight(*shape, fan):
    return torch.nn.Parameter(torch.randn(*shape) / fan**0.5)


class Block(torch.nn.Module):
    def __init__(self, n_ctx, d_model, n_heads, d_head, d_mlp):
        super().__init__()
        self.W_Q, self.W_K, self.W_V = (weight(n_heads, d_model, d_head, fan=d_model) for _ in range(3))
        self.W_O = weight(n_heads, d_head, d_model, fan=d_model)
        self.d_head, self.d_mlp = d_head, d_mlp
        if d_mlp:
            self.W_in, self.b_in = weight(d_model, d_mlp, fan=d_model), torch.nn.Parameter(torch.zeros(d_mlp))
            self.W_out, self.b_out = weight(d_mlp, d_model, fan=d_model), torch.nn.Parameter(torch.zeros(d_model))
        self.register_buffer("mask", torch.tril(torch.ones(n_ctx, n_ctx)) == 0)

    def forward(self, resid):
        q = torch.einsum("bpd,hde->bhpe", resid, self.W_Q)
        k = torch.einsum("bpd,hde->bhpe", resid, self.W_K)
        v = torch.einsum("bpd,hde->bhpe", resid, self.W_V)
        scores = torch.einsum("bhqe,bhke->bhqk", q, k) / self.d_head**0.5
        pattern = scores.masked_fill(self.mask, -1e10).softmax(-1)
        z = torch.einsum("bhqk,bhke->bhqe", pattern, v)
        resid = resid + torch.einsum("bhpe,hed->bpd", z, self.W_O)
        if not self.d_mlp:
            return resid
        post = torch.relu(torch.einsum("bpd,dm->bpm", resid, self.W_in) + self.b_in)
        return resid + torch.einsum("bpm,md->bpd", post, self.W_out) + self.b_out


class Transformer(torch.nn.Module):
    def __init__(self, d_vocab, d_vocab_out, n_ctx, n_layers=1, d_model=128, n_heads=4, d_head=32, d_mlp=512):
        super().__init__()
        self.W_E, self.W_pos = weight(d_vocab, d_model, fan=d_model), weight(n_ctx, d_model, fan=d_model)
        self.blocks = torch.nn.ModuleList(Block(n_ctx, d_model, n_heads, d_head, d_mlp) for _ in range(n_layers))
        self.W_U = weight(d_model, d_vocab_out, fan=d_vocab)

    def forward(self, tokens):
        resid = self.W_E[tokens] + self.W_pos
        for block in self.blocks:
            resid = block(resid)
        return resid @ self.W_U


class OneHiddenLayer(torch.nn.Module):
    """30 bits and a one -> 64 -> 2."""

    def __init__(self, n_in, d_mlp, n_out):
        super().__init__()
        self.W_in, self.W_out = weight(n_in, d_mlp, fan=n_in), weight(d_mlp, n_out, fan=d_mlp)

    def forward(self, x):
        return torch.relu(x @ self.W_in) @ self.W_out


class TiedEmbedding(torch.nn.Module):
    """The main model of Pearce et al. 2023."""

    def __init__(self, p, d_embed, d_mlp):
        super().__init__()
        self.p, self.W_E = p, weight(p + 1, d_embed, fan=p + 1)
        self.W_in, self.W_out = weight(d_embed, d_mlp, fan=d_embed), weight(d_mlp, d_embed, fan=d_mlp)

    def forward(self, tokens):
        post = torch.relu(self.W_E[tokens[:, 0]] @ self.W_in + self.W_E[tokens[:, 1]] @ self.W_in)
        return post @ self.W_out @ self.W_E[: self.p].T


def loss_of(logits, labels):
    log_probs = logits.to(torch.float64).log_softmax(-1)
    return -log_probs.gather(-1, labels.unsqueeze(-1)).mean()


def on_device(*tensors):
    return [tensor.to(args.device) for tensor in tensors]


def modular_pairs(p, share, unordered=False):
    """Tokens a, b, = and labels a + b mod p of a random share of the pairs, then those of the rest."""
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    if unordered:
        pairs = pairs[pairs[:, 0] <= pairs[:, 1]]
    n = len(pairs)
    tokens, labels = torch.cat([pairs, torch.full((n, 1), p)], 1), pairs.sum(1) % p
    order = torch.randperm(n)
    train, test = order[: int(share * n)], order[int(share * n) :]
    return on_device(tokens[train], labels[train], tokens[test], labels[test])


def mainline():
    model = Transformer(114, 113, 3)
    tokens, labels, test_tokens, test_labels = modular_pairs(113, 0.3)

    def loss():
        if args.test_loss:
            with torch.no_grad():
                loss_of(model(test_tokens)[:, -1], test_labels)
        return loss_of(model(tokens)[:, -1], labels)

    return model, loss


def induction():
    """16 tokens three times among 84, the loss on the repeats; one batch is used again and again."""
    model = Transformer(129, 128, 85, n_layers=2, d_mlp=0)
    tokens = torch.randint(128, (128, 85))
    tokens[:, 0] = 128
    counts = torch.zeros(128, 84, dtype=torch.bool)
    for row, starts in enumerate(torch.rand(128, 3)):
        stretch = torch.randint(128, (16,))
        begin = 1 + (starts.sort().values * 36).long() + torch.tensor([0, 16, 32])
        for i, at in enumerate(begin.tolist()):
            tokens[row, at : at + 16] = stretch
            counts[row, at : at + 15] = i > 0
    tokens, counts, labels = on_device(tokens, counts, tokens[:, 1:][counts])
    # A mask makes every step wait for the GPU to count it, which cannot be captured; a list of places does not.
    places = counts.nonzero(as_tuple=True) if args.cuda_graphs else counts
    return model, lambda: loss_of(model(tokens)[:, :-1][places], labels)


def digit_addition():
    """5 digits, the loss at "=" and the digits of the sum but the last; one batch is used again and again."""
    model = Transformer(12, 10, 18)
    a, b = torch.randint(10**5, (64,)), torch.randint(10**5, (64,))
    digits = lambda x, n: torch.stack([x // 10**i % 10 for i in reversed(range(n))], 1)  # noqa: E731
    column = lambda token: torch.full((64, 1), token)  # noqa: E731
    (tokens,) = on_device(torch.cat([digits(a, 5), column(10), digits(b, 5), column(11), digits(a + b, 6)], 1))
    return model, lambda: loss_of(model(tokens)[:, 11:17], tokens[:, 12:])


def sparse_parity():
    model = OneHiddenLayer(31, 64, 2)
    bits = torch.randint(2, (1000, 30))
    x, labels = on_device(torch.cat([bits.float(), torch.ones(1000, 1)], 1), bits[:, :3].sum(1) % 2)
    return model, lambda: loss_of(model(x), labels)


def mlp_mod67():
    model = TiedEmbedding(67, 500, 24)
    tokens, labels, _, _ = modular_pairs(67, 0.4, unordered=True)
    return model, lambda: loss_of(model(tokens), labels)


works = {f.__name__: f for f in (mainline, induction, digit_addition, sparse_parity, mlp_mod67)}
if args.work not in works:
    parser.error(f"there is no work {args.work}; choose one of {', '.join(works)}")
model, loss_function = works[args.work]()
model.to(args.device)
settings = {"capturable": True} if args.cuda_graphs else {}  # its count of steps must be on the GPU
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98), **settings)
clock = time.perf_counter if args.wall else time.process_time


def step():
    loss = loss_function()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def captured():
    """The same step as one CUDA graph: a function that replays it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss_function().backward()
        optimizer.step()
    return graph.replay


def cpu_times():
    for _ in range(args.after):
        step()
    for _ in range(args.steps):
        start = clock()
        step()
        yield 1e3 * (clock() - start)


def gpu_times():
    run = captured() if args.cuda_graphs else step
    for _ in range(20):
        run()
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(args.steps):
            run()
        torch.cuda.synchronize()
        yield 1e3 * (time.perf_counter() - start) / args.steps


times = sorted(cpu_times() if args.device == "cpu" else gpu_times())
print(f"{times[len(times) // 2]:.3f}")

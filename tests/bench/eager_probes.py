#!/usr/bin/env python3
"""What the probes fourier_basis, trig_loss and excluded_loss compute of one checkpoint of the mainline network
(p = 113), written out in eager PyTorch as a notebook would (Nanda et al. 2023): one projection after another, a loop
over the frequencies.  Prints the median milliseconds of CPU time, with --device cuda of wall-clock time;
orrery_bench's probe_pass/all does the same work.
    python3 eager_probes.py [--rounds 5] [--threads N] [--device cuda [--cuda-graphs]]
"""
import argparse
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
parser.add_argument("--cuda-graphs", action="store_true", help="capture all of it once, and replay it")
args = parser.parse_args()
if args.cuda_graphs and args.device != "cuda":
    parser.error("--cuda-graphs needs --device cuda")
if args.threads:
    torch.set_num_threads(args.threads)
torch.manual_seed(0)
p, d_model, n_heads, d_head, d_mlp = 113, 128, 4, 32, 512
keys = [14, 35, 41, 42, 52]


def weight(*shape, fan):
    return torch.randn(*shape).to(args.device) / fan**0.5


def number(x):
    """As a Python number; in a graph, which cannot wait for one, still a tensor."""
    return x if args.cuda_graphs else x.item()


W_E, W_pos = weight(p + 1, d_model, fan=d_model), weight(3, d_model, fan=d_model)
W_Q, W_K, W_V = (weight(n_heads, d_model, d_head, fan=d_model) for _ in range(3))
W_O = weight(n_heads, d_head, d_model, fan=d_model)
W_in, W_out = weight(d_model, d_mlp, fan=d_model), weight(d_mlp, d_model, fan=d_model)
W_U = weight(d_model, p, fan=p)
upto_p = torch.arange(p, device=args.device)
pairs = torch.cartesian_prod(upto_p, upto_p)
tokens, labels = torch.cat([pairs, torch.full((p * p, 1), p, device=args.device)], 1), pairs.sum(1) % p
order = torch.randperm(p * p).to(args.device)
train, test = order[:3830], order[3830:]
mask = torch.tril(torch.ones(3, 3, device=args.device)) == 0
# Lists of rows are copied to the GPU at every use, which cannot be captured.
blocks = {k: [0, 2 * k - 1, 2 * k] for k in range(1, p // 2 + 1)}
if args.cuda_graphs:
    blocks = {k: torch.tensor(rows, device=args.device) for k, rows in blocks.items()}


def fourier_basis():
    """Rows 1, cos 1, sin 1, cos 2, ..., each of norm 1: [p, p]."""
    x = upto_p * 2 * torch.pi / p
    rows = [torch.ones(p, device=args.device)]
    for k in range(1, p // 2 + 1):
        rows += [torch.cos(k * x), torch.sin(k * x)]
    rows = torch.stack(rows)
    return rows / rows.norm(dim=1, keepdim=True)


basis = fourier_basis()


def forward():
    resid = W_E[tokens] + W_pos
    q, k, v = (torch.einsum("bpd,hde->bhpe", resid, W) for W in (W_Q, W_K, W_V))
    pattern = (torch.einsum("bhqe,bhke->bhqk", q, k) / d_head**0.5).masked_fill(mask, -1e10).softmax(-1)
    resid = resid + torch.einsum("bhpe,hed->bpd", torch.einsum("bhqk,bhke->bhqe", pattern, v), W_O)
    post = torch.relu(torch.einsum("bpd,dm->bpm", resid, W_in))
    logits = (resid + torch.einsum("bpm,md->bpd", post, W_out)) @ W_U
    return logits[:, -1], post[:, -1]


def loss_of(logits):
    log_probs = logits.to(torch.float64).log_softmax(-1)
    loss = -log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return number(loss[train].mean()), number(loss[test].mean()), number(loss.mean())


def fft2d(x):
    """[p * p, n] as a function of a and b in the basis of products of waves."""
    return torch.einsum("xyz,fx,Fy->fFz", x.view(p, p, -1), basis, basis)


def gini(x):
    x = x.sort().values
    n = len(x)
    return number(((2 * torch.arange(1, n + 1, device=x.device) - n - 1) * x).sum()) / (n * number(x.sum()))


def waves_of_sum(k):
    """cos and sin of w_k (a + b), as directions in the space of functions of the pair."""
    angle = (pairs.sum(1) * k).float() * 2 * torch.pi / p
    return [wave / wave.norm() for wave in (torch.cos(angle), torch.sin(angle))]


def projection(logits, frequencies):
    total = torch.zeros_like(logits)
    for k in frequencies:
        for wave in waves_of_sum(k):
            total += torch.outer(wave, wave @ logits)
    return total


def probes():
    logits, post = forward()
    losses = [loss_of(logits)]
    norms = (basis @ W_E[:p]).norm(dim=1), (basis @ (W_out @ W_U).T).norm(dim=1)
    ginis = [gini(x) for x in norms]
    of_logits = fft2d(logits - logits.mean(1, keepdim=True)).square().mean(2).sqrt()
    neurons = fft2d(post)
    of_neurons = neurons.square().mean(2).sqrt()
    energy = neurons.square()
    energy[0, 0] = 0
    total, shares = energy.sum((0, 1)), []
    for k in range(1, p // 2 + 1):
        shares.append(energy[blocks[k]][:, blocks[k]].sum((0, 1)) / total)
    best = torch.stack(shares).max(0)
    a, b, c = torch.meshgrid(*[upto_p] * 3, indexing="ij")
    coefficients = []
    for k in range(1, p // 2 + 1):
        cube = torch.cos((a + b - c).float() * k * 2 * torch.pi / p)
        coefficients.append(number((logits.view(p, p, p) * cube).sum()) / number(cube.norm()))
    only = projection(logits, keys)
    losses.append(loss_of(only + (logits - only).mean(0)))
    losses.append(loss_of(logits - only))
    for k in keys:
        losses.append(loss_of(logits - projection(logits, [k])))
    return losses, ginis, of_logits, of_neurons, best, coefficients


def captured():
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        probes()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        probes()
    return graph.replay


clock = time.process_time if args.device == "cpu" else time.perf_counter
wait = (lambda: None) if args.device == "cpu" else torch.cuda.synchronize
with torch.no_grad():
    run = captured() if args.cuda_graphs else probes
    run()
    times = []
    for _ in range(args.rounds):
        wait()
        start = clock()
        run()
        wait()
        times.append(1e3 * (clock() - start))
print(f"{sorted(times)[len(times) // 2]:.1f}")

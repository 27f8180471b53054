"""The same work in PyTorch on the same GPU as test/native/bench/cuda_bench.cpp: python gpu_peer.py PART [--json FILE] [--device cpu] [--small].

Parts: kernels (copy, matrix product, log-probs of logits, linear log-probs, attention, reward kernels), train_0.5b, train_1.5b (eager, then
torch.compile unless --eager; --compiled: only that), decode (transformers' generate). One line per result, and one JSON object per line in FILE
as they come, with the keys of cuda_bench. A measurement that cannot be made (memory, a missing package) says so in one line and costs no other.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

args = None
MODELS = {  # hidden, layers, query heads, key/value heads, head size, feed-forward, vocabulary
    "0.5b": (896, 24, 14, 2, 64, 4864, 151936),
    "1.5b": (1536, 28, 12, 2, 128, 8960, 151936),
    "tiny": (128, 2, 2, 1, 64, 256, 2374),
}


# --- measuring --------------------------------------------------------------------------------------------------------


def scaled(size):
    return max(size // 64, 8) if args.small else size


def wait():
    if args.device == "cuda":
        torch.cuda.synchronize()


def seconds(op, count=1):
    wait()
    begin = time.perf_counter()
    for _ in range(count):
        op()
    wait()
    return (time.perf_counter() - begin) / count


def best_of(op, repeats=5, longest=0.5):
    """The best of five, an op being called as often as fills 50 ms."""
    once = seconds(op, 2)
    count = max(1, min(1000, int(0.05 / once)))
    return min([once] + [seconds(op, count) for _ in range(repeats if once < longest else 1)])


def report(key, peer, elapsed, **more):
    line = {"key": key, "peer": peer, "seconds": elapsed, **more}
    print(f"{key:24} {peer:28} {elapsed * 1e3:10.3f} ms", *(f"{name} {value:.4g}" for name, value in more.items()), flush=True)
    if args.json:
        with open(args.json, "a") as file:
            file.write(json.dumps(line) + "\n")


def attempt(name, measure):
    try:
        measure()
    except Exception as error:  # the next measurement may still be possible
        print(f"{name}: not measured, {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)
    if args.device == "cuda":
        torch.cuda.empty_cache()


def random(*shape, dtype=torch.bfloat16, scale=1.0):
    return torch.empty(*shape, device=args.device, dtype=dtype).uniform_(-scale, scale)


# --- kernels ----------------------------------------------------------------------------------------------------------


def rates():
    size = scaled(1 << 30) * 4
    source, target = torch.rand(size // 4, device=args.device), torch.empty(size // 4, device=args.device)
    report("copy", "PyTorch", best := best_of(lambda: target.copy_(source)), rate=2 * size / best)
    n = scaled(8192)
    a, b = random(n, n), random(n, n)
    report("matrix", "PyTorch", best := best_of(lambda: a @ b.t()), rate=2 * n**3 / best)


def eager_logprobs(logits, targets, dtype=torch.float32):
    log_p = torch.log_softmax(logits.to(dtype), dim=-1)
    return log_p.gather(-1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)


def logits_logprobs():
    n, v = scaled(8192), scaled(151936)
    logits, targets = random(n, v, scale=4), torch.randint(0, v, (n,), device=args.device)
    with torch.no_grad():
        report("logits_bf16", "PyTorch eager, float32", best_of(lambda: eager_logprobs(logits, targets)))
        report("logits_bf16", "PyTorch eager, bf16 alone", best_of(lambda: eager_logprobs(logits, targets, torch.bfloat16)))


def linear_logprobs(key, c, v):
    n = scaled(8192)
    hidden, weight, targets = random(n, c), random(v, c, scale=0.05), torch.randint(0, v, (n,), device=args.device)
    operations = 2 * n * c * v

    def forward():
        with torch.no_grad():
            eager_logprobs(F.linear(hidden, weight), targets)

    def full():
        hidden.requires_grad_(), weight.requires_grad_()
        hidden.grad = weight.grad = None
        F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="sum").backward()

    for name, op, times in ((f"{key}_forward", forward, 1), (f"{key}_full", full, 3)):
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        best = best_of(op)
        memory = {"extra_bytes": torch.cuda.max_memory_allocated() - before} if args.device == "cuda" else {}
        report(name, "F.linear + log_softmax", best, operations=times * operations, **memory)


def attention(key, heads, kv_heads, size):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    rows, length = 8, scaled(2048)
    q = random(rows, heads, length, size).requires_grad_()
    k, v = (random(rows, kv_heads, length, size).repeat_interleave(heads // kv_heads, 1).requires_grad_() for _ in range(2))
    backend = SDPBackend.FLASH_ATTENTION if args.device == "cuda" else SDPBackend.MATH
    operations = 2 * rows * length * length * heads * size
    with sdpa_kernel(backend):
        attend = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
        with torch.no_grad():
            report(key, "SDPA (flash)", best_of(attend), operations=operations)
        out = attend()
        d_out = torch.randn_like(out)
        backward = lambda: torch.autograd.grad(out, (q, k, v), d_out, retain_graph=True)
        report(f"{key}_backward", "SDPA (flash)", best_of(backward), operations=2.5 * operations)


def rewards():
    """The reward kernels as they are published: padded [B, T] with a mask, and a loop over groups and rows."""
    rows, length, n = max(scaled(8192) // 4 * 4, 4), scaled(2048), 4
    phi, ref, old, log_p = (-torch.rand(rows, length, device=args.device) * 3 for _ in range(4))
    outcome = (torch.rand(rows, device=args.device) > 0.5).float()
    mask = torch.ones(rows, length, dtype=torch.bool, device=args.device)
    log_p.requires_grad_()

    def leave_one_out(values):
        shaped = torch.zeros_like(values)
        for start in range(0, rows, n):
            means = torch.stack([values[i][mask[i]].mean() for i in range(start, start + n)])
            for i in range(start, start + n):
                shaped[i][mask[i]] = values[i][mask[i]] - (means.sum() - means[i - start]) / (n - 1)
        return shaped

    def leave_one_out_at_once(values):
        means = (values * mask).sum(-1) / mask.sum(-1)
        groups = means.view(-1, n)
        return (values - ((groups.sum(-1, keepdim=True) - groups) / (n - 1)).view(-1, 1)) * mask

    def step(baseline):
        with torch.no_grad():
            reward = 0.05 * (phi - ref) * mask
            reward.cumsum(-1), reward.sum(-1)
            at_end = torch.zeros_like(reward)
            at_end[:, -1] = outcome - (outcome.view(-1, n).sum(-1, keepdim=True) - outcome.view(-1, n)).view(-1) / (n - 1)
            returns = (baseline(reward) + at_end).flip(-1).cumsum(-1).flip(-1)
            values = returns[mask]
            advantage = (returns - values.mean()) * torch.rsqrt(values.var() + 1e-8)
        log_p.grad = None
        ratio = torch.exp(torch.clamp(log_p - old, -20, 20))
        loss = torch.maximum(-advantage * ratio, -advantage * torch.clamp(ratio, 0.8, 1.2))
        ((loss * mask).sum() / mask.sum()).backward()

    report("rewards_without_loop", "PyTorch eager, no loop", best_of(lambda: step(leave_one_out_at_once)))
    report("rewards", "PyTorch eager, loop over rows", seconds(lambda: step(leave_one_out)))


def kernels():
    attempt("rates", rates)
    attempt("logits", logits_logprobs)
    attempt("attention", lambda: attention("attention_128", 16, 4, 128))
    attempt("attention", lambda: attention("attention_64", 14, 2, 64))
    attempt("linear", lambda: linear_logprobs("linear", scaled(4096), scaled(131072)))
    attempt("linear, small", lambda: linear_logprobs("linear_small", scaled(896), scaled(151936)))
    attempt("rewards", rewards)


# --- models -----------------------------------------------------------------------------------------------------------


class Block(torch.nn.Module):
    def __init__(self, c, heads, kv_heads, size, f):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, size
        self.norm_in, self.norm_mid = (torch.nn.RMSNorm(c, eps=1e-6) for _ in range(2))
        self.qkv = torch.nn.Linear(c, (heads + 2 * kv_heads) * size)
        self.o = torch.nn.Linear(heads * size, c, bias=False)
        self.gate_up, self.down = torch.nn.Linear(c, 2 * f, bias=False), torch.nn.Linear(f, c, bias=False)

    def forward(self, x, cosine, sine):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.norm_in(x)).view(b, t, -1, self.size).transpose(1, 2).split([self.heads, self.kv_heads, self.kv_heads], 1)
        turn = lambda y: y * cosine + torch.cat([-y[..., self.size // 2 :], y[..., : self.size // 2]], -1) * sine
        repeat = lambda y: y.repeat_interleave(self.heads // self.kv_heads, 1)
        y = F.scaled_dot_product_attention(turn(q).to(v.dtype), repeat(turn(k).to(v.dtype)), repeat(v), is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, -1))
        gate, up = self.gate_up(self.norm_mid(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(torch.nn.Module):
    """Qwen2's shape with a tied head; returns the mean negative log-prob of the next tokens."""

    def __init__(self, c, layers, heads, kv_heads, size, f, vocab):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocab, c)
        self.blocks = torch.nn.ModuleList(Block(c, heads, kv_heads, size, f) for _ in range(layers))
        self.norm, self.size = torch.nn.RMSNorm(c, eps=1e-6), size

    def forward(self, tokens):
        angles = torch.outer(torch.arange(tokens.shape[1], device=tokens.device), 1e6 ** (-torch.arange(0, self.size, 2, device=tokens.device) / self.size))
        cosine, sine = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return self.loss(x, tokens)

    def loss(self, x, tokens):
        logits = F.linear(self.norm(x[:, :-1]), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())

    def compile_parts(self):
        """One block, which serves all of them, and the head: within a fraction of what compiling the whole takes."""
        for block in self.blocks:
            block.compile()
        self.loss = torch.compile(self.loss)
        return self


def training(name):
    """bf16 autocast over float32 weights, clipping, fused AdamW: 16 rows of 1024 tokens."""
    rows, length = 16, 16 if args.small else 1024
    shape = MODELS["tiny" if args.small else name]
    tokens = torch.randint(0, shape[-1], (rows, length), device=args.device)
    with torch.device(args.device):
        model = Model(*shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=args.device == "cuda")

    def step(run):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            loss = run(tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def measure(label, run):
        for _ in range(2):
            step(run)
        report(f"train_{name}", label, min(seconds(lambda: step(run)) for _ in range(5)), tokens=rows * length)

    if not args.compiled:
        attempt(f"train_{name}, eager", lambda: measure("PyTorch eager", model))
    if not args.eager:
        attempt(f"train_{name}, compiled", lambda: measure("torch.compile", model.compile_parts()))


def decode():
    """transformers' generate with sampling: 256 sequences, 64 prompt tokens; fewer new ones than ours, as it is slow."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    c, layers, heads, kv_heads, _, f, vocab = MODELS["tiny" if args.small else "0.5b"]
    config = Qwen2Config(hidden_size=c, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=f,
                         vocab_size=vocab, max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=0, eos_token_id=None, pad_token_id=0)
    with torch.device(args.device):
        model = Qwen2ForCausalLM(config).to(torch.bfloat16).eval()
    sequences, fresh = (4, 4) if args.small else (256, 96)
    prompts = torch.randint(3, vocab, (sequences, 64), device=args.device)

    def generate(new):
        with torch.no_grad():
            model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0)

    generate(4)
    report("decode", "transformers generate", min(seconds(lambda: generate(fresh)) for _ in range(2)), tokens=sequences * fresh)


PARTS = {"kernels": kernels, "train_0.5b": lambda: training("0.5b"), "train_1.5b": lambda: training("1.5b"), "decode": lambda: attempt("decode", decode)}


def main():
    global args
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--json")
    parser.add_argument("--device", default="cuda")
    for flag in ("small", "eager", "compiled"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name() if args.device == 'cuda' else 'the CPU'}", flush=True)
    PARTS[args.part]()


main()

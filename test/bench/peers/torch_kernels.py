"""The kernels' work in eager PyTorch, as trainers write it. Argument: "log_softmax + gather" | "log_softmax + gather + entropy" |
"loop over groups" (the reward kernels, padded [B, T] with a mask and a loop over groups: the published form).
"""

import sys

import torch
from reply import ready, serve


def logprobs(entropy, n=1024, vocab=151936):
    logits = torch.randn(n, vocab) * 3
    targets = torch.randint(0, vocab, (n, 1))

    @torch.no_grad()
    def measure():
        log_p = torch.log_softmax(logits, dim=-1)
        return log_p.gather(-1, targets), -(log_p.exp() * log_p).sum(-1) if entropy else None

    return measure


def implicit_rewards(phi, ref, mask, beta):
    rewards = beta * (phi - ref) * mask
    return rewards, rewards.cumsum(-1), rewards.sum(-1)


def leave_one_out(rewards, mask, n):
    """Rows of a prompt are contiguous; mean of each response, baseline of its group, one row at a time."""
    shaped = torch.zeros_like(rewards)
    for start in range(0, rewards.shape[0], n):
        means = torch.stack([rewards[i][mask[i]].mean() for i in range(start, start + n)])
        for i in range(start, start + n):
            shaped[i][mask[i]] = rewards[i][mask[i]] - (means.sum() - means[i - start]) / (n - 1)
    return shaped


def reverse_sums(x):
    return x.flip(-1).cumsum(-1).flip(-1)


def advantages(process, outcome, mask, n):
    at_end = torch.zeros_like(process)
    last = mask.sum(-1) - 1
    rows = torch.arange(process.shape[0])
    at_end[rows, last] = outcome
    end_mask = torch.zeros_like(mask)
    end_mask[rows, last] = True
    returns = reverse_sums(leave_one_out(process, mask, n)) + reverse_sums(leave_one_out(at_end, end_mask, n))
    values = returns[mask]
    return (returns - values.mean()) * torch.rsqrt(values.var() + 1e-8), returns


def policy_loss(log_p, old, advantage, mask, eps=0.2):
    ratio = torch.exp(torch.clamp(log_p - old, -20, 20))
    plain, clipped = -advantage * ratio, -advantage * torch.clamp(ratio, 1 - eps, 1 + eps)
    weight = mask.float()
    mean = lambda x: (x * weight).sum() / weight.sum()
    loss = mean(torch.maximum(plain, clipped))
    with torch.no_grad():
        metrics = mean((clipped > plain).float()), mean(old - log_p)
    loss.backward()
    return loss, metrics


def rewards(rows=1024, length=1024, n=4):
    phi, ref, old = (-torch.rand(rows, length) * 3 for _ in range(3))
    outcome = (torch.rand(rows) > 0.5).float()
    mask = torch.ones(rows, length, dtype=torch.bool)
    log_p = (old + 0.1 * torch.randn(rows, length)).requires_grad_()

    def measure():
        with torch.no_grad():
            r, _, _ = implicit_rewards(phi, ref, mask, 0.05)
            advantage, _ = advantages(r, outcome, mask, n)
        log_p.grad = None
        policy_loss(log_p, old, advantage, mask)

    return measure


torch.manual_seed(0)
measures = {"log_softmax + gather": lambda: logprobs(False), "log_softmax + gather + entropy": lambda: logprobs(True), "loop over groups": rewards}
measure = measures[sys.argv[1]]()
ready("torch")
serve(measure)

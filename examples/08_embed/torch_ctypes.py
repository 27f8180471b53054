"""08, in Python: primekit's kernels on PyTorch tensors through ctypes, with gradients, compared with PyTorch's own.

    bun run build:c
    python examples/08_embed/torch_ctypes.py [build/lib/libprimekit.so]

On CUDA tensors too, in PyTorch's current stream, where there is a GPU and the library was built with CUDA. Prints the largest differences and
ends with 1 when one is larger than the arithmetic explains.
"""

import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from pathlib import Path

import torch

TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}


class PpoSettings(Structure):
    _fields_ = [("clip_low", c_float), ("clip_high", c_float), ("aggregate", c_int32), ("dual_clip", c_float)]
    _fields_ += [("entropy_coef", c_float), ("kl_coef", c_float), ("normalizer", c_double)]


class PpoResult(Structure):
    _fields_ = [(name, c_double) for name in ("loss", "clip_fraction", "approx_kl", "ratio_max", "kl", "entropy")]


def load(path):
    """The library with the types of the functions that are used here."""
    library = ctypes.CDLL(path)
    library.pk_last_error.restype = c_char_p
    library.pk_last_error.argtypes = [c_void_p]
    library.pk_context_create.argtypes = [c_char_p, c_void_p, POINTER(c_void_p)]
    library.pk_context_destroy.argtypes = [c_void_p]
    library.pk_default_ppo_settings.restype = PpoSettings
    sizes = [c_int64, c_int64, c_int64, c_float]
    library.pk_linear_logprobs_forward.argtypes = [c_void_p] * 7 + [c_int32] + sizes
    library.pk_linear_logprobs_backward.argtypes = [c_void_p] * 10 + [c_int32, c_int32] + sizes
    library.pk_ppo_clip_loss.argtypes = [c_void_p, POINTER(PpoResult)] + [c_void_p] * 8 + [c_int32, c_int64, c_int64, POINTER(PpoSettings)]
    if library.pk_abi_version() != 2:
        raise RuntimeError("libprimekit.so is of another version than this program")
    return library


class Primekit:
    """The kernels on the tensors of one device. Tensors must be contiguous."""

    def __init__(self, library, device):
        self.library, self.context = library, c_void_p()
        stream = torch.cuda.current_stream().cuda_stream if device == "cuda" else None
        if library.pk_context_create(device.encode(), stream, byref(self.context)):
            raise RuntimeError(library.pk_last_error(None).decode())

    def call(self, name, *arguments):
        pointers = (a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments)
        if getattr(self.library, name)(self.context, *pointers):
            raise RuntimeError(self.library.pk_last_error(self.context).decode())

    def linear_logprobs(self, hidden, weight, targets, temperature=1.0):
        """Log-probs and entropies [N] of targets under softmax(hidden @ weight.T / temperature), with gradients; logits are never held."""
        return LinearLogprobs.apply(self, hidden, weight, targets, temperature)

    def ppo_clip_loss(self, logprobs, old_logprobs, advantages, offsets):
        """PPO's clipped loss (token mean) of packed rows, and its gradient by logprobs."""
        result, d_logprobs = PpoResult(), torch.empty_like(advantages)
        arguments = [logprobs, old_logprobs, advantages, None, None, offsets, TYPES[logprobs.dtype], len(logprobs), len(offsets) - 1]
        self.call("pk_ppo_clip_loss", byref(result), d_logprobs, None, *arguments, byref(self.library.pk_default_ppo_settings()))
        return result.loss, d_logprobs

    def close(self):
        self.library.pk_context_destroy(self.context)


class LinearLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels, hidden, weight, targets, temperature):
        logprobs, entropy, log_sum_exp = (torch.empty(len(targets), device=hidden.device) for _ in range(3))
        ctx.sizes = (len(targets), *weight.shape, temperature)
        ctx.kernels = kernels
        kernels.call("pk_linear_logprobs_forward", logprobs, entropy, log_sum_exp, hidden, weight, targets, TYPES[hidden.dtype], *ctx.sizes)
        ctx.save_for_backward(hidden, weight, targets, log_sum_exp, entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx, d_logprobs, d_entropy):
        hidden, weight, *rest = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros(weight.shape, device=weight.device)  # it accumulates, in float32
        types = TYPES[hidden.dtype], TYPES[hidden.dtype]
        gradients = d_logprobs.contiguous(), d_entropy.contiguous()
        ctx.kernels.call("pk_linear_logprobs_backward", d_hidden, d_weight, hidden, weight, *rest, *gradients, *types, *ctx.sizes)
        return None, d_hidden, d_weight.to(weight.dtype), None, None


def by_torch(hidden, weight, targets, temperature):
    all_logprobs = torch.log_softmax(hidden.double() @ weight.double().T / temperature, dim=-1)
    return all_logprobs.gather(1, targets.long()[:, None])[:, 0], -(all_logprobs.exp() * all_logprobs).sum(-1)


def difference(ours, theirs):
    """Largest difference, over the largest value."""
    return ((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max()).item()


def compare_linear(kernels, device, dtype):
    n, vocab, channels, temperature = 300, 5003, 192, 0.8
    hidden = torch.randn(n, channels, device=device).to(dtype).requires_grad_()
    weight = (torch.randn(vocab, channels, device=device) * 0.1).to(dtype).requires_grad_()
    targets = torch.randint(vocab, (n,), device=device, dtype=torch.int32)
    mix = torch.randn(2, n, device=device)
    results = []
    for function in (kernels.linear_logprobs, by_torch):
        logprobs, entropy = function(hidden, weight, targets, temperature)
        gradients = torch.autograd.grad((mix[0] * logprobs).sum() + (mix[1] * entropy).sum(), (hidden, weight))
        results.append((logprobs.detach(), entropy.detach(), *gradients))
    return {name: difference(*pair) for name, *pair in zip(("log-probs", "entropies", "d_hidden", "d_weight"), *results)}


def compare_ppo(kernels, device):
    offsets = torch.tensor([0, 100, 100, 1000], device=device, dtype=torch.int32)
    old = -torch.rand(1000, device=device) * 3
    logprobs = (old + 0.3 * torch.randn(1000, device=device)).requires_grad_()
    advantages = torch.randn(1000, device=device)
    ratio = (logprobs - old).exp()
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()
    (gradient,) = torch.autograd.grad(loss, logprobs)
    ours, d_logprobs = kernels.ppo_clip_loss(logprobs.detach(), old, advantages, offsets)
    return {"PPO loss": abs(ours - loss.item()) / abs(loss.item()), "PPO gradient": difference(d_logprobs, gradient)}


def main():
    torch.manual_seed(0)
    beside = Path(__file__).resolve().parents[2] / "build" / "lib" / "libprimekit.so"
    library = load(sys.argv[1] if len(sys.argv) > 1 else str(beside))
    good = True
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        kernels = Primekit(library, device)
        # bfloat16 carries 8 bits; d_hidden and d_weight are rounded to it as PyTorch's are
        for dtype, limit in ((torch.float32, 1e-5), (torch.bfloat16, 1.5e-2)):
            differences = {**compare_linear(kernels, device, dtype), **(compare_ppo(kernels, device) if dtype == torch.float32 else {})}
            for name, value in differences.items():
                good &= value <= limit
                print(f"{device:5} {str(dtype)[6:]:9} {name:13} differ by {value:.1e}{'' if value <= limit else f', more than {limit:g}'}")
        kernels.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

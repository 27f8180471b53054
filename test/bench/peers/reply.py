"""The peers' side of the protocol: say what is here, then run one measurement per line read, until the input ends."""

import importlib.metadata
import json
import platform
import sys
import time

import torch


def say(message):
    print("REPLY " + json.dumps(message), flush=True)


def ready(*packages):
    say({"versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}})


def wait_for_run():
    """False when the input has ended."""
    return sys.stdin.readline().strip() == "run"


def serve(measure):
    while wait_for_run():
        begin = time.perf_counter()
        measure()
        say({"seconds": time.perf_counter() - begin})


MODELS = {
    # hidden, layers, query heads, key/value heads, feed-forward, vocabulary
    "tiny": (256, 6, 4, 2, 768, 64),
    "small": (512, 8, 8, 2, 1536, 4096),
}


def make_config(name):
    from transformers import Qwen2Config

    hidden, layers, heads, kv_heads, feed_forward, vocab = MODELS[name]
    return Qwen2Config(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=feed_forward,
        vocab_size=vocab, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, pad_token_id=2)


def make_model(name):
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(0)
    return Qwen2ForCausalLM(make_config(name)).float()

"""transformers generate: 256 sequences, 32 prompt tokens, 96 sampled ones. Arguments: tiny | small, float32 | bfloat16."""

import sys

import torch
from reply import make_model, ready, serve

name, dtype = sys.argv[1:3]
model = make_model(name).to(torch.bfloat16 if dtype == "bfloat16" else torch.float32).eval()
prompts = torch.randint(3, model.config.vocab_size, (256, 32))


def generate():
    with torch.no_grad():
        model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=96, min_new_tokens=96, do_sample=True, top_k=0)


ready("torch", "transformers")
serve(generate)

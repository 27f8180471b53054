"""transformers: forward, backward, clipping and a fused AdamW step of 64 x 128 tokens. Arguments: tiny | small, float32 | bfloat16."""

import sys

import torch
from reply import make_model, ready, serve

name, dtype = sys.argv[1:3]
model = make_model(name)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
tokens = torch.randint(3, model.config.vocab_size, (64, 128))


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


ready("torch", "transformers")
serve(step)

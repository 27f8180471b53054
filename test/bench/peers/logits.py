"""transformers' logits of a model directory: logits.py DIR DTYPE OUT ROWS [ATTENTION]. Writes float32 [N, V] to OUT, one forward pass per row.

ATTENTION is one of transformers' implementations: eager (unless given), sdpa.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

folder, dtype, out, rows = sys.argv[1:5]
attention = sys.argv[5] if len(sys.argv) > 5 else "eager"
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation=attention).eval()
with torch.no_grad(), open(out, "wb") as file:
    for row in json.loads(rows):
        model(input_ids=torch.tensor([row])).logits[0].float().numpy().tofile(file)

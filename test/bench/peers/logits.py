"""transformers' logits of a model directory: logits.py DIR DTYPE OUT ROWS. Writes float32 [N, V] to OUT, one forward pass per row."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

folder, dtype, out, rows = sys.argv[1:5]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation="eager").eval()
with torch.no_grad(), open(out, "wb") as file:
    for row in json.loads(rows):
        model(input_ids=torch.tensor([row])).logits[0].float().numpy().tofile(file)

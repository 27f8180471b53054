"""Whether transformers reads two directories as the same model: same_model.py A B. Prints "identical", or what differs."""

import sys

import torch
from transformers import AutoModelForCausalLM

first, second = (AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval() for folder in sys.argv[1:3])
ids = torch.arange(2, 50)[None] % first.config.vocab_size
with torch.no_grad():
    same_logits = torch.equal(first(input_ids=ids).logits, second(input_ids=ids).logits)
a, b = first.state_dict(), second.state_dict()
different = [name for name in a if name not in b or a[name].dtype != b[name].dtype or not torch.equal(a[name], b[name])]
print("identical" if same_logits and not different and a.keys() == b.keys() else f"different: logits same {same_logits}, weights {different[:3]}")

"""TRL's RLOOTrainer (outcome reward only): one step of 64 prompts x 4 answers x 96 tokens per line read. Argument: tiny | small."""

import os
import random
import sys
import tempfile
import time

from datasets import Dataset
from reply import make_model, ready, say, wait_for_run
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import RLOOConfig, RLOOTrainer

PROMPTS, SAMPLES, PROMPT_TOKENS, NEW_TOKENS = 64, 4, 32, 96

model = make_model(sys.argv[1])
characters = "0123456789+-*=,#() abcdefghijklmnopqrstuvwxyz."
vocabulary = {"<bos>": 0, "<eos>": 1, "<pad>": 2, "<unk>": 3} | {c: i + 4 for i, c in enumerate(characters)}
raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
random.seed(0)
prompts = [{"prompt": "".join(random.choice("0123456789+") for _ in range(PROMPT_TOKENS))} for _ in range(4096)]


def reward(completions, **_):
    return [float(text.count("1")) / 10 for text in completions]


class OneStepPerLine(TrainerCallback):
    """A step is all that happens between on_step_begin and on_step_end: generation, rewards, forward, backward, update."""

    def on_step_begin(self, args, state, control, **_):
        if not wait_for_run():
            os._exit(0)
        self.begin = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        say({"seconds": time.perf_counter() - self.begin})


settings = RLOOConfig(
    output_dir=tempfile.mkdtemp(), per_device_train_batch_size=PROMPTS, gradient_accumulation_steps=SAMPLES, num_generations=SAMPLES,
    max_completion_length=NEW_TOKENS, max_steps=1000, logging_steps=1000, save_strategy="no", report_to=[], use_cpu=True, bf16="bf16" in sys.argv,
    temperature=1.0, beta=0.0, learning_rate=1e-5, generation_kwargs={"min_new_tokens": NEW_TOKENS}, dataloader_pin_memory=False, disable_tqdm=True)
trainer = RLOOTrainer(
    model=model, reward_funcs=reward, args=settings, train_dataset=Dataset.from_list(prompts), processing_class=tokenizer, callbacks=[OneStepPerLine()])
ready("torch", "transformers", "trl")
trainer.train()

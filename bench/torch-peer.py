"""Greedy generation by transformers over torch, for bench/torch-contestant.ts: one JSON request a line, one answer a line.

The first argument is a folder with config.json and model.safetensors, the second the number of threads. A request holds
`attention` (eager or sdpa), `prompt` and `count`; an answer `tokens`, `first` (milliseconds to the first token) and
`perToken` (milliseconds a token after it). Logits are computed for the last position only, as in the engine.
"""

import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


@torch.inference_mode()
def generate(model, prompt, count):
    ids = torch.tensor([prompt])
    past = None
    tokens, stamps = [], [time.perf_counter()]
    while len(tokens) < count:
        out = model(ids, past_key_values=past, use_cache=True, logits_to_keep=1)
        past = out.past_key_values
        ids = out.logits[:, -1].argmax(-1, keepdim=True)
        tokens.append(int(ids))
        stamps.append(time.perf_counter())
    after = (stamps[-1] - stamps[1]) / max(1, count - 1)
    return {"tokens": tokens, "first": 1000 * (stamps[1] - stamps[0]), "perToken": 1000 * after}


def main():
    folder, threads = sys.argv[1], int(sys.argv[2])
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        model.set_attn_implementation(request["attention"])
        print(json.dumps(generate(model, request["prompt"], request["count"])), flush=True)


main()

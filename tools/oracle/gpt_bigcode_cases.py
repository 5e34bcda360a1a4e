"""GPT-BigCode: MQA (SantaCoder, StarCoder), and MHA with rows per head. Its softmax is computed in float32."""

import math

import torch
from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, per_head_rows, pooled_rows, run


def gpt_bigcode():
    return [bigcode_case("mqa", heads=5, dim=6, inner=48, shared=True, tied=True, seed=41),
            bigcode_case("mha", heads=3, dim=8, inner=None, shared=False, tied=False, seed=42)]


def bigcode_case(name, *, heads, dim, inner, shared, tied, seed):
    g = torch.Generator().manual_seed(seed)
    hidden, width = heads * dim, inner or 4 * heads * dim
    kv = 1 if shared else heads
    config = GPTBigCodeConfig(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=hidden, n_layer=2, n_head=heads,
                              n_inner=inner, multi_query=shared, tie_word_embeddings=tied,
                              bos_token_id=VOCABULARY - 1, eos_token_id=VOCABULARY - 1)
    w = {"wte.weight": normal(g, VOCABULARY, hidden, std=0.3), "wpe.weight": normal(g, POSITIONS, hidden, std=0.2)}
    for layer in range(config.n_layer):
        h = f"h.{layer}"
        for norm in ("ln_1", "ln_2"):
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.1, mean=1)
            w[f"{h}.{norm}.bias"] = normal(g, hidden, std=0.1)
        for part, rows, columns, std in (("attn.c_attn", hidden + 2 * kv * dim, hidden, 1.3), ("attn.c_proj", hidden, hidden, 1),
                                         ("mlp.c_fc", width, hidden, 1), ("mlp.c_proj", hidden, width, 1)):
            fused = kv == heads and rows == 3 * hidden
            w[f"{h}.{part}.weight"] = (per_head_rows(g, heads, dim, hidden) if fused else
                                       normal(g, rows, columns, std=std / math.sqrt(columns)))
            w[f"{h}.{part}.bias"] = normal(g, rows, std=0.2)
    w["ln_f.weight"] = normal(g, hidden, std=0.1, mean=1)
    w["ln_f.bias"] = normal(g, hidden, std=0.1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(GPTBigCodeForCausalLM, config, w, tokens, 1, "transformer.")
    runs = [(kv, result)]
    if not shared:
        config_mqa = GPTBigCodeConfig(**config.to_dict() | {"multi_query": True})
        runs.append((1, run(GPTBigCodeForCausalLM, config_mqa, pooled_rows(w, heads, dim, ".c_attn."), tokens, 1, "transformer.")[1]))
    plain = hub_config(config, left_out=(*config.attribute_map, *(["tie_word_embeddings"] if tied else [])))
    plain["multi_query"] = shared
    stored = {key if key.startswith("lm_head") else f"transformer.{key}": value for key, value in w.items()}
    return {"name": name, "config": plain, "weights": stored, "tokens": tokens, "runs": runs, "model": model}

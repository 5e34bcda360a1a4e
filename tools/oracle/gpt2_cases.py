"""GPT-2. It knows MHA only: its GQA and MQA cases run as MHA whose K and V columns are copies of the pooled heads (the mean
of each group, Ainslie et al. 2023); kvscope has to pool the MHA checkpoint and run the narrow projection."""

import math

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, run


def gpt2():
    return [gpt2_case("heads6", heads=6, dim=8, inner=64, kv=[6, 2, 1], seed=11, prefix="", masks=True),
            gpt2_case("heads5", heads=5, dim=4, inner=None, kv=[5, 1], seed=12, prefix="transformer.", masks=False)]


def gpt2_case(name, *, heads, dim, inner, kv, seed, prefix, masks):
    g = torch.Generator().manual_seed(seed)
    hidden, width = heads * dim, inner or 4 * heads * dim
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=hidden, n_layer=2, n_head=heads,
                        n_inner=inner, bos_token_id=VOCABULARY - 1, eos_token_id=VOCABULARY - 1)
    w = {"wte.weight": normal(g, VOCABULARY, hidden, std=0.3), "wpe.weight": normal(g, POSITIONS, hidden, std=0.2)}
    for layer in range(config.n_layer):
        h = f"h.{layer}"
        for norm in ("ln_1", "ln_2"):
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.1, mean=1)
            w[f"{h}.{norm}.bias"] = normal(g, hidden, std=0.1)
        # Keys and values of different heads are alike in part, so that their mean still tells positions apart.
        queries = normal(g, hidden, heads, dim, std=1.25 / math.sqrt(hidden))
        shared = normal(g, hidden, 2, 1, dim, std=1.5 / math.sqrt(hidden))
        own = normal(g, hidden, 2, heads, dim, std=0.9 / math.sqrt(hidden))
        w[f"{h}.attn.c_attn.weight"] = torch.cat([queries.reshape(hidden, -1), (shared + own).reshape(hidden, -1)], 1)
        w[f"{h}.attn.c_attn.bias"] = normal(g, 3 * hidden, std=0.2)
        for part, rows, columns in (("attn.c_proj", hidden, hidden), ("mlp.c_fc", hidden, width), ("mlp.c_proj", width, hidden)):
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=1 / math.sqrt(rows))
            w[f"{h}.{part}.bias"] = normal(g, columns, std=0.1)
        if masks:
            w[f"{h}.attn.bias"] = torch.tril(torch.ones(POSITIONS, POSITIONS)).view(1, 1, POSITIONS, POSITIONS)
    w["ln_f.weight"] = normal(g, hidden, std=0.1, mean=1)
    w["ln_f.bias"] = normal(g, hidden, std=0.1)
    tokens = draw_tokens(g)
    ran = [(kv_heads, *run(GPT2LMHeadModel, config, pooled(w, heads, dim, kv_heads), tokens, heads // kv_heads, "transformer."))
           for kv_heads in kv]
    plain = hub_config(config, left_out=config.attribute_map)
    return {"name": name, "config": plain, "weights": {prefix + key: value for key, value in w.items()}, "tokens": tokens,
            "runs": [(kv_heads, result) for kv_heads, _, result in ran], "model": ran[0][1]}


def pooled(weights, heads, dim, kv_heads):
    """The same weights with every K and V head replaced by the mean of its group."""
    out = dict(weights)
    for key, value in weights.items():
        if ".attn.c_attn." not in key:
            continue
        rows = value.double().reshape(-1, 3, kv_heads, heads // kv_heads, dim)
        mean = rows[:, 1:].mean(dim=3, keepdim=True).float().double().expand_as(rows[:, 1:])
        out[key] = torch.cat([rows[:, :1], mean], dim=1).reshape(value.shape).float()
    return out

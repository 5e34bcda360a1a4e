"""GPT-Neo: global and local layers in turn, scores that are not scaled; masks as the hub's files hold them."""

import math

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from checkpoints import VOCABULARY, draw_tokens, hub_config, normal, run

TOKENS = 19
POSITIONS = 32


def gpt_neo():
    return [gpt_neo_case("alternating", heads=5, dim=4, types=[[["global", "local"], 2]], window=6, inner=40, pooled=False, seed=141),
            gpt_neo_case("local_first", heads=3, dim=8, types=[[["local"], 1], [["global"], 1]], window=4, inner=None, pooled=True, seed=142)]


def gpt_neo_case(name, *, heads, dim, types, window, inner, pooled, seed):
    g = torch.Generator().manual_seed(seed)
    hidden = heads * dim
    config = GPTNeoConfig(vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, hidden_size=hidden, num_heads=heads,
                          num_layers=sum(len(one) * times for one, times in types), attention_types=types,
                          intermediate_size=inner, window_size=window)
    width = inner or 4 * hidden
    w = {"wte.weight": normal(g, VOCABULARY, hidden, std=0.3), "wpe.weight": normal(g, POSITIONS, hidden, std=0.2)}
    # Nothing divides the scores: queries and keys are drawn the smaller for it.
    spread = 1.5 / dim ** 0.25

    def affine(path, rows, columns, std=1.0, bias=True):
        w[f"{path}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
        if bias:
            w[f"{path}.bias"] = normal(g, rows, std=0.2)

    def norm(path):
        w[f"{path}.weight"], w[f"{path}.bias"] = normal(g, hidden, std=0.1, mean=1), normal(g, hidden, std=0.1)

    for layer, kind in enumerate(config.attention_layers):
        h = f"h.{layer}"
        norm(f"{h}.ln_1")
        for part, std in (("q_proj", spread), ("k_proj", spread), ("v_proj", 1)):
            affine(f"{h}.attn.attention.{part}", hidden, hidden, std, bias=False)
            if pooled and part != "q_proj":
                # Heads alike in part, so that their mean still tells positions apart.
                w[f"{h}.attn.attention.{part}.weight"] += normal(g, dim, hidden, std=std / math.sqrt(hidden)).repeat(heads, 1)
        affine(f"{h}.attn.attention.out_proj", hidden, hidden)
        norm(f"{h}.ln_2")
        affine(f"{h}.mlp.c_fc", width, hidden)
        affine(f"{h}.mlp.c_proj", hidden, width)
    norm("ln_f")
    tokens = draw_tokens(g, TOKENS)
    model, result = run(GPTNeoForCausalLM, config, w, tokens, 1, "transformer.")
    runs = [(heads, result)]
    if pooled:
        runs.append((1, run(GPTNeoForCausalLM, config, one_kv_head(w, heads, dim), tokens, heads, "transformer.")[1]))
    # The hub's files hold the masks, which are no weights.
    for layer in range(config.num_layers):
        seen = torch.tril(torch.ones(POSITIONS, POSITIONS))
        w[f"h.{layer}.attn.attention.bias"] = seen[None, None]
        w[f"h.{layer}.attn.attention.masked_bias"] = torch.tensor(-1e9)
    return {"name": name, "config": hub_config(config), "weights": w, "tokens": tokens, "runs": runs, "model": model}


def one_kv_head(weights, heads, dim):
    """The weights with the mean of all K and V heads in the place of each, which is what one head for all computes."""
    def pooled(value):
        return value.double().view(heads, dim, -1).mean(0).repeat(heads, 1).float()

    return {key: pooled(value) if "k_proj" in key or "v_proj" in key else value for key, value in weights.items()}

"""Mixtral: GQA without a window, as it was released, and MQA with one shorter than the prompt. Its files hold each expert's
three matrices apart, and transformers joins them when it loads a file: so does `joined`."""

import math

import torch
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from checkpoints import VOCABULARY, compute, draw_tokens, hub_config, load, normal
from float64 import float64

HIDDEN = 30
POSITIONS = 24
# Float32 may choose other experts than float64 where two are as good: their logits have to differ by more than this.
CLEAR = 1e-3


def mixtral():
    return [mixtral_case("gqa", heads=6, kv=2, dim=4, inner=10, experts=5, chosen=2, window=None, tied=False, count=12, seed=71),
            mixtral_case("window", heads=5, kv=1, dim=6, inner=7, experts=7, chosen=3, window=5, tied=True, count=17, seed=71)]


def mixtral_case(name, *, heads, kv, dim, inner, experts, chosen, window, tied, count, seed):
    g = torch.Generator().manual_seed(seed)
    config = MixtralConfig(vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=inner, num_hidden_layers=2,
                           num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, sliding_window=window,
                           num_local_experts=experts, num_experts_per_tok=chosen, tie_word_embeddings=tied,
                           max_position_embeddings=POSITIONS, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, HIDDEN, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[f"{h}.{norm}.weight"] = normal(g, HIDDEN, std=0.1, mean=1)
        parts = [("self_attn.q_proj", heads * dim, HIDDEN, 1.2), ("self_attn.k_proj", kv * dim, HIDDEN, 1.2),
                 ("self_attn.v_proj", kv * dim, HIDDEN, 1), ("self_attn.o_proj", HIDDEN, heads * dim, 1),
                 ("block_sparse_moe.gate", experts, HIDDEN, 1.5)]
        for expert in range(experts):
            path = f"block_sparse_moe.experts.{expert}"
            parts += [(f"{path}.w1", inner, HIDDEN, 1.5), (f"{path}.w2", HIDDEN, inner, 1.5), (f"{path}.w3", inner, HIDDEN, 1.5)]
        for part, rows, columns, std in parts:
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
    w["model.norm.weight"] = normal(g, HIDDEN, std=0.1, mean=1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, HIDDEN, std=0.3)
    tokens = draw_tokens(g, count)
    config._experts_implementation = "eager"
    model = load(MixtralForCausalLM, config, joined(w, config), "")
    logits = watch_routers(model)
    result = compute(model, tokens)
    require_clear(logits, chosen)
    plain = hub_config(config) | {"num_local_experts": experts, "num_experts_per_tok": chosen, "sliding_window": window,
                                  "head_dim": dim}
    if window is None:
        # As the hub's files of 2023 spell it.
        plain["rope_theta"] = plain.pop("rope_parameters")["rope_theta"]
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}


def joined(weights, config):
    """What transformers makes of a file's experts: gate and up under one another, all experts in one tensor."""
    out = {key: value for key, value in weights.items() if ".block_sparse_moe." not in key}
    for layer in range(config.num_hidden_layers):
        path = f"model.layers.{layer}.block_sparse_moe"
        part = lambda name: [weights[f"{path}.experts.{expert}.{name}.weight"] for expert in range(config.num_local_experts)]
        to = f"model.layers.{layer}.mlp"
        out[f"{to}.gate.weight"] = weights[f"{path}.gate.weight"]
        out[f"{to}.experts.gate_up_proj"] = torch.stack([torch.cat(both) for both in zip(part("w1"), part("w3"))])
        out[f"{to}.experts.down_proj"] = torch.stack(part("w2"))
    return out


def watch_routers(model):
    seen = []
    for module in model.modules():
        if isinstance(module, MixtralTopKRouter):
            module.register_forward_hook(lambda module, args, outputs: seen.append(outputs[0]))
    return seen


def require_clear(logits, chosen):
    with float64():
        for each in logits:
            ordered = each.sort(dim=-1, descending=True).values
            gap = float((ordered[:, chosen - 1] - ordered[:, chosen]).min())
            assert gap > CLEAR, f"experts differ by {gap:.1e} only"
    best = {int(row) for each in logits for row in each.argmax(-1)}
    assert len(best) == logits[0].shape[-1], "an expert is never the best"

"""Weights of Llama's form: separate projections, with or without biases, and a gated MLP or a plain one."""

import math

import torch

from checkpoints import VOCABULARY, draw_tokens, hub_config, normal, run


def llama_like_case(name, architecture, config, *, seed, tokens, qkv_bias=False, other_bias=False, norm_bias=False,
                    gated=True, scores=1.2):
    """A case whose weights are drawn for `config`; `scores` spreads queries and keys."""
    g = torch.Generator().manual_seed(seed)
    hidden, inner = config.hidden_size, config.intermediate_size
    dim = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    heads, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}

    def norm(path):
        w[f"{path}.weight"] = normal(g, hidden, std=0.1, mean=1)
        if norm_bias:
            w[f"{path}.bias"] = normal(g, hidden, std=0.1)

    def linear(path, rows, columns, bias, std=1.0):
        w[f"{path}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
        if bias:
            w[f"{path}.bias"] = normal(g, rows, std=0.2)

    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        norm(f"{h}.input_layernorm")
        linear(f"{h}.self_attn.q_proj", heads, hidden, qkv_bias, scores)
        linear(f"{h}.self_attn.k_proj", kv, hidden, qkv_bias, scores)
        linear(f"{h}.self_attn.v_proj", kv, hidden, qkv_bias)
        linear(f"{h}.self_attn.o_proj", hidden, heads, other_bias)
        norm(f"{h}.post_attention_layernorm")
        up, down = (("gate_proj", "up_proj"), "down_proj") if gated else (("c_fc",), "c_proj")
        for part in up:
            linear(f"{h}.mlp.{part}", inner, hidden, other_bias)
        linear(f"{h}.mlp.{down}", hidden, inner, other_bias)
    norm("model.norm")
    if not config.tie_word_embeddings:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    drawn = draw_tokens(g, tokens)
    model, result = run(architecture, config, w, drawn, 1, "")
    return {"name": name, "config": hub_config(config), "weights": w, "tokens": drawn,
            "runs": [(config.num_key_value_heads, result)], "model": model}


TWO_NORMS = ("input_layernorm", "post_attention_layernorm")
FOUR_NORMS = (*TWO_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")


def draw_weights(g, config, norms=TWO_NORMS, gain=1.0, head_gain=None, spread=1.2):
    """Weights of Qwen3's and Gemma's layers: gains about `gain`, those of normed heads about `head_gain`, and queries and keys
    spread by `spread`."""
    hidden, inner, dim = config.hidden_size, config.intermediate_size, config.head_dim
    heads, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for norm in norms:
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.15, mean=gain)
        for part, rows, columns, std in (("q_proj", heads, hidden, spread), ("k_proj", kv, hidden, spread),
                                         ("v_proj", kv, hidden, 1), ("o_proj", hidden, heads, 1)):
            w[f"{h}.self_attn.{part}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
            if config.attention_bias:
                w[f"{h}.self_attn.{part}.bias"] = normal(g, rows, std=0.2)
        if head_gain is not None:
            for norm in ("q_norm", "k_norm"):
                w[f"{h}.self_attn.{norm}.weight"] = normal(g, dim, std=0.2, mean=head_gain)
        for part, rows, columns in (("gate_proj", inner, hidden), ("up_proj", inner, hidden), ("down_proj", hidden, inner)):
            w[f"{h}.mlp.{part}.weight"] = normal(g, rows, columns, std=1 / math.sqrt(columns))
    w["model.norm.weight"] = normal(g, hidden, std=0.15, mean=gain)
    if not config.tie_word_embeddings:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    return w

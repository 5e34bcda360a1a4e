"""What the two DeepSeek generations' cases share: drawing MLA and experts, and handing them to transformers."""

import math

import torch

from checkpoints import VOCABULARY, draw_tokens, hub_config, normal, run

SPELLED = ("first_k_dense_replace", "kv_lora_rank", "q_lora_rank", "moe_intermediate_size", "n_group", "n_routed_experts",
           "n_shared_experts", "norm_topk_prob", "num_experts_per_tok", "qk_nope_head_dim", "qk_rope_head_dim",
           "routed_scaling_factor", "topk_group", "topk_method", "v_head_dim")


def case(name, architecture, config, *, seed, hub, biased_choice, scale=1.0):
    """A checkpoint in the hub's names, run as transformers packs it."""
    g = torch.Generator().manual_seed(seed)
    w = draw(g, config, biased_choice, scale)
    tokens = draw_tokens(g)
    config._experts_implementation = "eager"
    model, result = run(architecture, config, packed(w, config), tokens, 1, "")
    plain = hub_config(config) | {key: getattr(config, key) for key in SPELLED if hasattr(config, key)} | hub
    return {"name": name, "config": {key: value for key, value in plain.items() if value is not ...}, "weights": w,
            "tokens": tokens, "runs": [(None, result)], "model": model, "cut": cut(model)}


def draw(g, config, biased_choice, scale):
    hidden, heads = config.hidden_size, config.num_attention_heads
    nope, rope, value = config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim
    rank, query_rank = config.kv_lora_rank, config.q_lora_rank
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}

    def matrix(name, rows, columns, std=1.0):
        w[f"{name}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))

    def norm(name, size):
        w[f"{name}.weight"] = normal(g, size, std=0.1, mean=1)

    def mlp(name, inner):
        for part, rows, columns in (("gate_proj", inner, hidden), ("up_proj", inner, hidden), ("down_proj", hidden, inner)):
            matrix(f"{name}.{part}", rows, columns)

    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        a = f"{h}.self_attn"
        norm(f"{h}.input_layernorm", hidden)
        norm(f"{h}.post_attention_layernorm", hidden)
        if query_rank is None:
            matrix(f"{a}.q_proj", heads * (nope + rope), hidden, scale)
        else:
            matrix(f"{a}.q_a_proj", query_rank, hidden)
            norm(f"{a}.q_a_layernorm", query_rank)
            matrix(f"{a}.q_b_proj", heads * (nope + rope), query_rank, scale)
        # Small latents, which the epsilon of their norm shows in.
        matrix(f"{a}.kv_a_proj_with_mqa", rank + rope, hidden)
        w[f"{a}.kv_a_proj_with_mqa.weight"][:rank] *= 0.05
        norm(f"{a}.kv_a_layernorm", rank)
        matrix(f"{a}.kv_b_proj", heads * (nope + value), rank)
        matrix(f"{a}.o_proj", hidden, heads * value)
        if config.attention_bias:
            for part, size in (("q_a_proj", query_rank), ("kv_a_proj_with_mqa", rank + rope), ("o_proj", hidden)):
                if size is not None:
                    w[f"{a}.{part}.bias"] = normal(g, size, std=0.02 if part.startswith("kv") else 0.2)
        if layer < config.first_k_dense_replace:
            mlp(f"{h}.mlp", config.intermediate_size)
            continue
        matrix(f"{h}.mlp.gate", config.n_routed_experts, hidden, 1.5)
        if biased_choice:
            w[f"{h}.mlp.gate.e_score_correction_bias"] = normal(g, config.n_routed_experts, std=0.3)
        for expert in range(config.n_routed_experts):
            mlp(f"{h}.mlp.experts.{expert}", config.moe_intermediate_size)
        mlp(f"{h}.mlp.shared_experts", config.moe_intermediate_size * config.n_shared_experts)
    norm("model.norm", hidden)
    w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    return w


def packed(weights, config):
    """As modules of transformers 5 hold them: all experts of a layer in one tensor, gate above up."""
    out = {key: value for key, value in weights.items() if ".mlp.experts." not in key}
    for layer in range(config.first_k_dense_replace, config.num_hidden_layers):
        path = f"model.layers.{layer}.mlp.experts"
        part = lambda name: [weights[f"{path}.{expert}.{name}.weight"] for expert in range(config.n_routed_experts)]
        both = [torch.cat(pair) for pair in zip(part("gate_proj"), part("up_proj"))]
        out |= {f"{path}.gate_up_proj": torch.stack(both), f"{path}.down_proj": torch.stack(part("down_proj"))}
    return out


def halves(result, config):
    """Rotary keys as the engine keeps them, the first of all pairs before the second: DeepseekV2 leaves pairs beside each
    other, and DeepseekV3 does not. No score minds."""
    rank, rope = config.kv_lora_rank, config.qk_rope_head_dim
    order = [*range(rank), *range(rank, rank + rope, 2), *range(rank + 1, rank + rope, 2)]
    reordered = {key: halves(value, config) for key, value in result.items() if isinstance(value, dict)}
    return result | reordered | {"latent": result["latent"][..., order]}


def cut(model):
    """Each head's matrices of the last layer, cut by sending unit vectors through transformers' own modules: W_Q (W_UQ where
    queries are compressed), W_DKV with the rotary key's columns after it, W_UK, W_UV, W_O, and the absorbed forms W_Q W_UKᵀ (of
    the part that is not rotary) and W_UV W_O. Of those that read hidden states, the first 16 dimensions."""
    attention = model.base_model.layers[-1].self_attn
    heads, nope, value = attention.num_heads, attention.qk_nope_head_dim, attention.v_head_dim
    rank, rope = attention.kv_lora_rank, attention.qk_rope_head_dim

    def through(module, size):
        units = torch.eye(size).double()
        return module(units) - module(torch.zeros_like(units))

    with torch.no_grad():
        query = attention.q_proj if attention.q_lora_rank is None else attention.q_b_proj
        queries = through(query, query.in_features).unflatten(1, (heads, nope + rope)).transpose(0, 1)
        keys, values = attention.expand_kv(torch.eye(rank).double()[None, None], torch.zeros(1, 1, rank, rope).double())
        keys, values = keys[0, ..., :nope], values[0]
        outputs = through(attention.o_proj, heads * value).unflatten(0, (heads, value))
        parts = {"Q": queries, "DKV": through(attention.kv_a_proj_with_mqa, attention.hidden_size)[None], "UK": keys, "UV": values,
                 "O": outputs, "QUK": queries[..., :nope] @ keys.transpose(1, 2), "UVO": values @ outputs}
    index = model.config.num_hidden_layers - 1
    return {f"layer.{index}.{part}.{head}": matrix if part in ("O", "UVO") else matrix[:16]
            for part, matrices in parts.items() for head, matrix in enumerate(matrices)}

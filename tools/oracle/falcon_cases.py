"""Falcon in its three layouts: falcon-rw (ALiBi, MHA), 7b (rotary, MQA), 40b and 11B (rotary, GQA).

transformers 5.23 adds ALiBi twice where attention is computed in the module itself, that is with eager attention or whenever
probabilities are asked for: once to the scores, and once more with the mask, which FalconModel.forward has made of ALiBi and
causality for the kernel. The default path (sdpa, no probabilities asked for) adds it once, as Press et al. 2022 do and as the
models were trained. So logits, keys and values come from the default path. Probabilities come from the module itself, given
a mask of causality alone, and its logits have to be the default path's.

falcon_rw also runs with one K/V head, the mean of all: transformers computes that form (multi_query true with ALiBi), and
kvscope pools a checkpoint into it.
"""

import copy
import math
from contextlib import nullcontext

import torch
from safetensors.torch import save_file
from transformers import FalconConfig, FalconForCausalLM
from transformers.models.falcon.modeling_falcon import build_alibi_tensor

from checkpoints import (GOLDEN, POSITIONS, VOCABULARY, difference, draw_tokens, hub_config, load, normal, other_tokens, outcome,
                         per_head_rows, pooled_rows)
from float64 import float64

# Numbers of heads, a power of two and not, and positions beyond 256, which bfloat16 has to round.
ALIBI_HEADS = (11, 32, 71)
ALIBI_POSITIONS = [*range(12), *range(252, 264), *range(510, 518), *range(1022, 1032), *range(2043, 2048)]


def falcon():
    return [
        falcon_case("falcon_rw", heads=11, dim=3, kv=11, seed=31, tied=True, copy=False,
                    alibi=True, multi_query=False, parallel_attn=False, bias=True, ffn_hidden_size=20),
        # The hub's config says num_kv_heads: 71, as many as heads; its files hold lm_head though it is tied.
        falcon_case("falcon_7b", heads=5, dim=6, kv=1, seed=32, tied=True, copy=True,
                    alibi=False, multi_query=True, parallel_attn=True, bias=False, num_kv_heads=5, ffn_hidden_size=24),
        falcon_case("falcon_40b", heads=6, dim=4, kv=2, seed=33, tied=True, copy=False,
                    alibi=False, multi_query=True, parallel_attn=True, bias=False, num_kv_heads=2,
                    new_decoder_architecture=True, ffn_hidden_size=20),
        falcon_case("falcon_11b", heads=6, dim=4, kv=2, seed=34, tied=False, copy=False,
                    alibi=False, multi_query=True, parallel_attn=True, bias=False, num_kv_heads=2,
                    new_decoder_architecture=True, num_ln_in_parallel_attn=1, ffn_hidden_size=20,
                    rope_parameters={"rope_type": "default", "rope_theta": 500042.0}),
    ]


def falcon_case(name, *, heads, dim, kv, seed, tied, copy, **fields):
    g = torch.Generator().manual_seed(seed)
    hidden = heads * dim
    config = FalconConfig(vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=heads,
                          max_position_embeddings=POSITIONS, tie_word_embeddings=tied, **fields)
    w = {"word_embeddings.weight": normal(g, VOCABULARY, hidden, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"h.{layer}"
        for norm in norms(config):
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.1, mean=1)
            w[f"{h}.{norm}.bias"] = normal(g, hidden, std=0.1)
        for part, rows, columns, std in (("self_attention.query_key_value", (heads + 2 * kv) * dim, hidden, 1.3),
                                         ("self_attention.dense", hidden, hidden, 1),
                                         ("mlp.dense_h_to_4h", config.ffn_hidden_size, hidden, 1),
                                         ("mlp.dense_4h_to_h", hidden, config.ffn_hidden_size, 1)):
            fused = kv == heads and rows == 3 * hidden
            w[f"{h}.{part}.weight"] = (per_head_rows(g, heads, dim, hidden) if fused else
                                       normal(g, rows, columns, std=std / math.sqrt(columns)))
            if config.bias:
                w[f"{h}.{part}.bias"] = normal(g, rows, std=0.2)
    w["ln_f.weight"] = normal(g, hidden, std=0.1, mean=1)
    w["ln_f.bias"] = normal(g, hidden, std=0.1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    elif copy:
        w["lm_head.weight"] = w["word_embeddings.weight"].clone()
    tokens = draw_tokens(g)
    model, result = run_falcon(config, w, tokens, heads // kv if config.new_decoder_architecture else 1)
    runs = [(kv, result)]
    if config.alibi:
        shared = FalconConfig(**config.to_dict() | {"multi_query": True})
        runs.append((1, run_falcon(shared, pooled_rows(w, heads, dim, ".query_key_value."), tokens, 1)[1]))
    plain = hub_config(config)
    for key in ("alibi", "multi_query", "parallel_attn", "bias", "new_decoder_architecture"):
        plain[key] = getattr(config, key)
    # What the hub's files leave to the default; the model itself writes num_ln_in_parallel_attn into its config.
    unsaid = [key for key in ("rope_parameters", "num_ln_in_parallel_attn", "num_kv_heads") if key not in fields]
    for key in unsaid + (["tie_word_embeddings"] if tied else []):
        plain.pop(key, None)
    stored = {key if key.startswith("lm_head") else f"transformer.{key}": value for key, value in w.items()}
    return {"name": name, "config": plain, "weights": stored, "tokens": tokens, "runs": runs, "model": model}


def norms(config):
    if not config.parallel_attn:
        return ["input_layernorm", "post_attention_layernorm"]
    two = config.new_decoder_architecture and config.num_ln_in_parallel_attn in (None, 2)
    return ["ln_attn", "ln_mlp"] if two else ["input_layernorm"]


def run_falcon(config, weights, tokens, copies):
    usual = load(FalconForCausalLM, FalconConfig(**config.to_dict()), weights, "transformer.", "sdpa")
    model = load(FalconForCausalLM, config, weights, "transformer.", "eager")

    def without_alibi(module, args, kwargs):
        mask = kwargs["attention_mask"]
        hidden = mask <= torch.finfo(mask.dtype).min
        return args, kwargs | {"attention_mask": torch.zeros_like(mask[:, :1]).masked_fill(hidden[:, :1], -torch.inf)}

    if config.alibi:
        for block in model.transformer.h:
            block.self_attention.register_forward_pre_hook(without_alibi, with_kwargs=True)

    def read(ids, models=(usual, model), precision=float64):
        with torch.no_grad(), precision():
            expected = models[0](ids, use_cache=True)
            out = models[1](ids, use_cache=True, output_attentions=True)
        off = float((out.logits - expected.logits).abs().max()) / float(expected.logits.abs().max())
        assert off < (1e-12 if precision is float64 else 1e-5), off
        out.logits, out.past_key_values = expected.logits, expected.past_key_values
        return outcome(out, copies)

    whole = read(tokens)
    plain = [copy.deepcopy(each).float() for each in (usual, model)]
    return model, whole | {"other": read(other_tokens(tokens)), "float32": difference(read(tokens, plain, nullcontext), whole)}


def write_beside():
    """The bias itself, [heads, positions], as the model adds it to scores before they are scaled."""
    mask = torch.ones(1, max(ALIBI_POSITIONS) + 1, dtype=torch.long)
    tables = {f"heads{heads}": build_alibi_tensor(mask, heads, torch.float32)[:, 0, ALIBI_POSITIONS] for heads in ALIBI_HEADS}
    for table in tables.values():
        assert torch.equal(table, table.bfloat16().float())
    stored = {name: table.bfloat16().contiguous() for name, table in tables.items()}
    save_file(stored | {"positions": torch.tensor(ALIBI_POSITIONS).float()}, GOLDEN / "falcon" / "alibi.safetensors")

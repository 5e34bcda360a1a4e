"""Golden values for the engine's tests, computed by Hugging Face transformers.

Makes tiny random checkpoints with fixed seeds, spelled and laid out as files on the hub are, runs them with eager
attention in float64, and writes what they compute to test/golden/gpt2 and test/golden/llama.

For a development machine only, never for CI: torch from PyPI pulls several GB.

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors numpy
    /tmp/oracle/bin/python tools/oracle/goldens.py

GPT-2 itself knows MHA only. Its GQA and MQA cases run here as MHA whose K and V columns are copies of the pooled heads
(the mean of each group, Ainslie et al. 2023); kvscope has to pool the MHA checkpoint and run the narrow projection.
"""

import json
import math
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

GOLDEN = Path(__file__).resolve().parents[2] / "test" / "golden"
TOKENS = 12
VOCABULARY = 67
POSITIONS = 16
# Drawn at the default 0.02, attention is flat and wrong code passes: scores have to span about this much.
SPAN = (4.0, 12.0)


def main():
    transformers.logging.set_verbosity_error()
    write("gpt2", [gpt2_cases("heads6", heads=6, dim=8, inner=64, kv=[6, 2, 1], seed=11, prefix="", masks=True),
                   gpt2_cases("heads5", heads=5, dim=4, inner=None, kv=[5, 1], seed=12, prefix="transformer.", masks=False)])
    write("llama", [llama_cases("gqa", heads=6, kv=2, dim=4, bias=False, tied=True, seed=21),
                    llama_cases("mqa", heads=5, kv=1, dim=6, bias=True, tied=False, seed=22),
                    llama_cases("mha", heads=3, kv=3, dim=8, bias=False, tied=False, seed=23)])


def normal(generator, *shape, std=1.0, mean=0.0):
    return torch.randn(*shape, generator=generator) * std + mean


def gpt2_cases(name, *, heads, dim, inner, kv, seed, prefix, masks):
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
    tokens = torch.randint(0, VOCABULARY, (1, TOKENS), generator=g)
    runs = [(kv_heads, run(GPT2LMHeadModel, config, pooled(w, heads, dim, kv_heads), tokens, heads // kv_heads, "transformer."))
            for kv_heads in kv]
    stored = {prefix + key: value for key, value in w.items()}
    return name, config, stored, tokens, runs


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


def llama_cases(name, *, heads, kv, dim, bias, tied, seed):
    g = torch.Generator().manual_seed(seed)
    # The hidden size is not heads x head dim, as in newer members of the family.
    hidden, width = 30, 44
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=width, num_hidden_layers=2,
                         num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, attention_bias=bias,
                         mlp_bias=bias, tie_word_embeddings=tied, max_position_embeddings=POSITIONS, rms_norm_eps=1e-5)
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.1, mean=1)
        for part, rows, columns, std in (("self_attn.q_proj", heads * dim, hidden, 1.2), ("self_attn.k_proj", kv * dim, hidden, 1.2),
                                         ("self_attn.v_proj", kv * dim, hidden, 1), ("self_attn.o_proj", hidden, heads * dim, 1),
                                         ("mlp.gate_proj", width, hidden, 1), ("mlp.up_proj", width, hidden, 1),
                                         ("mlp.down_proj", hidden, width, 1)):
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
            if bias:
                w[f"{h}.{part}.bias"] = normal(g, rows, std=0.2)
    w["model.norm.weight"] = normal(g, hidden, std=0.1, mean=1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = torch.randint(0, VOCABULARY, (1, TOKENS), generator=g)
    return name, config, w, tokens, [(kv, run(LlamaForCausalLM, config, w, tokens, 1, ""))]


def run(architecture, config, weights, tokens, copies, prefix):
    """Logits of every position, attention of every head, and K/V with one head of each run of copies."""
    config._attn_implementation = "eager"
    model = architecture(config).double().eval()
    wanted = {prefix + key if not key.startswith("lm_head") else key: value.double()
              for key, value in weights.items() if not key.endswith(".attn.bias")}
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    assert not unexpected and all("lm_head" in key for key in missing), (missing, unexpected)
    model.tie_weights()
    with torch.no_grad():
        out = model(tokens, use_cache=True, output_attentions=True)
    keys = torch.stack([layer.keys[0] for layer in out.past_key_values.layers])
    values = torch.stack([layer.values[0] for layer in out.past_key_values.layers])
    attention = torch.stack([layer[0] for layer in out.attentions])
    for cached in (keys, values):
        runs = cached.unflatten(1, (-1, copies))
        assert torch.equal(runs, runs[:, :, :1].expand_as(runs)), "copied heads differ"
    # Scores up to a constant a row: the log of a probability against the row's mean over what it may see.
    logs = attention.double().clamp_min(1e-300).log()
    seen = torch.tril(torch.ones(TOKENS, TOKENS)).bool()
    centred = [logs[..., row, : row + 1] - logs[..., row, : row + 1].mean(-1, keepdim=True) for row in range(1, TOKENS)]
    span = max(float(row.abs().max()) for row in centred)
    assert SPAN[0] < span < SPAN[1], f"scores span {span:.2f}"
    assert float(attention[..., ~seen].abs().max()) == 0
    return {"span": span, "logits": out.logits[0], "attention": attention, "keys": keys[:, ::copies], "values": values[:, ::copies]}


def write(family, models):
    folder = GOLDEN / family
    shutil.rmtree(folder, ignore_errors=True)
    cases = []
    for name, config, weights, tokens, runs in models:
        place = folder / name
        place.mkdir(parents=True)
        save_file({key: value.float().contiguous() for key, value in weights.items()}, place / "model.safetensors",
                  metadata={"format": "pt"})
        plain = config.to_diff_dict() | {"torch_dtype": "float32"}
        # The keys that hub files spell out, even where they hold the default.
        for key in ("n_embd", "n_head", "n_layer", "n_positions", "vocab_size", "activation_function", "layer_norm_epsilon",
                    "num_key_value_heads", "num_attention_heads", "hidden_act", "rms_norm_eps", "attention_bias", "mlp_bias",
                    "tie_word_embeddings", "max_position_embeddings"):
            if hasattr(config, key) and not (family == "gpt2" and key in config.attribute_map):
                plain[key] = getattr(config, key)
        plain = {key: value for key, value in plain.items() if not key.startswith("_")}
        (place / "config.json").write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")
        for kv_heads, result in runs:
            file = f"{name}/expected-kv{kv_heads}.safetensors"
            save_file({key: result[key].float().contiguous() for key in ("logits", "attention", "keys", "values")}, folder / file)
            cases.append({"model": name, "kvHeads": kv_heads, "tokens": tokens[0].tolist(), "expected": file,
                          "scoreSpan": round(result["span"], 2)})
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}
    (folder / "cases.json").write_text(json.dumps(about, indent=1) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    print(family, [(case["model"], case["kvHeads"], case["scoreSpan"]) for case in cases], f"{size / 1000:.0f} kB")


main()

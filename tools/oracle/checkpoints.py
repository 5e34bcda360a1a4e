"""What the families' scripts share: drawing weights, running a model, writing a case."""

import json
import math
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from head_weights import head_weights

GOLDEN = Path(__file__).resolve().parents[2] / "test" / "golden"
TOKENS = 12
VOCABULARY = 67
POSITIONS = 16
# Drawn at the default 0.02, attention is flat and wrong code passes: scores have to span about this much.
SPAN = (4.0, 12.0)
# The keys that hub files spell out, even where they hold the default.
SPELLED = ("n_embd", "n_head", "n_layer", "n_positions", "vocab_size", "activation_function", "layer_norm_epsilon",
           "num_key_value_heads", "num_attention_heads", "hidden_act", "rms_norm_eps", "attention_bias", "mlp_bias",
           "tie_word_embeddings", "max_position_embeddings")


def normal(generator, *shape, std=1.0, mean=0.0):
    return torch.randn(*shape, generator=generator) * std + mean


def per_head_rows(generator, heads, dim, hidden):
    """Rows of a fused weight, per head [q, k, v]. Keys and values of different heads are alike in part, so that their mean
    still tells positions apart."""
    queries = normal(generator, heads, 1, dim, hidden, std=1.25 / math.sqrt(hidden))
    shared = normal(generator, 1, 2, dim, hidden, std=1.5 / math.sqrt(hidden))
    own = normal(generator, heads, 2, dim, hidden, std=0.9 / math.sqrt(hidden))
    return torch.cat([queries, shared + own], 1).reshape(-1, hidden)


def pooled_rows(weights, heads, dim, fused):
    """The weights with one K and V head, the mean of all: rows per head [q, k, v] become all q, one k, one v."""
    out = dict(weights)
    for key, value in weights.items():
        if fused not in key:
            continue
        rows = value.double().view(heads, 3, dim, -1)
        mean = rows[:, 1:].mean(dim=0)
        out[key] = torch.cat([rows[:, 0].flatten(0, 1), mean.flatten(0, 1)]).view(-1, *value.shape[1:]).float()
    return out


def draw_tokens(generator):
    return torch.randint(0, VOCABULARY, (1, TOKENS), generator=generator)


def load(architecture, config, weights, prefix, implementation="eager"):
    """The model in float64 with these weights, whose names lack `prefix` but for the head's."""
    config._attn_implementation = implementation
    model = architecture(config).double().eval()
    wanted = {prefix + key if not key.startswith("lm_head") else key: value.double()
              for key, value in weights.items() if not key.endswith(".attn.bias")}
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    assert not unexpected and all("lm_head" in key for key in missing), (missing, unexpected)
    model.tie_weights()
    return model


def run(architecture, config, weights, tokens, copies, prefix):
    """Logits of every position, attention of every head, and K/V with one head of each run of copies."""
    model = load(architecture, config, weights, prefix)
    with torch.no_grad():
        return model, outcome(model(tokens, use_cache=True, output_attentions=True), copies)


def outcome(out, copies):
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


def hub_config(config, left_out=()):
    """config.json as hub files have it."""
    plain = config.to_diff_dict() | {"torch_dtype": "float32"}
    for key in SPELLED:
        if hasattr(config, key) and key not in left_out:
            plain[key] = getattr(config, key)
    return {key: value for key, value in plain.items() if not key.startswith("_")}


def write(family, models):
    """models: dicts of name, config (a dict), weights, tokens, runs [(KV heads, outcome)], and the model to split."""
    folder = GOLDEN / family
    shutil.rmtree(folder, ignore_errors=True)
    cases = []
    for case in models:
        name = case["name"]
        place = folder / name
        place.mkdir(parents=True)
        save(case["weights"], place / "model.safetensors", metadata={"format": "pt"})
        (place / "config.json").write_text(json.dumps(case["config"], indent=2, sort_keys=True) + "\n")
        save(head_weights(case["model"]), place / "head-weights.safetensors")
        for kv_heads, result in case["runs"]:
            file = f"{name}/expected-kv{kv_heads}.safetensors"
            save({key: result[key] for key in ("logits", "attention", "keys", "values")}, folder / file)
            cases.append({"model": name, "kvHeads": kv_heads, "tokens": case["tokens"][0].tolist(), "expected": file,
                          "scoreSpan": round(result["span"], 2)})
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}
    (folder / "cases.json").write_text(json.dumps(about, indent=1) + "\n")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(family, [(case["model"], case["kvHeads"], case["scoreSpan"]) for case in cases], f"{size / 1000:.0f} kB")


def save(tensors, path, metadata=None):
    save_file({key: value.float().contiguous() for key, value in tensors.items()}, path, metadata=metadata)

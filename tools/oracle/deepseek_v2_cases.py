"""DeepSeek-V2: queries whole and compressed, YaRN with equal and with unequal weights, experts with and without groups. Ranks and
key dims are even: its complex rotation refuses others."""

from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

from checkpoints import VOCABULARY
from latent_attention import case, halves

YARN = {"beta_fast": 4, "beta_slow": 1, "factor": 40, "original_max_position_embeddings": 8}


def deepseek_v2():
    return [v2_case("lite", seed=61, layers=2, hidden=30, heads=5, q_lora_rank=None, nope=6, rope=4, value=7, rank=10,
                    mscale=(0.707, 0.707), bias=False, scale=1.5,
                    routed={"n_routed_experts": 6, "num_experts_per_tok": 2, "n_shared_experts": 2, "topk_method": "greedy",
                            "routed_scaling_factor": 1.0}),
            v2_case("grouped", seed=62, layers=3, hidden=27, heads=3, q_lora_rank=11, nope=8, rope=6, value=5, rank=12,
                    mscale=(1.2, 0.6), bias=True, scale=1.2,
                    routed={"n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
                            "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2,
                            "routed_scaling_factor": 4.0})]


def v2_case(name, *, seed, layers, hidden, heads, q_lora_rank, nope, rope, value, rank, mscale, bias, scale, routed):
    yarn = YARN | {"mscale": mscale[0], "mscale_all_dim": mscale[1]}
    config = DeepseekV2Config(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=34, moe_intermediate_size=9,
                              num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
                              first_k_dense_replace=1, q_lora_rank=q_lora_rank, kv_lora_rank=rank, qk_nope_head_dim=nope,
                              qk_rope_head_dim=rope, v_head_dim=value, max_position_embeddings=64, rms_norm_eps=1e-3,
                              attention_bias=bias, rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0} | yarn, **routed)
    # As files on the hub spell it.
    hub = {"rope_parameters": ..., "rope_theta": 10000, "rope_scaling": {"type": "yarn"} | yarn, "scoring_func": "softmax",
           "moe_layer_freq": 1, "seq_aux": True, "ep_size": 1}
    made = case(name, DeepseekV2ForCausalLM, config, seed=seed, hub=hub, biased_choice=False, scale=scale)
    return made | {"runs": [(kv, halves(result, config)) for kv, result in made["runs"]]}

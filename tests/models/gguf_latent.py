"""DeepSeek and Qwen3-Next as GGUF files: two more architectures of gguf_checkpoint.py, and their layouts of 2024 and
2025, before llama.cpp took matrices apart."""

from gguf_checkpoint import ARCHITECTURES, LAYER, Array, decoder, experts_together, gguf, serves, single, state_space


@serves("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM")
def deepseek2(c, tensors):
    """Of the matrix that leads from the latent to keys and values there are two, the keys' one turned."""
    h, n, d, e, r = (c[key] for key in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim",
                                        "v_head_dim", "kv_lora_rank"))
    keys = {**decoder({**c, "num_key_value_heads": 1}), ".leading_dense_block_count": c["first_k_dense_replace"],
            ".attention.kv_lora_rank": r, ".attention.key_length": r + d, ".attention.value_length": r,
            ".attention.key_length_mla": n + d, ".attention.value_length_mla": e, ".rope.dimension_count": d,
            ".expert_feed_forward_length": c["moe_intermediate_size"], ".expert_count": c["n_routed_experts"],
            ".expert_used_count": c["num_experts_per_tok"], ".expert_shared_count": c["n_shared_experts"],
            ".expert_group_count": c["n_group"], ".expert_group_used_count": c["topk_group"],
            ".expert_weights_scale": float(c["routed_scaling_factor"]),
            ".expert_gating_func": 2 if c["scoring_func"] == "sigmoid" else 1}
    if c["norm_topk_prob"]:
        keys[".expert_weights_norm"] = True
    if c["q_lora_rank"]:
        keys[".attention.q_lora_rank"] = c["q_lora_rank"]
    scaling = c["rope_scaling"]
    if scaling:
        keys.update({".rope.scaling.type": "yarn", ".rope.scaling.factor": scaling["factor"],
                     ".rope.scaling.original_context_length": scaling["original_max_position_embeddings"],
                     ".rope.scaling.yarn_log_multiplier": 0.1 * scaling["mscale_all_dim"]})
    names = {**LAYER, "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
             "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
             "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.k_b": "attn_k_b", "self_attn.v_b": "attn_v_b",
             "mlp.gate": "ffn_gate_inp", "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
             "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
             "mlp.experts.down_proj": "ffn_down_exps", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
             "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp"}
    out = {}
    for name, array in tensors.items():
        if "kv_b_proj" not in name:
            out[name] = array
            continue
        by_row = array.reshape(h, n + e, r).permute(1, 0, 2)
        out[name.replace("kv_b_proj", "k_b")] = by_row.rows(0, n).permute(1, 2, 0)
        out[name.replace("kv_b_proj", "v_b")] = by_row.rows(n, n + e).permute(1, 0, 2)
    return "deepseek2", keys, experts_together(out, names)


@serves("Qwen3NextForCausalLM")
def qwen3next(c, tensors):
    """Of each head's rows for query, key, values and gates first all queries, then all keys, then all values;
    the gates are a tensor of their own."""
    a, r, z, y = (c["linear_num_key_heads"], c["linear_num_value_heads"] // c["linear_num_key_heads"],
                  c["linear_key_head_dim"], c["linear_value_head_dim"])
    keys = {**decoder(c), ".ssm.conv_kernel": c["linear_conv_kernel_dim"], ".ssm.state_size": z,
            ".ssm.group_count": a, ".ssm.time_step_rank": a * r, ".ssm.inner_size": a * r * y,
            ".full_attention_interval": c["full_attention_interval"], ".expert_count": c["num_experts"],
            ".rope.dimension_count": int(c["head_dim"] * c["partial_rotary_factor"]),
            ".expert_used_count": c["num_experts_per_tok"],
            ".expert_feed_forward_length": c["moe_intermediate_size"],
            ".expert_shared_feed_forward_length": c["shared_expert_intermediate_size"]}
    names = {**LAYER, "post_attention_layernorm": "post_attention_norm", "linear_attn.qkv": "attn_qkv",
             "linear_attn.z": "attn_gate", "linear_attn.in_proj_ba": "ssm_ba", "linear_attn.conv1d": "ssm_conv1d",
             "linear_attn.dt_bias": "ssm_dt.bias", "linear_attn.A_log": "ssm_a", "linear_attn.norm": "ssm_norm",
             "linear_attn.out_proj": "ssm_out", "mlp.gate": "ffn_gate_inp",
             "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
             "mlp.experts.down_proj": "ffn_down_exps", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
             "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
             "mlp.shared_expert.down_proj": "ffn_down_shexp"}
    out = {}
    for name, array in state_space(c, tensors):
        if name.endswith("norm.weight") and not name.endswith("linear_attn.norm.weight"):
            array = array.map(lambda v: single(v + 1))
        if name.endswith("shared_expert_gate.weight"):
            array = array.reshape(array.shape[-1])
        if "in_proj_qkvz" not in name:
            out[name] = array
            continue
        width = array.shape[-1]
        by_row = array.reshape(a, 2 * z + 2 * r * y, width).permute(1, 0, 2)
        parts = [by_row.rows(begin, end).permute(1, 0, 2) for begin, end in
                 ((0, z), (z, 2 * z), (2 * z, 2 * z + r * y), (2 * z + r * y, 2 * z + 2 * r * y))]
        rows = [part.reshape(part.shape[0] * part.shape[1], width) for part in parts]
        values = [value for part in rows[:3] for value in part.values]
        out[name.replace("in_proj_qkvz", "qkv")] = Array([len(values) // width, width], values)
        out[name.replace("in_proj_qkvz", "z")] = rows[3]
    return "qwen3next", keys, experts_together(out, names)


def older(config, tensors):
    """The bytes of a file as llama.cpp's converter wrote it then."""
    architecture, keys, out = ARCHITECTURES[config["architectures"][0]](config, tensors)
    if architecture == "deepseek2":
        n, d, e = (config[key] for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
        keys = {key: value for key, value in keys.items() if not key.endswith("_mla")}
        keys.update({".attention.head_count_kv": config["num_attention_heads"], ".attention.key_length": n + d,
                     ".attention.value_length": e})
        new, source, name = ("attn_k_b.weight", "attn_v_b.weight"), "self_attn.kv_b_proj.weight", "attn_kv_b.weight"
    else:
        new, source, name = (("attn_qkv.weight", "attn_gate.weight"), "linear_attn.in_proj_qkvz.weight",
                             "ssm_in.weight")
    for l in range(config["num_hidden_layers"]):
        if f"model.layers.{l}.{source}" in tensors:
            for part in new:
                del out[f"blk.{l}.{part}"]
            out[f"blk.{l}.{name}"] = tensors[f"model.layers.{l}.{source}"]
    return gguf(architecture, keys, out)

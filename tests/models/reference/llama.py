"""Llama and what is built as it is: Llama 2 (Touvron et al. 2023), Llama 3 with its longer rotary waves,
Mistral with a window (Jiang et al. 2023), Qwen2 with biases, Qwen3 with norms of queries and keys,
SmolLM3 with layers without positions, OLMo 2 with norms behind its parts, Phi-3 with merged matrices."""

from parts import *

SIZES = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
         "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": False}

CHECKPOINTS = {
    "llama-2": {**SIZES, "architectures": ["LlamaForCausalLM"], "model_type": "llama",
                "num_key_value_heads": 4, "rope_scaling": None, "attention_bias": False},
    # 8 values a head of waves of 6 to 2000 positions: of each kind, short, between and long.
    "llama-3": {**SIZES, "architectures": ["LlamaForCausalLM"], "model_type": "llama",
                "tie_word_embeddings": True, "head_dim": 8, "rope_theta": 2000.0,
                "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                 "high_freq_factor": 4.0, "original_max_position_embeddings": 64}},
    "mistral": {**SIZES, "architectures": ["MistralForCausalLM"], "model_type": "mistral",
                "head_dim": 12, "sliding_window": 5},
    "qwen2": {**SIZES, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
              "rope_theta": 1e6, "tie_word_embeddings": True, "use_sliding_window": False,
              "sliding_window": 5, "max_window_layers": 1},
    # The layers from max_window_layers on see a window only.
    "qwen2-window": {**SIZES, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
                     "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 5,
                     "max_window_layers": 1},
    "qwen3": {**SIZES, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 12,
              "rms_norm_eps": 1e-6, "rope_theta": 1e6, "attention_bias": False},
    "smollm3": {**SIZES, "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3",
                "num_hidden_layers": 3, "intermediate_size": 32, "rope_theta": 5e6,
                "tie_word_embeddings": True, "no_rope_layers": [1, 0, 1],
                "no_rope_layer_interval": 2},
    "olmo2": {**SIZES, "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2",
              "rope_theta": 5e5, "rms_norm_eps": 1e-6},
    "phi3": {**SIZES, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
             "sliding_window": 7, "rope_scaling": None},
    # A part of each head turns, as in Phi-4 mini.
    "phi3-partial": {**SIZES, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
                     "partial_rotary_factor": 0.75, "sliding_window": None,
                     "tie_word_embeddings": True},
}


def sizes(c):
    H, G = c["num_attention_heads"], c["num_key_value_heads"]
    return c["hidden_size"], H, G, c.get("head_dim", c["hidden_size"] // H), c["intermediate_size"]


def weights(c, w):
    C, H, G, D, F = sizes(c)
    kind = c["model_type"]
    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        norms = {"olmo2": ("post_attention_layernorm", "post_feedforward_layernorm")}
        for norm in norms.get(kind, ("input_layernorm", "post_attention_layernorm")):
            w.scale(p + norm + ".weight", C)
        if kind == "phi3":
            w.draw(p + "self_attn.qkv_proj.weight", (H + 2 * G) * D, C)
            w.draw(p + "mlp.gate_up_proj.weight", 2 * F, C)
        else:
            for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
                w.draw(f"{p}self_attn.{name}_proj.weight", rows, C)
                if kind == "qwen2":
                    w.shift(f"{p}self_attn.{name}_proj.bias", rows)
            w.draw(p + "mlp.gate_proj.weight", F, C)
            w.draw(p + "mlp.up_proj.weight", F, C)
        if kind in ("qwen3", "olmo2"):
            w.scale(p + "self_attn.q_norm.weight", D if kind == "qwen3" else H * D)
            w.scale(p + "self_attn.k_norm.weight", D if kind == "qwen3" else G * D)
        w.draw(p + "self_attn.o_proj.weight", C, H * D)
        w.draw(p + "mlp.down_proj.weight", C, F)
    w.scale("model.norm.weight", C)
    if not c["tie_word_embeddings"]:
        w.draw("lm_head.weight", c["vocab_size"], C)


def projected(c, w, x, p):
    """Queries, keys and values, [i, head, d] each, before positions."""
    C, H, G, D, F = sizes(c)
    kind, eps = c["model_type"], c["rms_norm_eps"]
    if kind == "phi3":
        u = x @ w[p + "qkv_proj.weight"].T
        q, k, v = u[:, :H * D], u[:, H * D:(H + G) * D], u[:, (H + G) * D:]
    else:
        q, k, v = (x @ w[f"{p}{n}_proj.weight"].T + w.get(f"{p}{n}_proj.bias", 0) for n in "qkv")
    if kind == "olmo2":
        q, k = rms_norm(q, w[p + "q_norm.weight"], eps), rms_norm(k, w[p + "k_norm.weight"], eps)
    q, k, v = heads(q, H), heads(k, G), heads(v, G)
    if kind == "qwen3":
        q, k = rms_norm(q, w[p + "q_norm.weight"], eps), rms_norm(k, w[p + "k_norm.weight"], eps)
    return q, k, v


def feed_forward(c, w, x, p):
    if c["model_type"] == "phi3":
        gate, up = np.split(x @ w[p + "gate_up_proj.weight"].T, 2, axis=1)
    else:
        gate, up = x @ w[p + "gate_proj.weight"].T, x @ w[p + "up_proj.weight"].T
    return (silu(gate) * up) @ w[p + "down_proj.weight"].T


def logits(c, w, tokens):
    C, H, G, D, F = sizes(c)
    kind, eps = c["model_type"], c["rms_norm_eps"]
    f = frequencies(int(D * c.get("partial_rotary_factor", 1)), c["rope_theta"])
    if c.get("rope_scaling"):
        s = c["rope_scaling"]
        f = llama3_frequencies(f, s["factor"], s["low_freq_factor"], s["high_freq_factor"],
                               s["original_max_position_embeddings"])

    x = w["model.embed_tokens.weight"][tokens]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        window = c.get("sliding_window")
        if kind == "qwen2" and not (c["use_sliding_window"] and l >= c["max_window_layers"]):
            window = None

        def norm(x, name):
            return rms_norm(x, w[p + name + ".weight"], eps)

        def attention(x):
            q, k, v = projected(c, w, x, p + "self_attn.")
            if c.get("no_rope_layers", [1] * 99)[l]:
                q, k = rotary(q, f), rotary(k, f)
            return attend(q, k, v, D ** -0.5, window) @ w[p + "self_attn.o_proj.weight"].T

        if kind == "olmo2":
            x = x + norm(attention(x), "post_attention_layernorm")
            x = x + norm(feed_forward(c, w, x, p + "mlp."), "post_feedforward_layernorm")
        else:
            x = x + attention(norm(x, "input_layernorm"))
            x = x + feed_forward(c, w, norm(x, "post_attention_layernorm"), p + "mlp.")
    x = rms_norm(x, w["model.norm.weight"], eps)
    return x @ w["lm_head.weight" if "lm_head.weight" in w else "model.embed_tokens.weight"].T

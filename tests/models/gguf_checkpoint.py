"""A checkpoint of checkpoints/ as a GGUF file, with the names, the orders and the stored expressions that
llama.cpp's files of that architecture have. All numbers are F32.

In: config.json and the tensors of a safetensors checkpoint. Out: the bytes of a GGUF file. Python alone, so
that the tests need nothing else. What a file of the format cannot say (it is fixed by the architecture
there, and the small checkpoints have something else) stands under the key of config.json."""

import math
import struct

ARCHITECTURES = {}


class Array:
    """Numbers in row-major order."""

    def __init__(self, shape, values):
        self.shape, self.values = list(shape), list(values)
        assert math.prod(self.shape) == len(self.values), (shape, len(self.values))

    def reshape(self, *shape):
        return Array(shape, self.values)

    def permute(self, *axes):
        strides = [math.prod(self.shape[axis + 1:]) for axis in range(len(self.shape))]
        offsets = [0]
        for axis in axes:
            offsets = [o + i * strides[axis] for o in offsets for i in range(self.shape[axis])]
        return Array([self.shape[axis] for axis in axes], [self.values[o] for o in offsets])

    def rows(self, begin, end):
        size = math.prod(self.shape[1:])
        return Array([end - begin] + self.shape[1:], self.values[begin * size:end * size])

    def map(self, function):
        return Array(self.shape, map(function, self.values))


def stack(arrays):
    return Array([len(arrays)] + arrays[0].shape, [v for a in arrays for v in a.values])


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


# ---- The file ---------------------------------------------------------------------------


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


class Signed(list):
    """A list of i32."""


def typed(value):
    """The type's number and the bytes."""
    if isinstance(value, Signed):
        return 9, struct.pack(f"<IQ{len(value)}i", 5, len(value), *value)
    if isinstance(value, bool):
        return 7, struct.pack("<B", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    items = [typed(item) for item in value]
    return 9, struct.pack("<IQ", items[0][0], len(items)) + b"".join(data for _, data in items)


def gguf(architecture, keys, tensors):
    keys = {"general.architecture": architecture,
            **{architecture + key if key.startswith(".") else key: value for key, value in keys.items()}}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        kind, data = typed(value)
        head += text(key) + struct.pack("<I", kind) + data
    offset, body = 0, []
    for name, array in tensors.items():
        extents = array.shape[::-1]
        head += text(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, 0, offset)
        data = struct.pack(f"<{len(array.values)}f", *array.values)
        body.append(data + bytes(-len(data) % 32))
        offset += len(body[-1])
    return head + bytes(-len(head) % 32) + b"".join(body)


def convert(config, tensors):
    """The bytes; None where there is no such architecture here."""
    architecture = ARCHITECTURES.get(config["architectures"][0])
    return architecture and gguf(*architecture(config, tensors))


# Keys that change llama.cpp's result in another way than the model's authors have it, or not at all, by checkpoint:
# it has no windows in files of Llama's, Qwen2's and Phi-3's architectures, and takes the two best experts of a
# group where DeepSeek-V2 takes the best.
DIFFERENT = {"mistral": [".attention.sliding_window"], "qwen2-window": [".attention.sliding_window"],
             "phi3": [".attention.sliding_window"],
             "deepseek-v2": [".expert_group_count", ".expert_group_used_count"]}


def converted(name, config, tensors):
    """The bytes of a file as llama.cpp's converter writes it: no key of config.json stands in it, what such a key
    says is fixed by the architecture there. For llama.cpp's sake it says that its tokens have no words."""
    architecture = ARCHITECTURES.get(config["architectures"][0])
    if architecture is None:
        return None
    kind, keys, out = architecture(config, tensors)
    keys = {key: value for key, value in keys.items() if "." in key and key not in DIFFERENT.get(name, ())}
    return gguf(kind, {**keys, "tokenizer.ggml.model": "no_vocab"}, out)


def bare(config, tensors):
    """The bytes of a file of T5 that does not say which T5 it is: its tensors do."""
    kind, keys, out = ARCHITECTURES[config["architectures"][0]](config, tensors)
    return gguf(kind, {k: v for k, v in keys.items() if k not in ("is_gated_act", "tie_word_embeddings")}, out)


# ---- What architectures share -----------------------------------------------------------


def serves(*names):
    def add(function):
        for name in names:
            ARCHITECTURES[name] = function
        return function
    return add


LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def named(tensors, layer, whole=WHOLE, prefix="model.layers."):
    """Tensors under the names of the format, by a table of a layer's names without their last part."""
    out = {}
    for name, array in tensors.items():
        if name in whole:
            out[whole[name]] = array
            continue
        assert name.startswith(prefix), name
        number, rest = name[len(prefix):].split(".", 1)
        part, _, last = rest.rpartition(".")
        if rest in layer:
            out[f"blk.{number}.{layer[rest]}"] = array
        else:
            out[f"blk.{number}.{layer[part]}.{last}"] = array
    return out


def tokens(c):
    return {"tokenizer.ggml.tokens": [f"<{i}>" for i in range(c["vocab_size"])], ".vocab_size": c["vocab_size"],
            "general.file_type": 0, "general.quantization_version": 2}


def decoder(c):
    """The keys of most decoders."""
    keys = {".block_count": c["num_hidden_layers"], ".context_length": c["max_position_embeddings"],
            ".embedding_length": c["hidden_size"], ".feed_forward_length": c["intermediate_size"],
            ".attention.head_count": c["num_attention_heads"],
            ".attention.head_count_kv": c["num_key_value_heads"],
            ".attention.layer_norm_rms_epsilon": c["rms_norm_eps"], **tokens(c)}
    if "rope_theta" in c:
        keys[".rope.freq_base"] = float(c["rope_theta"])
    if "head_dim" in c:
        keys[".attention.key_length"] = keys[".attention.value_length"] = c["head_dim"]
    return keys


def turned(c):
    """How many values of a head the files of some architectures say are turned: all."""
    return {".rope.dimension_count": c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]}


def pairs_together(tensors, c):
    """The rotary pairs n and n + D/2 of queries and keys side by side."""
    heads = {"q_proj": c["num_attention_heads"], "k_proj": c["num_key_value_heads"]}
    for name, array in tensors.items():
        part = name.split(".")[-2] if "." in name else ""
        if part in heads:
            h, rest = heads[part], array.shape[1:]
            half = array.shape[0] // h // 2
            axes = [0, 2, 1] + [3 + i for i in range(len(rest))]
            array = array.reshape(h, 2, half, *rest).permute(*axes).reshape(*array.shape)
        yield name, array


def experts_together(tensors, names):
    """One tensor for all experts, from one each."""
    out, found = {}, {}
    for name, array in tensors.items():
        before, _, rest = name.partition(".experts.")
        number, _, last = rest.partition(".")
        if number.isdigit():
            found.setdefault(before + ".experts." + last, {})[int(number)] = array
        else:
            out[name] = array
    for name, arrays in found.items():
        out[name] = stack([arrays[i] for i in range(len(arrays))])
    return named(out, names)


# ---- Architectures ----------------------------------------------------------------------


@serves("LlamaForCausalLM", "MistralForCausalLM")
def llama(c, tensors):
    keys = {**decoder(c), **turned(c)}
    if c.get("sliding_window"):
        keys[".attention.sliding_window"] = c["sliding_window"]
    out = named(dict(pairs_together(tensors, c)), LAYER)
    scaling = c.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        size = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        old, factors = scaling["original_max_position_embeddings"], []
        for n in range(size // 2):
            turns = old * c["rope_theta"] ** (-2 * n / size) / (2 * math.pi)
            share = min(max((turns - low) / (high - low), 0), 1)
            factors.append(1 / (share + (1 - share) / scaling["factor"]))
        out["rope_freqs.weight"] = Array([size // 2], factors)
    return "llama", keys, out


@serves("Qwen2ForCausalLM")
def qwen2(c, tensors):
    extra = {key: c[key] for key in ("use_sliding_window", "max_window_layers")}
    extra[".attention.sliding_window"] = c["sliding_window"]
    return "qwen2", {**decoder(c), **extra}, named(tensors, LAYER)


@serves("Qwen3ForCausalLM")
def qwen3(c, tensors):
    return "qwen3", decoder(c), named(tensors, LAYER)


@serves("Qwen3MoeForCausalLM")
def qwen3moe(c, tensors):
    keys = {**decoder(c), ".expert_count": c["num_experts"], ".expert_used_count": c["num_experts_per_tok"],
            ".expert_feed_forward_length": c["moe_intermediate_size"]}
    names = {**LAYER, "mlp.gate": "ffn_gate_inp", "mlp.experts.gate_proj": "ffn_gate_exps",
             "mlp.experts.up_proj": "ffn_up_exps", "mlp.experts.down_proj": "ffn_down_exps"}
    return "qwen3moe", keys, experts_together(tensors, names)


GEMMA = {**LAYER, "post_attention_layernorm": "post_attention_norm",
         "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}


def from_one(tensors):
    """Norms as what they multiply by."""
    return {name: array.map(lambda v: single(v + 1)) if name.endswith("norm.weight") else array
            for name, array in tensors.items()}


@serves("Gemma2ForCausalLM")
def gemma2(c, tensors):
    keys = {**decoder(c), ".attention.sliding_window": c["sliding_window"],
            ".attn_logit_softcapping": c["attn_logit_softcapping"],
            ".final_logit_softcapping": c["final_logit_softcapping"],
            "query_pre_attn_scalar": c["query_pre_attn_scalar"]}
    return "gemma2", keys, named(from_one(tensors), GEMMA)


@serves("Gemma3ForCausalLM")
def gemma3(c, tensors):
    keys = {**decoder(c), ".attention.sliding_window": c["sliding_window"],
            ".rope.scaling.type": "linear", ".rope.scaling.factor": c["rope_scaling"]["factor"],
            "query_pre_attn_scalar": c["query_pre_attn_scalar"],
            "sliding_window_pattern": c["sliding_window_pattern"]}
    return "gemma3", keys, named(from_one(tensors), GEMMA)


@serves("Phi3ForCausalLM")
def phi3(c, tensors):
    size = c["hidden_size"] // c["num_attention_heads"]
    keys = {**decoder(c), ".rope.dimension_count": int(size * c.get("partial_rotary_factor", 1)),
            ".attention.sliding_window": c["sliding_window"] or 0}
    names = {**LAYER, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
    return "phi3", keys, named(tensors, names)


@serves("GPT2LMHeadModel")
def gpt2(c, tensors):
    keys = {".block_count": c["n_layer"], ".context_length": c["n_positions"],
            ".embedding_length": c["n_embd"], ".feed_forward_length": 4 * c["n_embd"],
            ".attention.head_count": c["n_head"],
            ".attention.layer_norm_epsilon": c["layer_norm_epsilon"], **tokens(c)}
    names = {"ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv",
             "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    turned = {name: array.permute(1, 0) if "c_" in name and name.endswith("weight") else array
              for name, array in tensors.items()}
    whole = {"wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight",
             "ln_f.weight": "output_norm.weight", "ln_f.bias": "output_norm.bias",
             "lm_head.weight": "output.weight"}
    return "gpt2", keys, named(turned, names, whole, "h.")


@serves("Olmo2ForCausalLM")
def olmo2(c, tensors):
    return "olmo2", decoder(c), named(tensors, {**GEMMA})


@serves("SmolLM3ForCausalLM")
def smollm3(c, tensors):
    keys = {**decoder(c), **turned(c), "no_rope_layer_interval": c["no_rope_layer_interval"]}
    return "smollm3", keys, named(dict(pairs_together(tensors, c)), LAYER)


@serves("BloomForCausalLM")
def bloom(c, tensors):
    keys = {".block_count": c["n_layer"], ".context_length": c["seq_length"],
            ".embedding_length": c["hidden_size"], ".feed_forward_length": 4 * c["hidden_size"],
            ".attention.head_count": c["n_head"], ".attention.head_count_kv": c["n_head"],
            ".attention.layer_norm_epsilon": c["layer_norm_epsilon"], **tokens(c)}
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
             "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down"}
    whole = {"lm_head.weight": "output.weight"}
    for last in ("weight", "bias"):
        whole["ln_f." + last] = "output_norm." + last
        whole["word_embeddings_layernorm." + last] = "token_embd_norm." + last
    whole["word_embeddings.weight"] = "token_embd.weight"
    h, d = c["n_head"], c["hidden_size"] // c["n_head"]
    turned = {}
    for name, array in tensors.items():
        if "query_key_value" in name:
            rest = array.shape[1:]
            axes = [1, 0, 2] + [3 + i for i in range(len(rest))]
            array = array.reshape(h, 3, d, *rest).permute(*axes).reshape(*array.shape)
        turned[name] = array
    return "bloom", keys, named(turned, names, whole, "h.")


MAMBA = {"norm": "attn_norm", "mixer.in_proj": "ssm_in", "mixer.conv1d": "ssm_conv1d", "mixer.x_proj": "ssm_x",
         "mixer.dt_proj": "ssm_dt", "mixer.out_proj": "ssm_out", "mixer.norm": "ssm_norm",
         "mixer.A_log": "ssm_a", "mixer.D": "ssm_d", "mixer.dt_bias": "ssm_dt.bias"}
MAMBA_WHOLE = {"backbone.embeddings.weight": "token_embd.weight", "backbone.norm_f.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}


def state_space(c, tensors, groups=None):
    """A as it multiplies a step; the convolution without its axis of 1."""
    for name, array in tensors.items():
        if name.endswith("A_log"):
            array = array.map(lambda v: single(-math.exp(v)))
        if name.endswith("conv1d.weight"):
            array = array.reshape(array.shape[0], array.shape[-1])
        if groups and name.endswith((".A_log", ".D")):
            array = array.reshape(*array.shape, 1)
        if groups and name.endswith(("mixer.norm.weight", "mamba.norm.weight")):
            array = array.reshape(groups, array.shape[0] // groups)
        yield name, array


def mamba_keys(c):
    return {".block_count": c["num_hidden_layers"], ".context_length": 1 << 20,
            ".embedding_length": c["hidden_size"], ".feed_forward_length": 0, ".attention.head_count": 0,
            ".ssm.conv_kernel": c["conv_kernel"], ".ssm.state_size": c["state_size"],
            ".attention.layer_norm_rms_epsilon": c["layer_norm_epsilon"], **tokens(c)}


@serves("MambaForCausalLM")
def mamba(c, tensors):
    keys = {**mamba_keys(c), ".ssm.inner_size": c["intermediate_size"],
            ".ssm.time_step_rank": c["time_step_rank"], ".ssm.dt_b_c_rms": False}
    return "mamba", keys, named(dict(state_space(c, tensors)), MAMBA, MAMBA_WHOLE, "backbone.layers.")


@serves("Mamba2ForCausalLM")
def mamba2(c, tensors):
    keys = {**mamba_keys(c), ".ssm.inner_size": c["expand"] * c["hidden_size"],
            ".ssm.time_step_rank": c["num_heads"], ".ssm.group_count": c["n_groups"]}
    out = dict(state_space(c, tensors, c["n_groups"]))
    return "mamba2", keys, named(out, MAMBA, MAMBA_WHOLE, "backbone.layers.")


def kinds(c, attends):
    """Groups of keys and values of each layer: none where it is something else."""
    return {".attention.head_count_kv": [c["num_key_value_heads"] if kind == attends else 0
                                         for kind in c["layer_types"]]}


@serves("Lfm2ForCausalLM")
def lfm2(c, tensors):
    keys = {".block_count": c["num_hidden_layers"], ".context_length": c["max_position_embeddings"],
            ".embedding_length": c["hidden_size"], ".feed_forward_length": c["block_ff_dim"],
            ".attention.head_count": c["num_attention_heads"], ".shortconv.l_cache": c["conv_L_cache"],
            ".attention.layer_norm_rms_epsilon": c["norm_eps"], ".rope.freq_base": c["rope_theta"],
            **kinds(c, "full_attention"), **tokens(c)}
    names = {**LAYER, "operator_norm": "attn_norm", "ffn_norm": "ffn_norm", "self_attn.out_proj": "attn_output",
             "self_attn.q_layernorm": "attn_q_norm", "self_attn.k_layernorm": "attn_k_norm",
             "conv.in_proj": "shortconv.in_proj", "conv.conv": "shortconv.conv",
             "conv.out_proj": "shortconv.out_proj", "feed_forward.w1": "ffn_gate",
             "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up"}
    flat = {name: array.reshape(array.shape[0], array.shape[-1]) if "conv.conv" in name else array
            for name, array in tensors.items()}
    return "lfm2", keys, named(flat, names, {**WHOLE, "model.embedding_norm.weight": "token_embd_norm.weight"})


@serves("GraniteMoeHybridForCausalLM")
def granite4(c, tensors):
    keys = {**decoder(c), **turned(c), ".rope.scaling.finetuned": False,
            **kinds(c, "attention"), ".attention.scale": c["attention_multiplier"],
            ".embedding_scale": c["embedding_multiplier"], ".residual_scale": c["residual_multiplier"],
            ".logit_scale": c["logits_scaling"],
            ".expert_shared_feed_forward_length": c["shared_intermediate_size"],
            ".ssm.conv_kernel": c["mamba_d_conv"], ".ssm.state_size": c["mamba_d_state"],
            ".ssm.group_count": c["mamba_n_groups"], ".ssm.time_step_rank": c["mamba_n_heads"],
            ".ssm.inner_size": c["mamba_n_heads"] * c["mamba_d_head"]}
    if c["num_local_experts"]:
        keys[".expert_count"], keys[".expert_used_count"] = c["num_local_experts"], c["num_experts_per_tok"]
    shared = "_shexp" if c["num_local_experts"] else ""
    names = {**LAYER, **{name.replace("mixer", "mamba"): to for name, to in MAMBA.items() if "." in name},
             "block_sparse_moe.router.layer": "ffn_gate_inp", "block_sparse_moe.output_linear": "ffn_down_exps",
             "shared_mlp.output_linear": "ffn_down" + shared}
    for half in ("gate", "up"):
        names["block_sparse_moe." + half] = f"ffn_{half}_exps"
        names["shared_mlp." + half] = f"ffn_{half}{shared}"
    out = {}
    for name, array in pairs_together(dict(state_space(c, tensors, c["mamba_n_groups"])), c):
        if "input_linear" not in name:
            out[name] = array
            continue
        experts, size = array.shape[0] if len(array.shape) == 3 else 1, array.shape[-2] // 2
        whole = array.reshape(experts, 2, size, array.shape[-1]).permute(1, 0, 2, 3)
        for i, half in enumerate(("gate", "up")):
            part = whole.rows(i, i + 1).reshape(*array.shape[:-2], size, array.shape[-1])
            out[name.replace("input_linear", half)] = part
    return "granitehybrid", keys, named(out, names)


@serves("GptOssForCausalLM")
def gpt_oss(c, tensors):
    scaling = c["rope_scaling"]
    keys = {**decoder(c), ".expert_feed_forward_length": c["intermediate_size"],
            ".expert_count": c["num_local_experts"], ".expert_used_count": c["num_experts_per_tok"],
            ".attention.sliding_window": c["sliding_window"], ".rope.scaling.type": "yarn",
            ".rope.scaling.factor": scaling["factor"],
            ".rope.scaling.original_context_length": scaling["original_max_position_embeddings"],
            "swiglu_limit": c["swiglu_limit"]}
    names = {**LAYER, "post_attention_layernorm": "post_attention_norm",
             "self_attn.sinks": "attn_sinks.weight", "mlp.router": "ffn_gate_inp",
             "mlp.experts.down_proj": "ffn_down_exps.weight", "mlp.experts.down_proj_bias": "ffn_down_exps.bias"}
    for half in ("gate", "up"):
        names[f"mlp.experts.{half}"] = f"ffn_{half}_exps.weight"
        names[f"mlp.experts.{half}_bias"] = f"ffn_{half}_exps.bias"
    out = {}
    for name, array in tensors.items():
        if name.endswith("experts.down_proj"):
            array = array.permute(0, 2, 1)
        if "gate_up_proj" in name:
            *before, both = array.shape
            turned = array.reshape(*before, both // 2, 2)
            turned = turned.permute(3, 0, 2, 1) if len(before) == 2 else turned.permute(2, 0, 1)
            for i, half in enumerate(("gate", "up")):
                part = turned.rows(i, i + 1)
                out[name.replace("gate_up_proj", half)] = part.reshape(*part.shape[1:])
        else:
            out[name] = array
    return "gpt-oss", keys, named(out, names)


@serves("BertModel")
def bert(c, tensors):
    keys = {".block_count": c["num_hidden_layers"], ".context_length": c["max_position_embeddings"],
            ".embedding_length": c["hidden_size"], ".feed_forward_length": c["intermediate_size"],
            ".attention.head_count": c["num_attention_heads"], ".attention.causal": False, ".pooling_type": 1,
            ".attention.layer_norm_epsilon": c["layer_norm_eps"],
            "tokenizer.ggml.token_type_count": c["type_vocab_size"], **tokens(c)}
    names = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
             "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
             "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
    whole = {"embeddings.word_embeddings.weight": "token_embd.weight",
             "embeddings.position_embeddings.weight": "position_embd.weight",
             "embeddings.token_type_embeddings.weight": "token_types.weight",
             "embeddings.LayerNorm.weight": "token_embd_norm.weight",
             "embeddings.LayerNorm.bias": "token_embd_norm.bias"}
    return "bert", keys, named(tensors, names, whole, "encoder.layer.")


@serves("T5ForConditionalGeneration")
def t5(c, tensors):
    keys = {".block_count": c["num_layers"], ".decoder_block_count": c["num_decoder_layers"],
            ".embedding_length": c["d_model"], ".feed_forward_length": c["d_ff"], ".context_length": 512,
            ".attention.head_count": c["num_heads"], ".attention.key_length": c["d_kv"],
            ".attention.value_length": c["d_kv"],
            ".attention.relative_buckets_count": c["relative_attention_num_buckets"],
            ".attention.layer_norm_rms_epsilon": c["layer_norm_epsilon"],
            ".attention.layer_norm_epsilon": c["layer_norm_epsilon"], ".decoder_start_token_id": 0, **tokens(c),
            "relative_attention_max_distance": c["relative_attention_max_distance"],
            "is_gated_act": c["is_gated_act"], "tie_word_embeddings": c["tie_word_embeddings"]}
    parts = {"SelfAttention": "attn", "EncDecAttention": "cross_attn"}
    forward = {"wi": "ffn_up", "wi_0": "ffn_gate", "wi_1": "ffn_up", "wo": "ffn_down"}
    out = {}
    for name, array in tensors.items():
        words = name.split(".")
        if name == "shared.weight":
            to = "token_embd"
        elif name == "lm_head.weight":
            to = "output"
        elif words[1] == "final_layer_norm":
            to = words[0][:3] + ".output_norm"
        else:
            part, last = words[-3], words[-2]
            if last == "layer_norm":
                norms = ["attn_norm", "ffn_norm"] if words[0] == "encoder" else [
                    "attn_norm", "cross_attn_norm", "ffn_norm"]
                to = norms[int(words[4])]
            elif part in parts:
                to = parts[part] + "_" + ("rel_b" if last == "relative_attention_bias" else last)
            else:
                to = forward[last]
            to = f"{words[0][:3]}.blk.{words[2]}.{to}"
        out[to + ".weight"] = array
    return "t5", keys, out


import gguf_latent  # noqa: E402,F401 (DeepSeek and Qwen3-Next)

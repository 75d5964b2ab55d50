"""Configurations that say the same in other words, and those that ask for what a page has not.

In: the program qkv. The figures of checkpoints/ must come of a config.json that puts it otherwise: with the keys of
later years (`rope_parameters`, `layer_types`), without keys that others imply. What would change a number
and is not understood is an error that names the key, also where the page reads that key. By the interpreter, which
reads a configuration as the compiler does."""

import json
import os
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
from models_test import HERE, Checkpoint, difference  # noqa: E402


GONE = object()
SLIDING, FULL = "sliding_attention", "full_attention"


def parameters(c):
    """rope_parameters in the place of rope_theta and rope_scaling."""
    old = dict(c["rope_scaling"] or {})
    kind = old.pop("rope_type", old.pop("type", "default"))
    return {"rope_scaling": GONE, "rope_theta": GONE,
            "rope_parameters": {"rope_type": kind, "rope_theta": c["rope_theta"], **old}}


def by_kind(c):
    """The same of Gemma 3, which has two."""
    changed = parameters(c)
    far = changed["rope_parameters"]
    return {**changed, "rope_local_base_freq": GONE, "rope_parameters": {
        FULL: far, SLIDING: {"rope_type": "default", "rope_theta": c["rope_local_base_freq"]}}}


SAME = [
    ("llama-3", parameters), ("gpt-oss", parameters), ("deepseek-v2", parameters), ("deepseek-v3", parameters),
    ("gemma3", by_kind), ("llama-2", lambda c: {"rope_scaling": {"rope_type": "default"}}),
    ("gemma2", lambda c: {"layer_types": [SLIDING, FULL, SLIDING]}),
    ("gemma3", lambda c: {"layer_types": [SLIDING, SLIDING, FULL, SLIDING], "sliding_window_pattern": GONE}),
    ("gemma3", lambda c: {"_sliding_window_pattern": 3, "sliding_window_pattern": GONE,
                          "use_bidirectional_attention": False}),
    ("qwen2-window", lambda c: {"layer_types": [FULL, SLIDING, SLIDING], "max_window_layers": GONE}),
    ("qwen2", lambda c: {"layer_types": [FULL, SLIDING]}),  # (windows are not used)
    ("qwen3-next", lambda c: {"full_attention_interval": GONE}),
    ("smollm3", lambda c: {"no_rope_layers": GONE}),
    ("t5", lambda c: {"is_gated_act": GONE}), ("t5", lambda c: {"is_gated_act": GONE, "feed_forward_proj": GONE}),
    ("t5-gated", lambda c: {"is_gated_act": GONE}), ("t5", lambda c: {"tie_word_embeddings": GONE}),
    ("deepseek-v2-lite", lambda c: {"n_group": 4, "topk_group": 2}),  # (greedy: there are no groups)
]
OTHER = [
    ("gemma2", {"layer_types": [FULL, FULL, FULL]}), ("gemma2", {"layer_types": [SLIDING, SLIDING, SLIDING]}),
    ("gemma3", {"layer_types": [FULL, FULL, FULL, FULL]}), ("qwen2-window", {"layer_types": [SLIDING, FULL, FULL]}),
    ("smollm3", {"no_rope_layers": [0, 0, 1]}), ("llama-3", {"rope_theta": 3000.0}), ("mistral", {"sliding_window": None}),
    ("phi3-partial", {"sliding_window": 3}), ("qwen3", {"rms_norm_eps": 0.1}),
]
REFUSED = [
    ("gemma2", {"layer_types": ["chunked_attention"] * 3}, "layer_types.0"), ("qwen3", {"layer_types": [FULL, SLIDING]}, "layer_types.1"),
    ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gpt-oss", {"attention_bias": False}, "attention_bias"), ("deepseek-v3", {"scoring_func": "tanh"}, "scoring_func"),
    ("deepseek-v3", {"topk_method": "random"}, "topk_method"), ("t5", {"feed_forward_proj": "gated-silu"}, "feed_forward_proj"),
    ("t5", {"dense_act_fn": "silu"}, "dense_act_fn"), ("qwen3-moe", {"mlp_only_layers": [1]}, "mlp_only_layers.0"),
    ("phi3", {"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "rope_scaling.type"),
    ("llama-3", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_scaling.rope_type"),
    ("llama-3", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "rope_parameters.rope_type"),
    ("mistral", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_parameters.factor"),
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ("bloom", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection_post_layernorm"),
    ("gpt2", {"activation_function": "relu"}, "activation_function"), ("olmo2", {"clip_qkv": 8.0}, "clip_qkv"),
    ("granite4", {"position_embedding_type": "rope"}, "position_embedding_type"),
    ("llama-3", {"tie_word_embeddings": False}, "lm_head.weight"), ("granite4", {"tie_word_embeddings": False}, "lm_head.weight"),
    ("mamba", {"hidden_act": "gelu"}, "hidden_act"), ("lfm2", {"conv_bias": True}, "conv_bias"),
]


class Place:
    def __init__(self, qkv, name, folder):
        self.checkpoint = Checkpoint(qkv, name, folder)
        self.folder = os.path.join(folder, "ck")
        os.makedirs(self.folder, exist_ok=True)
        self.weights = os.path.join(self.folder, "model.safetensors")
        if os.path.lexists(self.weights):
            os.remove(self.weights)
        os.symlink(os.path.join(HERE, "checkpoints", name, "model.safetensors"), self.weights)
        with open(os.path.join(HERE, "checkpoints", name, "config.json")) as file:
            self.config = json.load(file)

    def change(self, changes):
        config = {key: value for key, value in {**self.config, **changes}.items() if value is not GONE}
        with open(os.path.join(self.folder, "config.json"), "w") as file:
            json.dump(config, file)

    def worst(self):
        results = self.checkpoint.results("interpret", weights=self.folder)
        return max(difference(results[name][2], values) for name, (_, _, values) in self.checkpoint.expected.items())


def main(qkv):
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in SAME:
            place = Place(qkv, name, folder)
            place.change(changes(place.config))
            assert place.worst() <= 1e-6, (name, changes(place.config))
        for name, changes in OTHER:
            place = Place(qkv, name, folder)
            place.change(changes)
            assert place.worst() > 1e-3, (name, changes)
        for name, changes, key in REFUSED:
            place = Place(qkv, name, folder)
            place.change(changes)
            ran = subprocess.run([qkv, "check", place.folder], capture_output=True, text=True)
            assert ran.returncode == 1 and f'"{key}"' in ran.stderr and "--ignore-config" in ran.stderr, (name, changes, ran)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Where the fuzzers of tokenizers, templates, grammars and configurations begin: make_seeds.py FOLDER.
What the tests of these have anyway, one case a file, and some grammars and schemas."""

import glob
import json
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "models")]
import gguf_checkpoint  # noqa: E402

# A vocabulary of each kind that a GGUF may have.
WORDS = ["<s>", "a", "b", "ab", "\u2581a", "\u0120b", "##b", "\\x61\\n", "\\'", "<0x09>"]
VOCABULARIES = {
    "rwkv": {}, "bert": {"unknown_token_id": 0, "cls_token_id": 1, "seperator_token_id": 2},
    "t5": {"scores": [-1.0] * len(WORDS), "unknown_token_id": 0, "eos_token_id": 0},
    "llama": {"scores": [-1.0] * len(WORDS), "bos_token_id": 0},
    "gpt2": {"pre": "deepseek-llm", "merges": ["a b"], "bos_token_id": 0, "add_bos_token": True},
}

GRAMMARS = [
    'root ::= "a" | [b-dé] root "x"{2,3}\n',
    'root ::= item (", " item)* # a list\nitem ::= [0-9]+ ("." [0-9]{1,3})? | "\\"" [^"\\n]* "\\""\n',
    'root ::= expr "="\nexpr ::= term ([-+*/] term)*\nterm ::= "(" expr ")" | [a-z]+ | "\\u00e9\\x41"\n',
    '{"type": "object", "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 1200}, "b": '
    '{"type": ["string", "null"], "maxLength": 5}}, "required": ["b"], "additionalProperties": false}',
    '{"$defs": {"n": {"type": "object", "properties": {"v": {"enum": [1, "x"]}, "next": {"$ref": "#/$defs/n"}}}},'
    ' "$ref": "#/$defs/n"}',
    '{"type": "array", "prefixItems": [{"type": "boolean"}], "items": {"type": "number", "exclusiveMinimum": 0},'
    ' "minItems": 1, "maxItems": 4}',
    '{"anyOf": [{"type": "string", "pattern": "^[a-c]{2,4}(x|y)?$"}, {"type": "string", "format": "date-time"}]}',
    '{"oneOf": [{"type": "string", "minLength": 2}, {"type": "integer"}, {"const": null}]}',
    '{"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},'
    ' {"properties": {"a": {"minimum": 2, "multipleOf": 5}, "b": {"const": 1}}}]}',
]
CONFIGURATIONS = [
    '{"a": 1e-05, "b": 9223372036854775807, "layer_types": ["x", "full_attention"]}',
    '{"a": {"b": [1, 2.5, {"c": null}]}, "b": -Infinity, "c": {"d": {"e": NaN}}, "a.b": "\\u00e9\\n"}',
]


def main(folder):
    def write(kind, name, text):
        place = os.path.join(folder, kind)
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    for path in sorted(glob.glob(os.path.join(TESTS, "tokenize", "figures", "*.json"))):
        with open(path, encoding="utf-8") as file:
            write("tokenizer", os.path.basename(path), json.dumps(json.load(file)["tokenizer"], ensure_ascii=False))
    with open(os.path.join(TESTS, "template", "goldens.json"), encoding="utf-8") as file:
        for i, case in enumerate(json.load(file)["cases"]):
            if len(case["template"]) < 2000:
                write("template", str(i), case["template"])
    for kind, keys in VOCABULARIES.items():
        keys = {"model": kind, "tokens": WORDS, **keys,
                "token_type": gguf_checkpoint.Signed([3] + [1] * (len(WORDS) - 1))}
        named = {"tokenizer.ggml." + key: value for key, value in keys.items()}
        with open(os.path.join(folder, "tokenizer", kind + ".gguf"), "wb") as file:
            file.write(gguf_checkpoint.gguf("none", named, {}))
    for kind, texts in (("grammar", GRAMMARS), ("configuration", CONFIGURATIONS)):
        for i, text in enumerate(texts):
            write(kind, str(i), text)


if __name__ == "__main__":
    main(sys.argv[1])

"""Vocabularies of figures/ written as GGUF files: the same tokens as the reference has for them.

In: the program qkv. WordPiece is stored as llama.cpp's converter does it (U+2581 before what begins a
word, no ## before what goes on with one), Unigram with its scores and the types of its tokens."""

import json
import os
import subprocess
import sys
import tempfile
from random import Random

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "models")]
import gguf_checkpoint  # noqa: E402

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6


def bert(tokenizer):
    special = {one["id"]: one["content"] for one in tokenizer["added_tokens"] if one["special"]}
    vocabulary = {i: x for x, i in tokenizer["model"]["vocab"].items()}
    stored, kinds = [], []
    for i in range(len(vocabulary)):
        text = vocabulary[i]
        if text.startswith("[") and text.endswith("]"):
            special[i] = text
        kinds.append(CONTROL if i in special else NORMAL)
        stored.append(text if i in special else text[2:] if text.startswith("##") else "\u2581" + text)
    ids = {x: i for i, x in vocabulary.items()}
    return {"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": stored,
            "tokenizer.ggml.token_type": gguf_checkpoint.Signed(kinds),
            "tokenizer.ggml.unknown_token_id": ids["[UNK]"], "tokenizer.ggml.cls_token_id": ids["[CLS]"],
            "tokenizer.ggml.seperator_token_id": ids["[SEP]"]}


def t5(tokenizer):
    model = tokenizer["model"]
    special = {one["id"]: one for one in tokenizer["added_tokens"]}
    kinds = []
    for i, (text, _) in enumerate(model["vocab"]):
        kinds.append(UNKNOWN if i == model["unk_id"] else BYTE if text.startswith("<0x") and len(text) == 6 else
                     (CONTROL if special[i]["special"] else USER) if i in special else NORMAL)
    return {"tokenizer.ggml.model": "t5", "tokenizer.ggml.tokens": [text for text, _ in model["vocab"]],
            "tokenizer.ggml.scores": [float(score) for _, score in model["vocab"]],
            "tokenizer.ggml.token_type": gguf_checkpoint.Signed(kinds), "tokenizer.ggml.unknown_token_id": model["unk_id"],
            "tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.add_eos_token": False}


def check(qkv, folder, name, keys_of, most=60):
    with open(os.path.join(HERE, "figures", name)) as file:
        figures = json.load(file)
    path = os.path.join(folder, "vocabulary.gguf")
    with open(path, "wb") as file:
        file.write(gguf_checkpoint.gguf("none", keys_of(figures["tokenizer"]), {}))
    special = [one["content"] for one in figures["tokenizer"]["added_tokens"]]
    compared = 0
    for case in figures["cases"]:
        # (Special tokens that are written in a text have no spaces beside them in a GGUF.)
        if compared == most or "fails" in case or any(one in case["text"] for one in special):
            continue
        ran = subprocess.run([qkv, "tokenize", "--weights", path], input=case["text"].encode(), capture_output=True)
        assert ran.returncode == 0, ran
        given = [int(x) for x in ran.stdout.split()]
        assert given == case["plain"], (name, case["text"], given, case["plain"])
        compared += 1
    print(name, compared)
    assert compared > 20, compared


def rwkv(qkv, folder):
    """Greedy from left to right over any bytes, by a search of its own; back again; what is wrong."""
    random = Random(7)
    tokens = [bytes([i]) for i in range(256)] + [b"the", b" the", b"there", b"\\n", b"'s", b"\n\n", "\u00e9".encode(),
                                                 "\u65e5\u672c".encode(), "\u65e5".encode()[:2], b"\xff\xfe", b"\"x"]
    tokens += [bytes(random.choice(b"abt he\xe6\x97") for _ in range(2 + i % 4)) for i in range(60)]
    tokens = list(dict.fromkeys(tokens))
    keys = {"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.tokens": ["<s>", *(repr(x)[2:-1] for x in tokens)],
            "tokenizer.ggml.token_type": gguf_checkpoint.Signed([CONTROL] + [NORMAL] * len(tokens))}
    path = os.path.join(folder, "vocabulary.gguf")

    def tokenize(text, changed, *options):
        with open(path, "wb") as file:
            file.write(gguf_checkpoint.gguf("none", {**keys, **changed}, {}))
        return subprocess.run([qkv, "tokenize", "--weights", path, *options], input=text, capture_output=True)

    text = b"there's\\n\n\n<s> " + b"".join(random.choice([*tokens, b"the ", b"\xe6\x97\xa5"]) for _ in range(4000))
    expected, at = [], 0
    while at < len(text):
        best = max((x for x in tokens if text.startswith(x, at)), key=len)
        expected.append(1 + tokens.index(best))
        at += len(best)
    ran = tokenize(text, {})
    assert [int(x) for x in ran.stdout.split()] == expected, ran.stderr
    assert tokenize(ran.stdout, {}, "--decode").stdout == text
    assert tokenize(b"<s>a", {}, "--special").stdout.split() == [b"0", b"98"]
    few = {"tokenizer.ggml.tokens": ["<s>", "a", "\\\\"], "tokenizer.ggml.token_type": gguf_checkpoint.Signed([3, 1, 1])}
    assert tokenize(b"a\\ba", {**few, "tokenizer.ggml.unknown_token_id": 0}).stdout.split() == [b"1", b"2", b"0", b"1"]
    for changed, wanted in ((few, "<0x62>"), ({**few, "tokenizer.ggml.tokens": ["<s>", "a", "\\x4"]}, "backslash"),
                            ({**few, "tokenizer.ggml.tokens": ["<s>", "a", "b\\"]}, "backslash")):
        ran = tokenize(b"ab", changed)
        assert ran.returncode == 1 and wanted in ran.stderr.decode(), ran


def refuses(qkv, folder):
    path = os.path.join(folder, "vocabulary.gguf")
    tokens = ["[UNK]", "[CLS]", "[SEP]", "\u2581a", "b"]
    keys = {"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": gguf_checkpoint.Signed([3, 3, 3, 1, 1]), "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.cls_token_id": 1, "tokenizer.ggml.seperator_token_id": 2}
    for change, wanted in [({}, ""), ({"tokenizer.ggml.tokens": tokens[:3] + ["\u2581A", "b"]}, "capitals"),
                           ({"tokenizer.ggml.cls_token_id": 9}, "cls_token_id"),
                           ({"tokenizer.ggml.model": "t5"}, "tokenizer.ggml.scores"),
                           ({"tokenizer.ggml.model": "t5", "tokenizer.ggml.scores": [0.0] * 5,
                             "tokenizer.ggml.precompiled_charsmap": gguf_checkpoint.Signed([1, 2])}, "charsmap")]:
        with open(path, "wb") as file:
            file.write(gguf_checkpoint.gguf("none", {**keys, **change}, {}))
        ran = subprocess.run([qkv, "tokenize", "--weights", path], input=b"ab", capture_output=True)
        assert ran.returncode == (1 if wanted else 0) and wanted in ran.stderr.decode(), (change, ran)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        check(sys.argv[1], where, "wordpiece.json", bert)
        check(sys.argv[1], where, "unigram-byte-fallback.json", t5)
        rwkv(sys.argv[1], where)
        refuses(sys.argv[1], where)

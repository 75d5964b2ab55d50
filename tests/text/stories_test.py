"""The language model of examples/10-language-model, which is a checkpoint like any other.

In: the program qkv. What must hold: tokens, logits and answers are those that torch gives (its train.py
--figures); a built program, lines together, keys in 16 bits, steps of any length say the same."""

import json
import os
import struct
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)
import safetensors  # noqa: E402

QKV = sys.argv[1]
CHECKPOINT = os.path.join(os.path.dirname(TESTS), "examples", "10-language-model")
FIGURES = os.path.join(CHECKPOINT, "figures")


def call(*command, text=""):
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done.stdout.decode()


def logits_are_those_of_torch(folder):
    out = os.path.join(folder, "out.safetensors")
    _, shape, wanted = safetensors.read(os.path.join(FIGURES, "logits.safetensors"))["logits"]
    wanted = struct.unpack(f"<{shape[0] * shape[1]}f", wanted)
    for chunk in ((), ("--chunk", "1"), ("--chunk", "7")):
        call(QKV, "run", CHECKPOINT, "--input", os.path.join(FIGURES, "tokens.safetensors"), "--output", out, *chunk)
        _, got_shape, got = safetensors.read(out)["logits"]
        assert got_shape == shape, (got_shape, shape)
        got = struct.unpack(f"<{len(wanted)}f", got)
        worst = max(abs(a - b) for a, b in zip(got, wanted))
        assert worst < 2e-4, worst


def answers_are_those_of_torch(folder):
    with open(os.path.join(FIGURES, "answers.json")) as file:
        said = json.load(file)
    for one in said:
        tokens = json.loads(call(QKV, "tokenize", "--weights", CHECKPOINT, "--special", "--json", text=one["prompt"]))["tokens"]
        assert tokens == one["tokens"], (tokens, one["tokens"])
    lines = "".join(one["prompt"] + "\n" for one in said)
    wanted = "".join(one["answer"] + "\n" for one in said)
    program = os.path.join(folder, "story")
    call(QKV, "build", CHECKPOINT, "--embed-weights", "--with-batch", "-o", program)
    for options in (("--batch", "1"), ("--batch", "4"), ("--batch", "10", "--prompt-chunk", "5")):
        assert call(program, "--max-tokens", "24", *options, text=lines) == wanted, options
    call(QKV, "build", CHECKPOINT, "--embed-weights", "--cache-type", "bf16", "-o", program)
    assert call(program, "--max-tokens", "24", "--prompt", said[0]["prompt"]).rstrip("\n") == said[0]["answer"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QKV_CODE"] = scratch  # a page is compiled once
        logits_are_those_of_torch(scratch)
        answers_are_those_of_torch(scratch)

#!/usr/bin/env python3
"""The models of a rung of examples/, trained: all ways to run them agree, and are right.

In:  a built qkv; the number of a rung, or `order`; the models' weights and figures (logits of two
     lines, and the text of lines, as another framework computes them: train.py --figures).
Out: what differs; exit code 1 then.
Holds: what is compared with what:
       logits, JIT              the figures, 1e-5 of the largest
       logits, built program    JIT, byte for byte
       logits, --chunk 1        --chunk 5, byte for byte; the figures
       text, built program      the figures' text; one line, the JIT's and the interpreter's
       text, --beams 4          --beams 4 of the JIT; no likelier date is missed than one in twenty
With QKV_LADDER_LINES=N the text of N lines is compared (default: 100), and of 20 the interpreter's.
"""

import os
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "examples"),
                os.path.join(ROOT, "examples", "dates")]
import generate  # noqa: E402
import safetensors  # noqa: E402
from rungs import ROWS  # noqa: E402

LINES = int(os.environ.get("QKV_LADDER_LINES", 0))
SENTENCES = "我是你爸爸", "你是我爸爸"


class Failed(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Failed(what)


def run(command, text=""):
    ran = subprocess.run(command, input=text.encode(), capture_output=True, timeout=250)
    expect(ran.returncode == 0, f"{' '.join(command)}: {ran.stderr.decode().strip()}")
    return ran.stdout


def floats(path, name="logits"):
    kind, shape, data = safetensors.read(path)[name]
    expect(kind == "F32", f"{path}: {name} is {kind}")
    return shape, struct.unpack(f"<{len(data) // 4}f", data)


def close(got, wanted, what):
    """Whether logits are within 1e-5 of the largest."""
    expect(got[0] == wanted[0], f"{what}: shape {got[0]} for {wanted[0]}")
    most = max(abs(x) for x in wanted[1])
    far = max(abs(x - y) for x, y in zip(got[1], wanted[1]))
    expect(far <= 1e-5 * most, f"{what}: {far} away, of {most}")


class Model:
    def __init__(self, qkv, row, folder):
        self.row, self.folder = row, folder
        self.program = os.path.join(folder, "program")
        page = [row.page, "--model", row.model, "--weights", row.weights]
        self.jit = [qkv, "run", *page]
        self.meaning = [qkv, "interpret", *page]
        run([qkv, "build", *page, "--with-steps", "--with-batch", "-o", self.program])

    def logits(self, command, kind):
        output = os.path.join(self.folder, "out.safetensors")
        run([*command, "--input", self.row.figures(kind), "--output", output])
        return floats(output)

    def text(self, command, sources, options):
        given = "".join(map(self.row.line, sources))
        answers = run([*command, *options], given).split(b"\n")[:-1]
        expect(len(answers) == len(sources), f"{len(answers)} answers to {len(sources)} lines")
        return answers


def check_logits(model):
    for kind in "plain", "long":
        wanted = floats(model.row.figures(kind))
        jit = model.logits(model.jit, kind)
        close(jit, wanted, f"{kind}: logits")
        expect(model.logits([model.program], kind) == jit, f"{kind}: the program's logits")
        steps = model.logits([model.program, "--chunk", "1"], kind)
        close(steps, wanted, f"{kind}: logits, --chunk 1")
        expect(model.logits([model.program, "--chunk", "5"], kind) == steps,
               f"{kind}: logits, --chunk 5")


def check_text(model):
    row, most = model.row, LINES or 100
    with open(row.figures("text").replace(".safetensors", ".txt"), "rb") as file:
        wanted = file.read().split(b"\n")[:-1]
    pairs = [pair for long in (False, True)
             for pair in generate.pairs(len(wanted) // 2, 2, long)][::max(1, len(wanted) // most)]
    wanted = wanted[::max(1, len(wanted) // most)]
    sources = [source for source, _ in pairs]
    got = model.text([model.program], sources, ["--batch", "32"])
    other = [n for n in range(len(got)) if got[n] != wanted[n]]
    expect(not other, f"{len(other)} of {len(got)} lines, the first: " +
           "".join(f"{sources[n]!r} is {got[n]}, the figures have {wanted[n]}" for n in other[:1]))
    few = 20 if LINES else 1
    for command, options in (model.jit, row.options), (model.meaning, row.options):
        for part in slice(few), slice(-few, None):
            expect(model.text(command, sources[part], options) == got[part],
                   f"text of {command[1]}")
    some = slice(None, None, max(1, len(sources) // 20))
    beams = ["--beams", "4", *row.options]
    found = model.text([model.program], sources[some], beams)
    expect(model.text(model.jit, sources[some], beams) == found, "text of run --beams 4")
    dates = [iso.encode() for _, iso in pairs[some]]
    right = [sum(a == b for a, b in zip(answers, dates)) for answers in (found, got[some])]
    expect(right[0] >= right[1] - 1, f"{right[0]} dates by --beams 4, {right[1]} without")


def check_rung(qkv, number):
    rows = [row for row in ROWS if row.folder.startswith(number)]
    expect(rows, f"there is no rung {number}")
    for row in rows:
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = Model(qkv, row, folder)
                check_logits(model)
                check_text(model)
            except Failed as why:
                raise Failed(f"{row.folder} {row.model}: {why}") from None
        print(f"{row.folder} {row.model}: as it should be", flush=True)


def encoded(qkv, model, weights, line):
    """What the encoder makes of each byte of a line."""
    page = os.path.join(ROOT, "examples", "06-order", "order.qkv")
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "trace.safetensors")
        run([qkv, "run", page, "--model", model, "--weights",
             os.path.join(ROOT, "examples", weights + ".safetensors"), "--trace", "encoder.m",
             "--output", output], line + "\n")
        tensors = safetensors.read(output)
        name, = (name for name in tensors if name.endswith("encoder.m"))
        (rows, columns), values = floats(output, name)
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]


def check_order(qkv):
    """Without positions two sentences of the same bytes are the same set of vectors; with them, not."""
    for model, weights, lost in (("none", "05-attention/set", True),
                                 ("sinusoidal_positions", "06-order/sinusoidal", False),
                                 ("learned_positions", "06-order/learned", False),
                                 ("rotary_positions", "06-order/rotary", False),
                                 ("alibi_positions", "06-order/alibi", False)):
        a, b = (encoded(qkv, model, weights, line) for line in SENTENCES)
        # Of each vector of one sentence, how far the nearest one of the other is.
        far = max(min(max(abs(x - y) for x, y in zip(one, other)) for other in b) for one in a)
        expect(far < 1e-4 if lost else far > 1e-2,
               f"{model}: {SENTENCES[0]} and {SENTENCES[1]} are {far} apart")
        print(f"{model}: {far:.2g} apart")


def main():
    qkv, what = sys.argv[1:]
    try:
        if what == "order":
            check_order(qkv)
        else:
            check_rung(qkv, what)
    except Failed as why:
        sys.exit(f"ladder_test.py: {why}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The models of a rung of examples/, trained: all ways to run them agree, and are right.

In:  a built qkv; the number of a rung, `order` or `pages`; how much of a rung (below); the models' weights and
     figures (logits of two lines, and the text of 1,000, as another framework computes them: train.py
     --figures).
Out: what differs; exit code 1 then.
Holds: what is compared with what:
       figures  each model's logits of the long line with the figures, 1e-5 of the largest; the first
                one's text of 20 lines, too
       ways     of the first model: logits by --chunk 1 with the figures and, byte for byte, with
                --chunk 5; the interpreter's text of 2 lines; --beams 4, which misses no more than one
                date of those that are found without
       built    the same of the built program, its logits byte for byte the JIT's, its text of 1,000
                lines, 32 at a time
       order    two sentences of the same bytes, with positions and without
       pages    what the README of each rung says that its commands write
       long     figures, ways and built of every model: both kinds of lines, the text of all 1,000
                by the JIT and the program, of 20 by the interpreter, --beams 4 for 100; of all
                rungs where the number is `all`
"""

import os
import re
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
        self.page = [row.page, "--model", row.model, "--weights", row.weights]
        self.jit = [qkv, "run", *self.page]
        self.meaning = [qkv, "interpret", *self.page]
        with open(row.figures("text").replace(".safetensors", ".txt"), "rb") as file:
            self.written = file.read().split(b"\n")[:-1]
        half = len(self.written) // 2
        self.pairs = [pair for long in (False, True) for pair in generate.pairs(half, 2, long)]

    def built(self, qkv):
        program = os.path.join(self.folder, "program")
        run([qkv, "build", *self.page, "--with-steps", "--with-batch", "-o", program])
        return [program]

    def logits(self, command, kind):
        output = os.path.join(self.folder, "out.safetensors")
        run([*command, "--input", self.row.figures(kind), "--output", output])
        return floats(output)

    def text(self, command, part, options=()):
        """What is written for some of the lines."""
        sources = [source for source, _ in self.pairs[part]]
        options = [*(self.row.options if "--batch" not in options else []), *options]
        answers = run([*command, *options], "".join(map(self.row.line, sources))).split(b"\n")[:-1]
        expect(len(answers) == len(sources), f"{len(answers)} answers to {len(sources)} lines")
        return answers


def check_figures(model, kinds, every):
    """every: of so many lines one; 0: none."""
    for kind in kinds:
        close(model.logits(model.jit, kind), floats(model.row.figures(kind)), f"{kind}: logits")
    if every:
        some = slice(None, None, every)
        check_same(model, model.text(model.jit, some), model.written[some], some)


def check_same(model, got, wanted, part):
    for answer, other, (source, _) in zip(got, wanted, model.pairs[part]):
        expect(answer == other, f"{source!r} is {answer}, the figures have {other}")


def check_ways(model, command, count, every):
    """Of qkv run or a built program: the first and last `count` lines by the interpreter, one of
    `every` by beams."""
    steps = model.logits([*command, "--chunk", "1"], "long")
    close(steps, floats(model.row.figures("long")), "logits by --chunk 1")
    expect(model.logits([*command, "--chunk", "5"], "long") == steps, "logits by --chunk 5")
    for part in (slice(count), slice(-count, None)) if count else ():
        check_same(model, model.text(model.meaning, part), model.written[part], part)
    some = slice(None, None, every)
    found, greedy = model.text(command, some, ["--beams", "4"]), model.written[some]
    right = [sum(answer == iso.encode() for answer, (_, iso) in zip(answers, model.pairs[some]))
             for answers in (found, greedy)]
    expect(right[0] >= right[1] - max(1, len(greedy) // 50),
           f"{right[0]} dates by --beams 4, {right[1]} without")
    return found


def check_built(qkv, model, count, every):
    program = model.built(qkv)
    for kind in "plain", "long":
        expect(model.logits(program, kind) == model.logits(model.jit, kind), f"{kind}: logits")
    everything = slice(None)
    check_same(model, model.text(program, everything, ["--batch", "32"]), model.written, everything)
    expect(check_ways(model, program, count, every) == model.text(
        model.jit, slice(None, None, every), ["--beams", "4"]), "text by --beams 4")


def check_rung(qkv, number, what):
    rows = [row for row in ROWS if number == "all" or row.folder.startswith(number)]
    expect(rows, f"there is no rung {number}")
    for row in rows if what in ("figures", "long") else rows[:1]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = Model(qkv, row, folder)
                if what == "figures":
                    check_figures(model, ["long"], every=50 if row == rows[0] else 0)
                elif what == "ways":
                    check_ways(model, model.jit, count=1, every=100)
                elif what == "built":
                    check_built(qkv, model, count=1, every=100)
                else:
                    check_figures(model, ["plain", "long"], every=1)
                    check_ways(model, model.jit, count=0, every=1000)
                    check_built(qkv, model, count=10, every=10)
            except Failed as why:
                raise Failed(f"{row.folder} {row.model}: {why}") from None
        print(f"{row.folder} {row.model}: as it should be", flush=True)


def encoded(qkv, model, weights, line):
    """What the encoder makes of each byte of a line."""
    page = os.path.join(ROOT, "examples", "06-order", "order.qkv")
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "trace.safetensors")
        run([qkv, "run", page, "--model", model, "--max-tokens", "1", "--weights",
             os.path.join(ROOT, "examples", weights + ".safetensors"), "--trace", "encoder.norm.z",
             "--output", output], line + "\n")
        tensors = safetensors.read(output)
        name, = (name for name in tensors if name.endswith("encoder.norm.z"))
        (rows, columns), values = floats(output, name)
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]


def check_order(qkv):
    """Without positions two sentences of the same bytes are the same set of vectors; with them, not.
    (The picture of rung 6, which tools/plot --check compares, has the other positions.)"""
    for model, weights, lost in (("none", "05-attention/set", True),
                                 ("rotary_positions", "06-order/rotary", False)):
        a, b = (encoded(qkv, model, weights, line) for line in SENTENCES)
        # Of each vector of one sentence, how far the nearest one of the other is.
        far = max(min(max(abs(x - y) for x, y in zip(one, other)) for other in b) for one in a)
        expect(far < 1e-4 if lost else far > 1e-2,
               f"{model}: {SENTENCES[0]} and {SENTENCES[1]} are {far} apart")
        print(f"{model}: {far:.2g} apart")


def blocks(page):
    """Of a README each block of commands, with what they write where that stands behind it."""
    with open(page, encoding="utf-8") as file:
        parts = re.split(r"^```(.*)$", file.read(), flags=re.M)
    # Text, then: the kind of a block, the block, "", text, ...
    for at in range(1, len(parts) - 2, 4):
        if parts[at] == "sh" and "train.py" not in parts[at + 1]:
            follows = not parts[at + 3].strip() and len(parts) > at + 5 and not parts[at + 4]
            yield parts[at + 1].strip(), parts[at + 5].strip() if follows else None


def check_pages(qkv, rungs):
    for rung in rungs:
        page = os.path.join(ROOT, "examples", rung, "README.md")
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "build", "bin"))
            os.symlink(os.path.abspath(qkv), os.path.join(folder, "build", "bin", "qkv"))
            for name in "dsl", "examples", "tools":
                os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
            for commands, writes in blocks(page):
                ran = subprocess.run(["bash", "-euc", commands], cwd=folder, capture_output=True,
                                     text=True, timeout=250)
                expect(ran.returncode == 0, f"{page}: {commands}\n{ran.stderr}")
                expect(writes is None or ran.stdout.strip() == writes,
                       f"{page}: {commands}\nwrites\n{ran.stdout}and not\n{writes}")
        print(f"{rung}: as it says", flush=True)


def main():
    qkv, rung, *what = sys.argv[1:]
    try:
        if rung == "order":
            check_order(qkv)
        elif rung == "pages":
            check_pages(qkv, what or sorted({row.folder for row in ROWS} | {"10-language-model"}))
        else:
            check_rung(qkv, rung, *(what or ["figures"]))
    except Failed as why:
        sys.exit(f"ladder_test.py: {why}")


if __name__ == "__main__":
    main()

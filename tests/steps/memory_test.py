"""Sequences that go back, that begin as others do, that forget.

In: the program qkv. What must hold: a sequence that went back to a snapshot gives the bytes of the
whole when it is fed again, whatever kinds of states the model has; texts do not depend on what others
begin with; a stream that slides goes on as one does that never knew what was forgotten."""

import ctypes
import json
import os
import random
import re
import sys
import tempfile
import unittest

from steps_test import QKV, Arguments, opened, run

# A history, a window, a recurrence and a running sum.
PAGE = """size T = stream(max: {max}), V = 258, C = 8
index t < T, u < T, v < V, c < C
model mixed(tokens[t] : token) -> logits[t,v] {{
  x[t,c] = cos((tokens[t] + 1) * (c + 2) * 0.21)
  h[-1,c] = 0
  h[t,c] = tanh(0.9 * h[t-1,c] + x[t,c])
  r[t,c] = sum[u](0.7 ^ (t - u) * x[u,c] where u <= t)
  a[t,u] = softmax[u](sum[c](x[t,c] * x[u,c]) where u <= t and t - u < 70)
  b[t,u] = softmax[u](sum[c](x[t,c] * h[u,c]) where u <= t)
  y[t,c] = sum[u](a[t,u] * x[u,c]) + sum[u](b[t,u] * x[u,c]) + h[t,c] + r[t,c]
  logits[t,v] = sum[c](y[t,c] * sin((v + 3) * (c + 1) * 0.11))
}}
"""
VOCABULARY = 258


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.page = os.path.join(cls.folder.name, "mixed.qkv")
        with open(cls.page, "w") as file:
            file.write(PAGE.format(max=400))
        cls.program = os.path.join(cls.folder.name, "mixed")
        run(QKV, "build", cls.page, "--with-batch", "-o", cls.program)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_cache_is_kept_as_weights_are(self):
        def state(*options):
            states = json.loads(run(QKV, "state", self.page, "--json", *options).stdout)
            return states["bytes_per_position"]

        as_weights, asked = state("--weights-type", "bf16"), state("--cache-type", "bf16")
        self.assertEqual(2 * as_weights, state())
        self.assertEqual(as_weights, asked)
        self.assertEqual(state("--weights-type", "bf16", "--cache-type", "f32"), state())

    def test_snapshots(self):
        path = os.path.join(self.folder.name, "libmixed.so")
        run(QKV, "build", self.page, "--shared", "--with-steps", "-o", path)
        library, model, session = opened(path, "mixed")
        random.seed(3)
        tokens = [random.randrange(256) for _ in range(300)]

        def step(sequence, first, count):
            given = (ctypes.c_int64 * count)(*tokens[first:first + count])
            rows = (ctypes.c_float * (VOCABULARY * count))()
            arguments = Arguments(ctypes.sizeof(Arguments), count, ctypes.addressof(given), ctypes.addressof(rows))
            self.assertEqual(library.mixed_sequence_step(sequence, ctypes.byref(arguments), None), 0)
            return bytes(rows)

        def back(sequence, to):
            return library.mixed_sequence_rewind(sequence, ctypes.c_int64(to), None)

        empty = Arguments(ctypes.sizeof(Arguments), 0, None, None)
        new = lambda: ctypes.c_void_p(library.mixed_sequence_begin(session, ctypes.byref(empty), None))
        first = new()
        whole = step(first, 0, 300)
        rows = lambda at, count: whole[4 * VOCABULARY * at:4 * VOCABULARY * (at + count)]
        self.assertEqual(back(first, 299), -1)  # nobody asked for snapshots
        self.assertEqual(library.mixed_sequence_positions(first), 300)

        sequence, at = new(), 0
        self.assertEqual(library.mixed_sequence_snapshots(sequence, ctypes.c_int64(16), None), 0)
        for count in (5, 10, 1, 1, 40, 3, 100, 64, 7):
            self.assertEqual(step(sequence, at, count), rows(at, count))
            at += count
        copy = ctypes.c_void_p(library.mixed_sequence_copy(sequence, None))
        for one in (sequence, copy):
            for target, reached in ((231, 231), (230, 224), (223, 160), (159, 57), (59, 57), (31, 16), (15, 0)):
                at = library.mixed_sequence_positions(one)
                if at < target:
                    self.assertEqual(step(one, at, target - at), rows(at, target - at))
                got = back(one, target)
                self.assertEqual(got, reached)
                self.assertEqual(library.mixed_sequence_positions(one), got)
                self.assertEqual(step(one, got, 3), rows(got, 3))
        self.assertEqual(back(sequence, -1), -1)
        self.assertEqual(back(sequence, 301), -1)
        # One of now alone.
        at = library.mixed_sequence_positions(first)
        self.assertEqual(library.mixed_sequence_snapshots(first, ctypes.c_int64(0), None), 0)
        self.assertEqual(back(first, at), at)
        for one in (first, sequence, copy):
            library.mixed_sequence_end(one)
        library.mixed_session_close(session)
        library.mixed_close(model)

    def test_room_is_bounded(self):
        path = os.path.join(self.folder.name, "libbounded.so")
        run(QKV, "build", self.page, "--shared", "--with-steps", "-o", path)
        library, model, session = opened(path, "mixed")

        class Error(ctypes.Structure):
            _fields_ = [("size", ctypes.c_size_t), ("line", ctypes.c_int32), ("column", ctypes.c_int32),
                        ("length", ctypes.c_int32), ("file", ctypes.c_char * 256), ("text", ctypes.c_char * 1024)]

        error = Error(ctypes.sizeof(Error))
        empty = Arguments(ctypes.sizeof(Arguments), 0, None, None)
        bound = lambda sequences, size: library.mixed_session_limit(
            session, ctypes.c_int64(sequences), ctypes.c_int64(size), ctypes.byref(error))

        def step(sequence, count):
            given = (ctypes.c_int64 * count)(*range(count))
            rows = (ctypes.c_float * (VOCABULARY * count))()
            arguments = Arguments(ctypes.sizeof(Arguments), count, ctypes.addressof(given), ctypes.addressof(rows))
            return library.mixed_sequence_step(sequence, ctypes.byref(arguments), ctypes.byref(error))

        self.assertEqual(bound(-1, 0), -1)
        self.assertEqual(bound(2, 0), 0)
        sequence = ctypes.c_void_p(library.mixed_sequence_begin(session, ctypes.byref(empty), None))
        self.assertEqual(step(sequence, 50), 0)
        kept = library.mixed_sequence_bytes(sequence)
        copy = ctypes.c_void_p(library.mixed_sequence_copy(sequence, None))
        self.assertIsNone(library.mixed_sequence_begin(session, ctypes.byref(empty), ctypes.byref(error)))
        self.assertIn(b"2 sequences, which are as many as it may have", error.text)
        self.assertIsNone(library.mixed_sequence_copy(sequence, ctypes.byref(error)))
        # A step finds room, or changes nothing.
        self.assertEqual(bound(0, 3 * kept), 0)
        self.assertEqual(step(sequence, 20), 0)
        self.assertEqual(step(copy, 100), -1)
        self.assertIn(b"of the %d that sequences may keep together" % (3 * kept), error.text)
        self.assertEqual(library.mixed_sequence_positions(copy), 50)
        self.assertEqual(library.mixed_sequence_bytes(copy), kept)
        self.assertEqual(step(copy, 20), 0)
        self.assertIsNone(library.mixed_sequence_copy(sequence, ctypes.byref(error)))
        library.mixed_sequence_end(sequence)  # which makes room
        self.assertEqual(step(copy, 40), 0)
        library.mixed_sequence_end(copy)
        self.assertEqual(bound(0, 1), 0)
        self.assertIsNone(library.mixed_sequence_begin(session, ctypes.byref(empty), ctypes.byref(error)))
        library.mixed_session_close(session)
        library.mixed_close(model)
        # The program: a line that finds no room is an error, the others are answered.
        text = b"one\n" + 60 * b"a long line " + b"\ntwo\n"
        page = os.path.join(self.folder.name, "long.qkv")
        with open(page, "w") as file:
            file.write(PAGE.format(max=1000))
        options = ("--max-tokens", "3", "--logit-bias", "257=-100", "--batch", "1")
        free = run(QKV, "run", page, *options, text=text).stdout.split(b"\n")
        got = run(QKV, "run", page, *options, "--cache-size", "20K", text=text, code=1)
        self.assertIn(b"that sequences may keep together", got.stderr)
        answers = got.stdout.split(b"\n")
        self.assertEqual(answers[0], free[0])
        self.assertEqual(answers[-2], free[-2])
        self.assertEqual(run(QKV, "run", page, *options, "--cache-size", "1G", text=text).stdout.split(b"\n"), free)
        for wrong in ("", "K", "0", "5X", "-3", "9999999999G"):
            self.assertIn(b"expected a number of bytes",
                          run(QKV, "run", page, "--cache-size", wrong, text=text, code=2).stderr)

    def test_what_nobody_asks_for(self):
        # A step without results gives the same states, alone and with others, whoever wants some.
        page, path = (os.path.join(self.folder.name, name) for name in ("asked.qkv", "libasked.so"))
        with open(page, "w") as file:
            file.write(PAGE.format(max=400).replace("x[t,c] * h[u,c]", "x[t,c] * x[u,c]"))
        run(QKV, "build", page, "--shared", "--with-steps", "--with-batch", "-o", path)
        library, model, session = opened(path, "mixed")
        random.seed(5)
        texts = [(ctypes.c_int64 * 90)(*(random.randrange(256) for _ in range(90))) for _ in range(3)]
        empty = Arguments(ctypes.sizeof(Arguments), 0, None, None)

        def steps(part, numbers, asks):
            """The last results of some texts, in steps of 7 to 30 positions."""
            sequences = (ctypes.c_void_p * len(numbers))(
                *(library.mixed_sequence_begin(session, ctypes.byref(empty), None) for _ in numbers))
            out = [(ctypes.c_float * (VOCABULARY * 90))() for _ in numbers]
            at = 0
            for count in (7, 30, 1, 13, 9, 30):
                given = [Arguments(ctypes.sizeof(Arguments), count, ctypes.addressof(texts[n]) + 8 * at,
                                   ctypes.addressof(rows) if asks(n, at + count == 90) else None)
                         for n, rows in zip(numbers, out)]
                pointers = (ctypes.c_void_p * len(given))(*map(ctypes.addressof, given))
                together = getattr(library, "mixed_sequences_" + part)
                self.assertEqual(together(sequences, ctypes.c_int64(len(numbers)), pointers, None), 0)
                at += count
            for sequence in sequences:
                library.mixed_sequence_end(ctypes.c_void_p(sequence))
            return [bytes(rows)[:4 * VOCABULARY * (30 if part == "step" else 1)] for rows in out]

        for part in ("next", "step"):
            whole = [steps(part, [n], lambda n, last: True)[0] for n in range(3)]
            self.assertEqual(len(set(whole)), 3)
            at_the_end = lambda n, last: last
            self.assertEqual([steps(part, [n], at_the_end)[0] for n in range(3)], whole)
            self.assertEqual(steps(part, [0, 1, 2], at_the_end), whole)
            self.assertEqual(steps(part, [2, 0, 1], lambda n, last: last or n == 1), whole[2:] + whole[:2])
        library.mixed_session_close(session)
        library.mixed_close(model)

    def test_what_all_begin_with_is_computed_once(self):
        head = "You are asked to be brief, to be right, and to be kind. "
        lines = [head + rest for rest in ("One?", "Two?", "Three, or four?", "", "O")] + ["another", head]
        text = "".join(line + "\n" for line in lines).encode()
        options = ("--max-tokens", "8", "--logit-bias", "257=-100", "--temperature", "1")
        # (Sequences of the page with a recurrence in its scores do not step together.)
        page, plain = (os.path.join(self.folder.name, name) for name in ("plain.qkv", "plain"))
        with open(page, "w") as file:
            file.write(PAGE.format(max=400).replace("x[t,c] * h[u,c]", "x[t,c] * x[u,c]"))
        run(QKV, "build", page, "--with-batch", "-o", plain)
        for program, batch in ((self.program, "1"), (plain, "1"), (plain, "3"), (plain, "8")):
            done = run(program, "--batch", batch, "--stats", *options, text=text)
            shared = re.search(rb"(\d+) of the prompts' computed for several", done.stderr)
            self.assertTrue(shared, done.stderr)
            self.assertGreaterEqual(int(shared[1]), 3 * len(head))
            answers = done.stdout.split(b"\n")
            # Alone, each as if it were the n-th line: what is drawn depends on its number.
            for number, line in enumerate(lines):
                before = b"".join(b"%d\n" % n for n in range(number))
                alone = run(program, "--batch", "1", *options, text=before + line.encode() + b"\n")
                self.assertEqual(alone.stdout.split(b"\n")[number], answers[number], (batch, line))

    def test_sliding(self):
        # Full at 40: the first 3 stay, of the 37 others the latest 18.
        options = ("--tokens", "--logit-bias", "257=-100", "--context", "40")
        prompt = [(7 * n * n + 3) % 256 for n in range(30)]
        text = lambda tokens: " ".join(map(str, tokens))
        generated = []

        def more(tokens, count):
            out = run(self.program, *options, "--max-tokens", str(count), "--prompt", text(tokens)).stdout
            return [int(token) for token in out.split()]

        tokens = list(prompt)
        while len(generated) < 60:
            new = more(tokens, min(40 - len(tokens), 60 - len(generated)))
            generated += new
            tokens += new
            if len(tokens) == 40:
                tokens = tokens[:3] + tokens[22:]
        out = run(self.program, *options, "--max-tokens", "60", "--prompt", text(prompt), "--slide", "3").stdout
        self.assertEqual([int(token) for token in out.split()], generated)
        out = run(self.program, *options, "--max-tokens", "60", "--prompt", text(prompt), "--slide", "3",
                  "--snapshots", "4").stdout
        self.assertEqual([int(token) for token in out.split()], generated)
        wrong = run(self.program, *options, "--slide", "40", "--prompt", "1", code=1)
        self.assertIn(b"--slide keeps 40 tokens, the context has no more than 40", wrong.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

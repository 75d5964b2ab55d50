"""Built programs and libraries that go on from what they keep.

In: the program qkv. What must hold: any number of positions at a time gives the bytes of the whole; text
does not depend on how a prompt is cut, nor on a batch; stop strings, limits and seeds do what they
say; a sequence of the C interface gives the rows of the whole, and so do its copy and one that went
back."""

import ctypes
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import safetensors  # noqa: E402

QKV = sys.argv[1]
MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lm.qkv")
SHAPES = {"emb": [258, 32], "q": [4, 8, 32], "k": [4, 8, 32], "v": [4, 8, 32], "o": [32, 4, 8]}
VOCABULARY, POSITIONS = 258, 200


def floats(path):
    """The bytes of the one tensor in a file."""
    (_, _, data), = safetensors.read(path).values()
    return data


def run(*command, text=b"", code=0):
    done = subprocess.run(command, input=text, capture_output=True)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stderr.decode()}")
    return done


def opened(path, prefix):
    """A model's library, the model, and a session of it."""
    library = ctypes.CDLL(path)
    for name, type in (("open", ctypes.c_void_p), ("session_open", ctypes.c_void_p),
                       ("sequence_begin", ctypes.c_void_p), ("sequence_copy", ctypes.c_void_p),
                       ("sequence_rewind", ctypes.c_int64), ("sequence_positions", ctypes.c_int64),
                       ("sequence_bytes", ctypes.c_size_t)):
        getattr(library, prefix + "_" + name).restype = type
    model = ctypes.c_void_p(getattr(library, prefix + "_open")(None, None))
    session = ctypes.c_void_p(getattr(library, prefix + "_session_open")(model, None))
    return library, model, session


class Arguments(ctypes.Structure):
    """Of a generator without a source."""

    _fields_ = [("size", ctypes.c_size_t), ("T", ctypes.c_int64), ("tokens", ctypes.c_void_p),
                ("logits", ctypes.c_void_p)]


class Steps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        at = lambda name: os.path.join(cls.folder.name, name)
        random.seed(7)
        tensors = {}
        for name, shape in SHAPES.items():
            count = 1
            for extent in shape:
                count *= extent
            values = [random.gauss(0, 1 if name == "emb" else 0.3) for _ in range(count)]
            tensors[name] = ("F32", shape, struct.pack(f"<{count}f", *values))
        cls.weights, cls.input, cls.output = at("w.safetensors"), at("in.safetensors"), at("out.safetensors")
        safetensors.write(cls.weights, tensors)
        cls.tokens = [random.randrange(256) for _ in range(POSITIONS)]
        safetensors.write(cls.input, {"tokens": ("I64", [POSITIONS], struct.pack(f"<{POSITIONS}q", *cls.tokens))})
        cls.program, cls.library = at("lm"), at("liblm.so")
        run(QKV, "build", MODEL, "--weights", cls.weights, "--embed-weights", "--with-steps", "--with-batch",
            "-o", cls.program)
        run(QKV, "build", MODEL, "--weights", cls.weights, "--embed-weights", "--with-steps", "--with-batch",
            "--shared", "-o", cls.library)
        run(cls.program, "--input", cls.input, "--output", cls.output)
        cls.whole = floats(cls.output)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def text(self, *options, text=b"", code=0):
        return run(self.program, *options, text=text, code=code).stdout

    def test_any_chunk_gives_the_whole(self):
        for chunk in (1, 3, 64, 199, 200, 1000):
            run(self.program, "--input", self.input, "--output", self.output, "--chunk", str(chunk))
            self.assertEqual(floats(self.output), self.whole, chunk)

    def test_text_does_not_depend_on_how_a_prompt_is_cut(self):
        prompt = "a prompt that is cut in pieces of any length"
        draws = ("--temperature", "1.5", "--max-tokens", "40", "--logit-bias", "257=-100")
        whole = self.text("--prompt", prompt, *draws)
        self.assertGreater(len(whole), 20)
        for chunk in ("1", "7", "64"):
            self.assertEqual(self.text("--prompt", prompt, *draws, "--prompt-chunk", chunk), whole)
        self.assertEqual(run(QKV, "run", MODEL, "--weights", self.weights, "--prompt", prompt, *draws).stdout, whole)
        self.assertNotEqual(self.text("--prompt", prompt, *draws, "--seed", "1"), whole)

    def test_lines_in_a_batch(self):
        lines = b"one\ntwo\n\nthree\nfour\nfive\nsixteen\nsix\n" + b"a long one " * 20 + b"\nlast"
        options = ("--max-tokens", "12", "--logit-bias", "257=-100", "--temperature", "1")
        alone = self.text("--batch", "1", *options, text=lines)
        self.assertEqual(alone.count(b"\n") >= 10, True)
        for batch in ("2", "3", "8", "64"):
            self.assertEqual(self.text("--batch", batch, *options, text=lines), alone)
        # A line that is too long is reported in its place, and does not keep the others from theirs.
        wrong = run(self.program, "--batch", "4", *options, text=b"one\n" + b"x" * 600 + b"\ntwo\n", code=1)
        self.assertIn(b"line 2: ", wrong.stderr)
        self.assertEqual(wrong.stdout, self.text(*options, "--batch", "1", text=b"one\n\ntwo\n"))

    def test_a_line_that_ends_makes_room(self):
        # The first answers come out while standard input is still open.
        with subprocess.Popen([self.program, "--batch", "2", "--max-tokens", "3", "--logit-bias", "257=-100"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            for line in (b"one\n", b"a longer one\n", b"three\n"):
                program.stdin.write(line)
                program.stdin.flush()
                self.assertTrue(program.stdout.readline())
            program.stdin.close()
            self.assertEqual(program.wait(), 0)

    def test_sources_of_different_lengths_in_a_batch(self):
        page = os.path.join(self.folder.name, "sources.qkv")
        with open(page, "w") as file:
            file.write("""size T = stream(max: 32), S = dynamic(max: 40), V = 258, C = 8
index t < T, u < T, j < S, v < V, c < C
model sources(source[j] : token, tokens[t] : token) -> logits[t,v] {
  x[j,c] = sin((source[j] + 1) * (c + 1) * 0.37)
  y[t,c] = cos((tokens[t] + 1) * (c + 2) * 0.21 + t * 0.1)
  w[t,j] = softmax[j](sum[c](y[t,c] * x[j,c]))
  a[t,u] = softmax[u](sum[c](y[t,c] * y[u,c]) where t - u < 5 and u <= t)
  z[t,c] = sum[j](w[t,j] * x[j,c]) + sum[u](a[t,u] * y[u,c])
  logits[t,v] = sum[c](z[t,c] * sin((v + 3) * (c + 1) * 0.11))
}
""")
        program = os.path.join(self.folder.name, "sources")
        run(QKV, "build", page, "--with-batch", "-o", program)
        stage = run(QKV, "ir", page, "--with-batch", "--with-steps", "--stage", "graph").stdout
        self.assertIn(b"@sources.next.mixed", stage)
        text = b"".join(b"x" * n + b"ab\n" for n in (3, 1, 38, 7, 7, 20, 2))
        options = ("--max-tokens", "20", "--logit-bias", "257=-100", "--temperature", "2")
        alone = run(program, *options, text=text).stdout
        for batch in ("2", "3", "16"):
            self.assertEqual(run(program, *options, "--batch", batch, text=text).stdout, alone)
        self.assertEqual(run(QKV, "run", page, *options, "--batch", "3", text=text).stdout, alone)

    def test_beams(self):
        page = os.path.join(self.folder.name, "beams.qkv")
        with open(page, "w") as file:
            file.write("""size T = stream(max: 32), V = 5
index t < T, u < T, v < V
model beams(tokens[t] : token) -> logits[t,v] {
  past[t] = sum[u]((tokens[u] + 1) * (u + 1) where u <= t)
  logits[t,v] = 2 * sin((past[t] + 1) * (v + 2) * 1.7)
}
""")
        program = os.path.join(self.folder.name, "beams")
        run(QKV, "build", page, "--with-batch", "-o", program)

        def shares(tokens):
            past = sum((token + 1) * (at + 1) for at, token in enumerate(tokens))
            logits = [2 * math.sin((past + 1) * (v + 2) * 1.7) for v in range(5)]
            total = math.log(sum(math.exp(x) for x in logits))
            return [x - total for x in logits]

        def best(prompt, count, width):
            beams = [(0.0, list(prompt))]
            for _ in range(count):
                beams = sorted(((score + share, tokens + [v]) for score, tokens in beams
                                for v, share in enumerate(shares(tokens))), key=lambda beam: -beam[0])[:width]
            return bytes(beams[0][1][len(prompt):]) + b"\n"

        prompts = [b"\1\2", b"\1", b"\4\3\3\1\2", b"\2\2"]
        for width in (1, 2, 3, 1024):  # the last: all there are
            wanted = [best(prompt, 4, width) for prompt in prompts]
            for prompt, text in zip(prompts, wanted):
                options = ("--prompt", prompt, "--max-tokens", "4", "--beams", str(width))
                self.assertEqual(run(program, *options).stdout, text)
                self.assertEqual(run(QKV, "interpret", page, *options).stdout, text)
            for batch in ("1", "3"):
                self.assertEqual(run(program, "--batch", batch, "--max-tokens", "4", "--beams", str(width),
                                     text=b"\n".join(prompts)).stdout, b"".join(wanted))
        self.assertNotEqual(best(prompts[0], 4, 1), best(prompts[0], 4, 1024))
        for wrong in (("--beams", "0"), ("--beams", "4", "--temperature", "1"), ("--length-penalty", "x")):
            self.assertNotEqual(subprocess.run([program, "--prompt", "\1", *wrong], capture_output=True).returncode, 0)

    def test_limits_and_stops(self):
        options = ("--prompt", "abc", "--temperature", "60", "--logit-bias", "257=-10000")
        long = self.text(*options, "--max-tokens", "60").decode()
        # (In bytes that are no UTF-8 there is nothing to stop at.)
        stop = next(long[at:at + 2] for at in range(1, 60)
                    if long[at:at + 2].isascii() and long.find(long[at:at + 2]) == at)
        self.assertEqual(self.text(*options, "--max-tokens", "60", "--stop", stop).decode(),
                         long[:long.index(stop)] + "\n")
        # The start and three bytes are four positions, so sixteen more fit; one more is never computed.
        stats = run(self.program, *options, "--context", "20", "--stats").stderr.decode()
        self.assertIn("4 of prompts, 16 generated", stats)
        self.assertIn("the context is full", stats)
        for wrong in (("--context", "0"), ("--context", "100000"), ("--top-p", "2"), ("--seed", "x"),
                      ("--stop", ""), ("--logit-bias", "7")):
            self.assertNotEqual(subprocess.run([self.program, *options, *wrong], capture_output=True).returncode, 0, wrong)

    def test_interactive(self):
        # Each answer is that of all tokens so far; a line that does not fit is as if it had not been there.
        options = ("--tokens", "--max-tokens", "5", "--logit-bias", "257=-100")
        numbers = lambda tokens: " ".join(map(str, tokens))
        lines, tokens, wanted = [[5, 9, 200], [17], list(range(40)), [3, 3]], [256, 70], []
        for line in [[]] + lines:
            tokens += line
            wanted.append(run(self.program, *options, "--prompt", numbers(tokens)).stdout)
            tokens += map(int, wanted[-1].split())
        text = "\n".join(map(numbers, lines[:2] + [[1] * 600] + lines[2:])).encode()
        for begin in (("--prompt", "256 70"), ()):
            given = text if begin else b"256 70\n" + text
            got = run(self.program, *options, *begin, "--interactive", text=given, code=1)
            self.assertEqual(got.stdout, b"".join(wanted[:3] + [b"\n"] + wanted[3:]))
            self.assertIn(b"tokens", got.stderr)
        for wrong in (("--batch", "2"), ("--logits", "x.safetensors"), ("--input", "x.safetensors")):
            run(self.program, "--interactive", *wrong, text=b"1", code=2)

    def test_layers_of_an_encoder_and_steps_in_one_program(self):
        # The encoder's layers are a function in the part that is computed once, where sizes are fewer.
        page = os.path.join(self.folder.name, "layers.qkv")
        with open(page, "w") as file:
            file.write("""size T = stream(max: 32), S = dynamic(max: 40), V = 258, C = 8
index t < T, u < T, j < S, k < S, v < V, c < C
block layer(x[j,c]) -> y[j,c] {
  a[j,k] = softmax[k](sum[c](x[j,c] * x[k,c]))
  y[j,c] = x[j,c] + sum[k](a[j,k] * x[k,c])
}
model layers(source[j] : token, tokens[t] : token) -> logits[t,v] {
  x[j,c] = sin((source[j] + 1) * (c + 1) * 0.37)
  repeat l < 3 { x = layer(x) }
  y[t,c] = cos((tokens[t] + 1) * (c + 2) * 0.21)
  w[t,j] = softmax[j](sum[c](y[t,c] * x[j,c]))
  z[t,c] = sum[j](w[t,j] * x[j,c]) + mean[u](y[u,c] where u <= t)
  logits[t,v] = sum[c](z[t,c] * sin((v + 3) * (c + 1) * 0.11))
}
""")
        program = os.path.join(self.folder.name, "layers")
        run(QKV, "build", page, "-o", program)
        text = b"a source\nanother one\n"
        options = ("--max-tokens", "20", "--logit-bias", "257=-100")
        built = run(program, *options, text=text).stdout
        self.assertGreater(len(built), 30)
        self.assertEqual(run(QKV, "run", page, *options, text=text).stdout, built)
        self.assertEqual(run(QKV, "interpret", page, *options, text=text).stdout, built)

    def test_sequences_of_the_library(self):
        library, model, session = opened(self.library, "lm")
        self.assertTrue(session.value)

        def step(sequence, first, count, last=False):
            tokens = (ctypes.c_int64 * count)(*self.tokens[first:first + count])
            rows = (ctypes.c_float * (VOCABULARY * (1 if last else count)))()
            arguments = Arguments(ctypes.sizeof(Arguments), count, ctypes.cast(tokens, ctypes.c_void_p),
                                  ctypes.cast(rows, ctypes.c_void_p))
            function = library.lm_sequence_next if last else library.lm_sequence_step
            self.assertEqual(function(sequence, ctypes.byref(arguments), None), 0)
            return bytes(rows)

        def rows(first, count):
            return self.whole[first * VOCABULARY * 4:(first + count) * VOCABULARY * 4]

        empty = Arguments(ctypes.sizeof(Arguments), 0, None, None)
        sequence = ctypes.c_void_p(library.lm_sequence_begin(session, ctypes.byref(empty), None))
        self.assertEqual(step(sequence, 0, 70), rows(0, 70))
        copy = ctypes.c_void_p(library.lm_sequence_copy(sequence, None))
        self.assertEqual(step(sequence, 70, 1), rows(70, 1))
        self.assertEqual(step(copy, 70, 30, last=True), rows(99, 1))
        self.assertEqual(step(sequence, 71, 129), rows(71, 129))
        self.assertEqual(library.lm_sequence_positions(sequence), 200)
        self.assertEqual(library.lm_sequence_rewind(sequence, ctypes.c_int64(33), None), 33)
        self.assertEqual(step(sequence, 33, 5), rows(33, 5))
        self.assertEqual(step(copy, 100, 2), rows(100, 2))
        self.assertEqual(library.lm_sequence_rewind(sequence, ctypes.c_int64(39), None), -1)

        # Several at once, from different places, by different numbers of positions.
        third = ctypes.c_void_p(library.lm_sequence_begin(session, ctypes.byref(empty), None))
        for counts in ((1, 1, 1), (5, 1, 30), (2, 2, 2)):
            sequences = (sequence, copy, third)
            places = [library.lm_sequence_positions(one) for one in sequences]
            tokens = [(ctypes.c_int64 * n)(*self.tokens[at:at + n]) for at, n in zip(places, counts)]
            got = [(ctypes.c_float * (VOCABULARY * n))() for n in counts]
            given = [Arguments(ctypes.sizeof(Arguments), n, ctypes.cast(t, ctypes.c_void_p),
                               ctypes.cast(g, ctypes.c_void_p)) for n, t, g in zip(counts, tokens, got)]
            each = (ctypes.c_void_p * 3)(*(one.value for one in sequences))
            pointers = (ctypes.c_void_p * 3)(*(ctypes.addressof(one) for one in given))
            self.assertEqual(library.lm_sequences_step(each, ctypes.c_int64(3), pointers, None), 0)
            for g, at, n in zip(got, places, counts):
                self.assertEqual(bytes(g), rows(at, n))
        # All or none: the second has no such token.
        tokens[1][0] = 10000
        places = [library.lm_sequence_positions(one) for one in sequences]
        self.assertEqual(library.lm_sequences_step(each, ctypes.c_int64(3), pointers, None), -1)
        self.assertEqual([library.lm_sequence_positions(one) for one in sequences], places)
        each[1] = each[0]
        self.assertEqual(library.lm_sequences_step(each, ctypes.c_int64(3), pointers, None), -1)
        library.lm_sequence_end(third)
        for one in (sequence, copy):
            library.lm_sequence_end(one)
        library.lm_session_close(session)
        library.lm_close(model)

    def test_results_that_need_no_position(self):
        # h is a result, and kept as well: it is what the sequence begins with.
        page, path = (os.path.join(self.folder.name, name) for name in ("once.qkv", "libonce.so"))
        with open(page, "w") as file:
            file.write("""size T = stream(max: 16), S = dynamic(max: 8)
index t < T, j < S
model once(source[j], x[t]) -> (h[j], y[t]) {
  h[j] = source[j] * 2
  y[t] = max[j](h[j] * x[t])
}
""")
        run(QKV, "build", page, "--shared", "--with-steps", "-o", path)
        library, model, session = opened(path, "once")
        Values = ctypes.c_float * 3
        source, x, h, y = Values(1, 2, 4), Values(10, 20, 30), Values(), Values()

        class Arguments(ctypes.Structure):
            _fields_ = [("size", ctypes.c_size_t), ("T", ctypes.c_int64), ("S", ctypes.c_int64),
                        ("source", ctypes.c_void_p), ("x", ctypes.c_void_p), ("h", ctypes.c_void_p),
                        ("y", ctypes.c_void_p)]

        arguments = Arguments(ctypes.sizeof(Arguments), 3, 3,
                              *(ctypes.addressof(tensor) for tensor in (source, x, h, y)))
        sequence = ctypes.c_void_p(library.once_sequence_begin(session, ctypes.byref(arguments), None))
        self.assertEqual(list(h), [2, 4, 8])
        self.assertEqual(library.once_sequence_step(sequence, ctypes.byref(arguments), None), 0)
        self.assertEqual(list(y), [80, 160, 240])
        library.once_sequence_end(sequence)
        library.once_session_close(session)
        library.once_close(model)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

"""The parts of tools/bench that need no compiler: rows, the pairwise cover, files of tensors."""

import itertools
import json
import math
import os
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "benchmark"))

from measuring import grid, report, rows, tensors, workshop  # noqa: E402


class Rows(unittest.TestCase):
    def test_every_row_can_be_measured(self):
        loaded, references = rows.load()
        self.assertEqual(len(loaded), len({row.name for row in loaded}))
        for row in loaded:
            self.assertNotIn("{", row.name)
            self.assertTrue(os.path.exists(os.path.join(workshop.SOURCES, "models", row.model + ".qkv")))
            self.assertTrue(row.against or row.limit, row.name)
            for name in [*row.against, *row.mean]:
                self.assertIn(name, references)

    def test_work_is_computed_from_the_sizes(self):
        loaded, _ = rows.load()
        gemm = next(row for row in loaded if row.name == "gemm 512x768x3072")
        self.assertEqual(gemm.work, 2 * 512 * 768 * 3072)

    def test_ratios_are_better_when_larger(self):
        rate = rows.Item("a", ours=110, reference=100, bar=1.05, unit="GFLOP/s")
        self.assertTrue(rate.holds)
        self.assertEqual(set(rate.json()), {"name", "ours", "reference", "ratio", "bar", "holds"})
        time = rows.Item("b", ours=4, reference=3, bar=1, unit="s", less_is_better=True)
        self.assertEqual(time.ratio, 0.75)
        self.assertFalse(time.holds)
        self.assertIn("missed", report.markdown([time]))

    def test_means_are_of_one_reference(self):
        row = rows.Row("gemm", "gemm", "GFLOP/s", {}, {}, mean={"onednn": 1.0})
        found = [rows.Item(f"gemm {n} / {peer}", ours, 100, 0.9, "GFLOP/s")
                 for n, (ours, peer) in enumerate([(50, "onednn"), (200, "onednn"), (1, "peak")])]
        (mean,) = rows.means(row, found)
        self.assertAlmostEqual(mean.ratio, 1.0)


class Grid(unittest.TestCase):
    def test_every_two_values_meet(self):
        lists = [list("abcde"), [1, 2, 3], ["x", "y"], [True, False, None]]
        chosen = list(grid.pairwise(lists))
        for a, b in itertools.combinations(range(len(lists)), 2):
            self.assertEqual({(one[a], one[b]) for one in chosen},
                             set(itertools.product(lists[a], lists[b])))
        self.assertLess(len(chosen), math.prod(map(len, lists)) / 2)

    def test_rows_are_the_same_each_time(self):
        self.assertEqual([row.name for row in grid.load()], [row.name for row in grid.load()])

    def test_the_corners_are_there(self):
        names = [row.name for row in grid.load()]
        for length, width in itertools.product((1, 8192), (32, 256)):
            self.assertTrue(any(f"T={length} d={width} " in name for name in names))


class Tensors(unittest.TestCase):
    def test_safetensors(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/w.safetensors"
            for element, size in tensors.ELEMENT_BYTES.items():
                tensors.write_safetensors(path, [("a", (3, 5)), ("b", (7,))], element)
                with open(path, "rb") as file:
                    length, = struct.unpack("<Q", file.read(8))
                    header = json.loads(file.read(length))
                    self.assertEqual(header["b"]["data_offsets"], [15 * size, 22 * size])
                    self.assertEqual(len(file.read()), 22 * size)

    def test_bf16_is_the_upper_half(self):
        narrow, wide = tensors.Noise("bf16").blocks[0.0], tensors.Noise("f32").blocks[0.0]
        value, = struct.unpack("<f", b"\0\0" + narrow[:2])
        self.assertAlmostEqual(value, struct.unpack("<f", wide[:4])[0], delta=abs(value) / 100)

    def test_gguf_has_all_of_its_bytes(self):
        shape = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": 300}
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/m.gguf"
            tensors.write_gguf(path, shape, "f16")
            with open(path, "rb") as file:
                magic, version, count, _ = struct.unpack("<4sIQQ", file.read(24))
            self.assertEqual((magic, version, count), (b"GGUF", 3, 3 + 2 * 9))
            self.assertEqual(os.path.getsize(path) % tensors.ALIGNMENT, 0)


class Extents(unittest.TestCase):
    def test_postfix(self):
        self.assertEqual(workshop.evaluate("s0 1 + 2 /", [8]), 4)
        self.assertEqual(workshop.evaluate("s1 s0 *", [3, 5]), 15)


if __name__ == "__main__":
    unittest.main()

"""The lines that every rung learns from, and is measured on, as tensors.

In:  pairs of ../dates/generate.py, half of them plain and half of them long.
Out: source[B,S] padded with 0, lengths[B], target[B,12] with a mark before and behind the date.
Holds: the same seed gives the same batches, also to a training that goes on where it stopped.
"""

import os
import random
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dates"))
import generate  # noqa: E402

START, END, V = 256, 257, 258  # the bytes, then the two marks


def tensors(pairs):
    """The three tensors of pairs (source, iso)."""
    lines = [list(source.encode()) for source, _ in pairs]
    extent = max(map(len, lines))
    target = [[START, *iso.encode(), END] for _, iso in pairs]
    return (torch.tensor([line + [0] * (extent - len(line)) for line in lines]),
            torch.tensor([len(line) for line in lines]), torch.tensor(target))


def batches(first, count, size, seed):
    """Yields the batches first to count - 1 of lines about as long, the longest line first."""
    group = 8
    for step in range(first - first % group, count, group):
        pairs = list(generate.mixed(group * size, f"training {seed} {step}"))
        pairs.sort(key=lambda pair: -len(pair[0].encode()))
        starts = list(range(0, group * size, size))
        random.Random(step).shuffle(starts)
        for n, start in enumerate(starts):
            if first <= step + n < count:
                yield tensors(pairs[start:start + size])


def tests(long, count=1000, seed=2):
    """The lines that accuracy is told of: of a seed that no training draws from."""
    return list(generate.pairs(count, seed, long))

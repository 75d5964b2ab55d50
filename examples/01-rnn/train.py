#!/usr/bin/python3
"""Trains the model of rnn.qkv in torch, and checks it there.

In:  ../dates/generate.py, by ../training. Out: rnn.safetensors; with --figures its logits.
Holds: what the model computes in torch is one_vector() of ../training/recurrent.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import recurrent, rung  # noqa: E402

MODELS = {"rnn": recurrent.model(recurrent.one_vector("rnn", 128), "rnn", rate=1e-3)}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)

#!/usr/bin/env python3
"""Figures for the chain of samplers (runtime/text/SamplerChain.cpp): draws.txt.

A line: top-k, top-p, min-p, temperature, repetition, presence and frequency penalty, seed, then 40
tokens drawn one after the other from the same 50 logits, each by the definition of its step. What was
drawn before counts for the penalties. No library beyond Python's own.
"""
import math
import os

M = (1 << 64) - 1


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & M
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & M
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & M
    return x ^ x >> 31


def draw(seed, sequence, position):
    return (mix(mix(mix(seed) ^ sequence) ^ position) >> 11) / 2.0**53


def choose(logits, past, position, k, p, least, temperature, repetition, presence, frequency, seed):
    logits = list(logits)
    for token in set(past):
        logits[token] = logits[token] / repetition if logits[token] > 0 else logits[token] * repetition
        logits[token] -= presence + frequency * past.count(token)
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if temperature == 0:
        return order[0]
    if k:
        order = order[:k]
    weights = [math.exp(logits[token]) for token in order]
    if p < 1:
        kept, total = 0, 0.0
        while kept == 0 or total < p * sum(weights):
            total += weights[kept]
            kept += 1
        order, weights = order[:kept], weights[:kept]
    order = [t for t, w in zip(order, weights) if w >= least * weights[0]]
    weights = [math.exp(logits[token] / temperature) for token in order]
    wanted, total = draw(seed, 3, position) * sum(weights), 0.0
    for token, weight in zip(order, weights):
        total += weight
        if total > wanted:
            return token


def main():
    logits = [(i * 7919 % 1000) / 128 - 4 for i in range(50)]
    settings = [(0, 1, 0, 1, 1, 0, 0, 1), (5, 1, 0, 1, 1, 0, 0, 2), (0, 0.5, 0, 1, 1, 0, 0, 3),
                (0, 1, 0.2, 1.5, 1, 0, 0, 4), (0, 1, 0, 0, 1, 0, 0, 5), (0, 1, 0, 0, 1.5, 0, 0, 5),
                (0, 1, 0, 0, 1, 0.25, 0.5, 5), (20, 0.9, 0.05, 0.7, 1.1, 0.1, 0.2, 1 << 60)]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "draws.txt"), "w") as file:
        for one in settings:
            past = []
            for _ in range(40):
                past.append(choose(logits, past, 2 + len(past), *one))
            file.write(" ".join(map(str, one)) + "   " + " ".join(map(str, past)) + "\n")


main()

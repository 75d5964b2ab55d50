#!/usr/bin/env python3
"""Figures for the chain of samplers (runtime/text/SamplerChain.cpp): draws.txt, repeats.txt.

A line: top-k, top-p, min-p, temperature, repetition, presence and frequency penalty, seed, then 40
tokens drawn one after the other from the same 50 logits, each by the definition of its step. What was
drawn before counts for the penalties. In repeats.txt a line is: typical, top-p, DRY's penalty, base and
length, temperature, seed, then the tokens; 3 and 11 break repeats. No library beyond Python's own.
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


def repeated(past, token, breakers):
    """How long the end of the past is that stands before `token` somewhere, by the definition."""
    longest = 0
    for at in range(len(past)):
        if past[at] == token:
            n = 0
            while n < at and past[at - 1 - n] == past[len(past) - 1 - n] and past[len(past) - 1 - n] not in breakers:
                n += 1
            longest = max(longest, n)
    return longest


def choose_typical(logits, past, position, mass, p, dry, base, length, temperature, seed):
    logits = list(logits)
    breakers = (3, 11)
    for token in range(len(logits)):
        n = repeated(past, token, breakers)
        if dry and n >= length and token not in breakers:
            logits[token] -= dry * base ** (n - length)
    if temperature == 0:
        return max(range(len(logits)), key=lambda token: (logits[token], -token))
    order = list(range(len(logits)))
    if mass < 1:
        total = sum(math.exp(x) for x in logits)
        log = [x - math.log(total) for x in logits]
        entropy = -sum(math.exp(x) * x for x in log)
        order.sort(key=lambda token: abs(-log[token] - entropy))
        kept, some = 0, 0.0
        while kept == 0 or (kept < len(order) and some < mass):
            some += math.exp(log[order[kept]])
            kept += 1
        order = order[:kept]
    some = {token: logits[token] for token in order}
    few = [some.get(token, -math.inf) for token in range(len(logits))]
    return choose(few, [], position, len(order), p, 0, temperature, 1, 0, 0, seed)


def main_repeats():
    logits = [(i * 7919 % 1000) / 500 for i in range(12)]
    settings = [(0.4, 1, 0, 1.75, 2, 1, 1), (0.7, 0.8, 0, 1.75, 2, 1.3, 2), (1, 1, 0.8, 1.75, 2, 1, 3),
                (1, 1, 1.5, 1.2, 1, 0, 4), (0.9, 0.95, 2, 2, 3, 0.7, 5)]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "repeats.txt"), "w") as file:
        for one in settings:
            past = []
            for _ in range(60):
                past.append(choose_typical(logits, past, 2 + len(past), *one))
            file.write(" ".join(map(str, one)) + "   " + " ".join(map(str, past)) + "\n")


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
main_repeats()

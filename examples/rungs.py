"""The models of the ladder, in order: what is measured, tested and drawn.

Holds: a rung's train.py makes the weights that its rows name.
"""

import os
from dataclasses import dataclass

EXAMPLES = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Row:
    folder: str  # of the rung
    title: str   # in the table
    file: str    # the model's page,
    model: str   # its name there,
    name: str    # and its weights; a path from the folder
    steps: str   # that wait for one another, to read n bytes: a recurrence has n, layers that see all
                 # bytes at once one each

    @property
    def page(self):
        return os.path.join(EXAMPLES, self.folder, self.file)

    @property
    def weights(self):
        return os.path.normpath(os.path.join(EXAMPLES, self.folder, self.name + ".safetensors"))

    def figures(self, kind):
        """Where train.py --figures writes what torch computes; kind: "plain", "long"."""
        folder, name = os.path.split(self.weights)
        return os.path.join(folder, "figures", name.replace(".", f"-{kind}."))

    @property
    def stream(self):
        """Whether a line and its answer are one stream, with a tab between them."""
        return self.folder.startswith("09")

    def line(self, source):
        """A line of standard input that asks for the date in `source`."""
        return source + ("\t\n" if self.stream else "\n")

    @property
    def options(self):
        """Of a run on such lines. (Where there is no source, --batch says that lines are prompts.)"""
        return ["--batch", "1"] if self.stream else []


ROWS = (
    Row("01-rnn", "RNN", "rnn.qkv", "dates", "rnn", "n"),
    Row("02-lstm-and-gru", "LSTM", "lstm.qkv", "dates", "lstm", "n"),
    Row("02-lstm-and-gru", "GRU", "gru.qkv", "dates", "gru", "n"),
    Row("03-fixed-summaries", "mean of states", "summaries.qkv", "mean_of_states", "mean", "n"),
    Row("03-fixed-summaries", "maximum of states", "summaries.qkv", "maximum_of_states", "maximum",
        "n"),
    Row("03-fixed-summaries", "last state", "summaries.qkv", "last_state", "last", "n"),
    Row("04-rnn-with-attention", "attention, additive", "dates.qkv", "dates", "dates", "n"),
    Row("04-rnn-with-attention", "dot", "alignments.qkv", "dot_alignment", "dot", "n"),
    Row("04-rnn-with-attention", "bilinear", "alignments.qkv", "bilinear_alignment", "bilinear",
        "n"),
    Row("04-rnn-with-attention", "projected", "alignments.qkv", "projected_alignment", "projected",
        "n"),
    Row("05-attention", "no recurrence, no order", "set.qkv", "dates", "set", "2"),
    Row("05-attention", "the same, linear", "linear.qkv", "dates", "linear", "2"),
    Row("06-order", "sinusoidal positions", "order.qkv", "sinusoidal_positions", "sinusoidal", "2"),
    Row("06-order", "learned", "order.qkv", "learned_positions", "learned", "2"),
    Row("06-order", "rotary", "order.qkv", "rotary_positions", "rotary", "2"),
    Row("06-order", "ALiBi", "order.qkv", "alibi_positions", "alibi", "2"),
    Row("07-parts-of-a-layer", "attention alone", "parts.qkv", "bare", "bare", "2"),
    Row("07-parts-of-a-layer", "+ scaling", "parts.qkv", "scaled", "scaled", "2"),
    Row("07-parts-of-a-layer", "+ four heads", "parts.qkv", "heads", "heads", "2"),
    Row("07-parts-of-a-layer", "+ residuals", "parts.qkv", "residual", "residual", "2"),
    Row("07-parts-of-a-layer", "+ norms", "parts.qkv", "norms", "norms", "2"),
    Row("07-parts-of-a-layer", "+ feed-forward", "parts.qkv", "feed_forward", "feed_forward", "2"),
    Row("07-parts-of-a-layer", "the same, trained longer", "parts.qkv", "feed_forward",
        "../06-order/sinusoidal", "2"),
    Row("07-parts-of-a-layer", "all, no mask", "parts.qkv", "unmasked", "unmasked", "2"),
    Row("08-transformer", "Transformer", "transformer.qkv", "transformer", "transformer", "2"),
    Row("09-decoder-only", "decoder only", "language.qkv", "language", "language", "4"),
)

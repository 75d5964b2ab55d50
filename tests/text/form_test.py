"""Text of a form: grammars and JSON schemas in `qkv run` and in built programs.

In: the program qkv, the name of a test. The models are tables, as in text_test.py."""

import json
import os
import subprocess
import sys
import tempfile

from text_test import Place

try:
    import jsonschema
except ImportError:  # what is valid is looked at by hand, too
    jsonschema = None


def write(place, name, text):
    with open(place.path(name), "w") as file:
        file.write(text)
    return place.path(name)


def grammar(place):
    """What does not fit is never chosen, whatever the model likes; the end where the grammar ends."""
    v = place.vocabulary
    place.write()
    form = write(place, "form", 'root ::= "Once" (" time" | " upon" # here\n | x)')
    assert place.run("--prompt", "", "--grammar", form, code=1).startswith(form + ":2:")
    form = write(place, "form", 'root ::= "Once" (" time" | " upon" # here\n | " upon" " time" "!"?)\n')
    assert place.run("--prompt", "", "--grammar", form, "--logit-bias", f"{v.id(' time')}=3") == "Once time\n"
    assert place.run("--prompt", "", "--grammar", form, "--logit-bias", f"{v.id('</s>')}=0.5") == "Once upon\n"
    assert place.run("--prompt", "", "--grammar", form, "--logit-bias", f"{v.id(' time')}=0.5") == "Once upon time\n"
    said = subprocess.run([place.qkv, "run", place.page, "--weights", place.path("ck"), "--prompt", "", "--grammar", form,
                           "--stats", "--logit-bias", f"{v.id(' time')}=3"], capture_output=True, text=True).stderr
    assert "ended by: the text is complete" in said, said
    # Characters of several tokens, drawn by chance; alone and in a batch the same.
    form = write(place, "form", 'root ::= [é-€]{2} ("x" [^\\x00-\\uFFFF])+ "."\n')
    options = ["--grammar", form, "--temperature", "1", "--seed", "3"]
    lines = place.run(*options, "--batch", "1", text="Once\n a\nOnce upon\n")
    assert lines == place.run(*options, "--batch", "3", text="Once\n a\nOnce upon\n")
    for line in lines.splitlines():
        line = line.rstrip("\ufffd")  # (cut where the stream was full)
        assert all("é" <= c <= "€" for c in line[:2]) and set(line[2::2]) <= {"x", "."}, line
        assert all(c > "\uffff" for c in line[3::2]), line
    form = write(place, "form", 'root ::= "Once" ("b" | " a" " time" | "defdef")\n')
    assert place.run("--prompt", "", "--grammar", form, "--beams", "3") in ("Once a time\n", "Onceb\n", "Oncedefdef\n")
    # What goes wrong.
    assert "exclude" in place.run("--prompt", "", "--grammar", form, "--json-schema", form, code=2)
    assert "none.gbnf" in place.run("--prompt", "", "--grammar", place.path("none.gbnf"), code=1)
    assert "--grammar" in place.run("--prompt", "", "--grammar", form, "--logits", form, code=2)
    program = place.path("table")
    place.call(place.qkv, "build", place.page, "--weights", "ck", "--no-weights", "-o", program)
    form = write(place, "form", 'root ::= "Once" " a"\n')
    assert place.call(program, "--weights", place.path("ck"), "--prompt", "", "--grammar", form) == "Once a\n"


def schema(place):
    """What is drawn is valid."""
    place.write()
    form = {"type": "object", "required": ["a", "c"], "additionalProperties": False, "properties": {
        "a": {"type": "integer", "minimum": -5, "maximum": 12}, "b": {"enum": ["x", None]},
        "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}}}
    path = write(place, "form.json", json.dumps(form))
    whole = 0
    for line in place.run("--json-schema", path, "--temperature", "1", "--top-k", "40", "--batch", "8",
                          *[word for space in (9, 10, 32) for word in ("--logit-bias", f"{space}=-9")],
                          text="Once\n" * 24).split("\n"):
        if not line.endswith("}"):  # cut where the stream was full
            continue
        value = json.loads(line)
        assert set(value) <= {"a", "b", "c"} and -5 <= value["a"] <= 12 and value.get("b") in ("x", None), line
        assert len(value["c"]) <= 2 and all(isinstance(one, bool) for one in value["c"]), line
        if jsonschema:
            jsonschema.validate(value, form)
        whole += 1
    assert whole > 5, whole
    path = write(place, "form.json", json.dumps({"properties": {"a": {"contains": {}}}}))
    assert "#/properties/a/contains" in place.run("--prompt", "", "--json-schema", path, code=1)
    path = write(place, "form.json", "{")
    assert path in place.run("--prompt", "", "--json-schema", path, code=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QKV_CODE"] = folder  # a page is compiled once
        globals()[sys.argv[2]](Place(sys.argv[1], folder))

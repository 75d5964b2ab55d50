"""Several faults in one build, each off until the environment names it.

In: the text of a C++ file and faults of it. Out: the text with a choice in the place of each,
`planted("name") ? as planted : as it stands`, and the faults that do not let themselves be written
so. What compiles takes longest by far, so that a file is compiled once for all of its faults.
"""
import re

VARIABLE = "QKV_PLANTED"
HEAD = f"""#include <cstdlib>
#include <cstring>
static bool planted(const char *name) {{
  static const char *const which = std::getenv("{VARIABLE}");
  return which && !std::strcmp(which, name);
}}
"""
CLOSING = {")": "(", "]": "[", "}": "{"}
TOKEN = re.compile(r"\w+|\s+|->|::|&&|\|\||<<|>>|[<>=!+*/-]=|.", re.S)
# `Type name =`: what it defines must be known behind it, so that it is no statement of an `if`.
DEFINITION = re.compile(r"\s*(?:static |const |constexpr )*"
                        r"(auto|int|bool|int64_t|size_t|[A-Z]\w*(?:::\w+)*(?:<[^;=]*?>)?)"
                        r"\s*[&*]?\s*\w+(?:\[\])?\s*=\s*$")


def balanced(text):
    open_ones = []
    for c in text:
        if c in "([{":
            open_ones.append(c)
        elif c in CLOSING and (not open_ones or open_ones.pop() != CLOSING[c]):
            return False
    return not open_ones


def is_statement(text, before):
    """One or more whole statements that define nothing."""
    before = re.sub(r"//[^\n]*", "", before).rstrip()
    text = text.strip()
    label = re.search(r"\n\s*(case\b[^;?]*|default):$", before)
    return (balanced(text) and text[-1:] in (";", "}")
            and (label or before[-1:] in (";", "{", "}", ")"))
            and not text.startswith(("else", "case", "static", "?", ":"))
            and not DEFINITION.match(text.split("=")[0] + "="))


def begin_of_operand(tokens, i):
    depth = 0
    while i > 0:
        t = tokens[i - 1]
        if t in CLOSING:
            depth += 1
        elif t in ("(", "[", "{") and depth:
            depth -= 1
        elif not depth and t in ("(", "[", "{", ",", ";", "=", "return", ":", "?"):
            break
        i -= 1
    return i


def end_of_operand(tokens, tail):
    """How many tokens at the end do not belong to it."""
    depth = 0
    while tail > 0:
        t = tokens[len(tokens) - tail]
        if t in ("(", "[", "{"):
            depth += 1
        elif t in CLOSING and depth:
            depth -= 1
        elif not depth and (t in CLOSING or t in (",", ";", "?")):
            break
        tail -= 1
    return tail


def choice_of_operands(old, new, name):
    """The smallest argument, condition or right side in which the two differ; None: there is none."""
    a, b = TOKEN.findall(old), TOKEN.findall(new)
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    tail = 0
    while tail < min(len(a), len(b)) - same and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    begin = begin_of_operand(a, same)
    tail = min(end_of_operand(a, tail), end_of_operand(b, tail))
    before, after = "".join(a[:begin]), "".join(a[len(a) - tail:]) if tail else ""
    x, y = "".join(a[begin:len(a) - tail]), "".join(b[begin:len(b) - tail])
    for operator in ("||", "&&"):  # of a condition that goes on in the next line
        if x.rstrip().endswith(operator) and y.rstrip().endswith(operator):
            x, y = x.rstrip()[:-2], y.rstrip()[:-2]
            after = " " + operator + after
    if not (x.strip() and y.strip() and balanced(x) and balanced(y)):
        return None
    defines = DEFINITION.match(before)
    cast = defines.group(1) if defines and defines.group(1) != "auto" else ""
    if re.search(r"\bif \($", before):
        cast = "bool"
    elif not cast and "Op::create(" in x and "Op::create(" in y:
        cast = "Value"  # two kinds of operations
    return (f'{before} (planted("{name}") ? {cast}({y.strip()}) : {cast}({x.strip()})){after}')


def with_switches(text, faults):
    """The text with a choice for each fault that lets itself be written so; the names of these."""
    names = []
    for fault in faults:
        old, new = fault.texts()
        if text.count(old) != 1:  # it stands inside of another's choice
            continue
        before = text[:text.index(old)]
        if is_statement(old, before) and is_statement(new, before):
            choice = f'{{ if (planted("{fault.name}")) {{\n{new}\n}} else {{\n{old}\n}} }}'
        elif "constexpr" not in re.split(r"[;}]", before)[-1] + old:
            choice = choice_of_operands(old, new, fault.name)
        else:
            choice = None
        if choice:
            text = text.replace(old, choice)
            names.append(fault.name)
    return HEAD + text, names

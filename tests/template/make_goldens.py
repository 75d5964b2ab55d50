#!/usr/bin/python3
"""What python3-jinja2 makes of templates, configured as libraries of chat models configure it.

In: nothing. Out: goldens.json: templates, values, and what is printed or that it is an error. The
templates were written for this test; they use what templates of chats use."""

import datetime
import json
import os
from random import Random

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2024, 7, 5, 9, 3, 7)

TALK = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hello \n"},
                     {"role": "assistant", "content": "<think>hm</think>\nHi!"},
                     {"role": "user", "content": "Größe & <b> 'x' \"y\" 日本"}],
        "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Says \"it\"",
                                           "parameters": {"type": "object", "properties": {
                                               "city": {"type": "string", "enum": ["a", "b"]},
                                               "days": {"type": "integer", "default": 3}}, "required": ["city"]}}}]
CALLS = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]},
         {"role": "assistant", "content": None, "tool_calls": [
             {"type": "function", "function": {"name": "weather", "arguments": {"city": "a", "days": 2.5, "ok": True}}}]},
         {"role": "tool", "name": "weather", "content": "{\"sun\": 1}"}]

# Whole templates of chats.
CHATS = {
    "marks": """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "instructions": """{% if messages[0]['role'] == 'system' %}
    {% set loop_messages = messages[1:] %}
    {% set system_message = messages[0]['content'] %}
{% else %}
    {% set loop_messages = messages %}
    {% set system_message = false %}
{% endif %}
{{ bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate') }}
    {%- endif %}
    {%- if loop.index0 == 0 and system_message != false %}
        {%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {%- else %}
        {%- set content = message['content'] %}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}""",
    "thinking": """{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<a>' + reasoning.strip('\\n') + '|' + content + '</a>\\n' }}
        {%- else %}
            {{- '<a>' + content + '</a>\\n' }}
        {%- endif %}
    {%- else %}
        {{- '<' ~ message.role ~ '>' ~ content ~ '\\n' }}
    {%- endif %}
{%- endfor %}
{{ ns.last }}""",
    "macros": """{%- macro render(role, content, suffix='<end>') -%}
[{{ role | upper }}]{{ content | trim }}{{ suffix }}
{%- endmacro -%}
{%- for m in messages if m.role != 'system' -%}
{{ render(m['role'], m.content) }}{{ "\\n" if not loop.last }}
{%- else -%}
nothing
{%- endfor -%}
{{ render('x', ' y ', suffix='') }}{{ render(content='c', role='r') }}""",
    "tools": """{%- if tools %}
{{- '# Tools\\n' }}
{%- for tool in tools %}
{{- tool | tojson }}{{ "\\n" }}
{{- tool.function.parameters | tojson(indent=2) }}
{%- for name, spec in tool.function.parameters.properties.items() %}
{{ name }}: {{ spec.type }}{% if name in tool.function.parameters.required %} (needed){% endif %}{% if spec.enum %} {{ spec.enum | join('|') }}{% endif %}{% if spec.default is defined %} = {{ spec.default }}{% endif %}

{%- endfor %}
{%- endfor %}
{%- endif %}
{% for m in calls %}
{% if m.content is string %}
{{ m.content }}
{% elif m.content is iterable and m.content is not mapping and m.content is not none %}
{% for part in m.content %}{% if part['type'] == 'text' %}{{ part.text }},{% else %}<image>{% endif %}{% endfor +%}
{% endif %}
{% if m.tool_calls is defined and m.tool_calls %}
{% for call in m.tool_calls %}
{% set f = call.function %}
{{ f.name }}({% for k, v in f.arguments | items %}{{ k }}={{ v | tojson }}{{ ", " if not loop.last else "" }}{% endfor %})
{{ f.arguments }}
{% endfor %}
{% endif %}
{% endfor %}""",
    "blocks": """{% set intro %}
Today is {{ strftime_now("%d %B %Y") }}.
{% endset %}
{% call(x) wrap('p') %}<{{ x }}>{% endcall %}""".replace("{% call(x) wrap('p') %}", "{% macro wrap(tag) %}{{ tag }}:{{ caller(1) }}{{ caller('z') }}{% endmacro %}{% call(x) wrap('p') %}") + """
{{ intro | length }}{{ intro }}{% filter upper | replace('A', '4') %}banana {{ bos_token }}{% endfilter %}
{% raw %}{{ not this }} {% nor this %}{% endraw %}
{% with a = 1, b = 'two' %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{#- a comment -#}
  {# another #}
end
""",
    "loops": """{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 5 %}{% break %}{% endif %}{{ i }}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for c in 'xyz' %}{{ loop.index }}/{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}
{% for row in [[1, 2], [3]] %}{% set outer = loop %}{% for x in row %}{{ outer.index }}.{{ loop.index }}={{ x }} {% endfor %}{% endfor %}
{% for node in tree recursive %}{{ loop.depth }}{{ node.n }}({{ loop(node.c) if node.c }}){% endfor %}
{% for x in [1, 1, 2, 2] %}{{ 'new' if loop.changed(x) else '-' }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3)), [4, [5, 6]]] %}{{ a + b * c }};{% endfor %}
{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}{% for x in nothing %}{{ x }}{% else %}none{% endfor %}""",
    "spaces": """  {%- if true %}  a  {%- endif %}
   {% if true %}
	b {% endif -%}

 c {{- ' d ' -}} e
  {%+ if true %} f{% endif +%}
{{ 'g' }}
{# h #}
   {#+ i #}  j
 {{ 'k' }} {% if true %}l{% endif %} m
""",
}

# An expression each.
EXPRESSIONS = r"""
1 + 2 * 3 ** 2 - 7 // 2 % 3
-2 ** 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
1 / 2
4 / 2
2 ** 10
2 ** -1
2 ** 0.5
1e16
1e15
123456789.123
0.1 + 0.2
1.0
1e-5
0.0001
-0.5
3.0 * 2
10 // 3.0
true + 1
1 == 1.0
1 == true
'a' < 'b'
'a' < 'B'
[1, 2] < [1, 3]
1 < 2 < 3
1 < 2 > 3
not true or true
not (true and false)
none
[none, true, 1.5, 'a\'b', "c\"d", 'e\nf\\g', 'é']
(1,)
()
(1, 2)
{'a': 1, 'b': [1, {'c': none}]}
'abc'[1]
'abc'[-1]
'abc'[5]
'日本語'[1]
'日本語'[::-1]
'日本語' | length
'abcdef'[1:4]
'abcdef'[-3:]
'abcdef'[::2]
'abcdef'[4:1:-1]
'abcdef'[:-1]
[1, 2, 3, 4][1:]
[1, 2, 3][-2:][0]
[1, 2, 3][10:]
messages[0]['role']
messages[0].content
messages[-1].role
messages[9]
messages[0].nothing
messages[0]['nothing'] is defined
nothing
nothing is defined
nothing is not defined
nothing is undefined
nothing or 'else'
nothing | default('d')
'' | default('d')
'' | default('d', true)
none | default('d')
messages[0].get('role')
messages[0].get('x')
messages[0].get('x', 'y')
messages[0].keys() | list
messages[0].values() | join(',')
messages[0].items() | list
'role' in messages[0]
'x' not in messages[0]
'ell' in 'hello'
2 in [1, 2]
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1]
'a' * 3
3 * 'ab'
[1] + [2]
'a' 'b' "c"
'%' ~ 5
' x '.strip() ~ '|'
'xxaxx'.strip('x')
'  a'.lstrip() ~ ' b  '.rstrip() ~ '.'
'a,b,,c'.split(',')
'a b  c '.split()
'a b c'.split(' ', 1)
'a  b c'.split(none, 1)
'a,b,c'.rsplit(',', 1)
'a\nb\r\nc\n'.splitlines()
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'Hello World'.upper()
'Hello World'.lower()
'hello wORLD it\'s'.title()
'hello WORLD'.capitalize()
'straße ÄÖ'.upper()
'ÄÖÜ'.lower()
'banana'.replace('a', 'o')
'banana'.replace('a', 'o', 1)
'banana'.count('an')
'banana'.find('n')
'日本'.find('本')
'banana'.rfind('n')
'banana'.find('x')
','.join(['a', 'b'])
'x'.join('abc')
'12'.isdigit()
''.isdigit()
'ab'.isalpha()
'ab1'.isalnum()
' \n'.isspace()
'Ab'.isupper()
'AB'.isupper()
'ab'.islower()
'abc'.removeprefix('a')
'7'.zfill(3)
'a'.ljust(3) ~ '|'
'a'.rjust(3)
'a'.center(4) ~ '|'
'abc' | upper
'ABC' | lower
'hello world' | title
'hELLO' | capitalize
'  a ' | trim ~ '|'
'xax' | trim('x')
'a<b>&"\'' | e
'abc' | first
[1, 2] | last
[] | first
[1, 2, 3] | sum
[{'a': 1}, {'a': 2}] | sum(attribute='a')
[3, 1, 2] | sort
[3, 1, 2] | sort(reverse=true)
['b', 'A', 'c'] | sort
['b', 'A', 'c'] | sort(case_sensitive=true)
messages | map(attribute='role') | join(' ')
messages | selectattr('role', 'equalto', 'user') | list | length
messages | rejectattr('role', 'eq', 'user') | map(attribute='content') | first
messages | selectattr('content') | list | length
['a', 'b'] | map('upper') | list
[1, 2, 3, 4] | select('even') | list
[1, 2, 3, 4] | reject('odd') | list
[0, 1, '', 'a'] | select | list
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 1] | unique | list
[3, 1] | min
[3, 1] | max
'abc' | reverse
[1, 2] | reverse | list
'12' | int
'x' | int
'x' | int(5)
'1.5' | float
3.7 | int
-3.7 | int
3 | float
2.5 | round
2.567 | round(2)
2.1 | round(0, 'ceil')
-3 | abs
1.5 | string
[1, 'a'] | string
'a b c' | wordcount
'a\nb\n\nc' | indent
'a\nb' | indent(2, true)
{'b': 1, 'a': 2} | dictsort
{'a': 1} | items | list
{'a': 1} | length
'abc' | list
'a' | tojson
'é日"\\\n\t<>&\'' | tojson
[1, 2.0, none, true, {'a': []}] | tojson
{'b': 1, 'a': {}} | tojson
{'b': 1, 'a': [1, {}]} | tojson(indent=2)
{'b': 1, 'a': 2} | tojson(sort_keys=true)
'é😀' | tojson(ensure_ascii=true)
[1, 2] | tojson(separators=(',', ':'))
1 is number
'a' is string
[1] is iterable
{} is mapping
'a' is mapping
[] is sequence
none is none
true is boolean
1 is integer
1.0 is float
true is true
1 is true
false is false
3 is odd
4 is even
9 is divisibleby 3
9 is divisibleby(2)
1 is eq 1
1 is in [1, 2]
1 is not in [1, 2]
2 is gt 1
'a' is lower
range is callable
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
1 if true else 2
1 if false else 2
1 if false
(1 if false) is defined
'yes' if messages[0].role == 'system' and not nothing else 'no'
dict(a=1, b='c')
namespace(a=1).a
(messages | length - 1) * 2
messages[0]['content'][:3] | upper ~ '!'
[1, 2, 3] | map('string') | join('-')
'a' if 'b' is defined and 'c' is string else 'd'
'\x41\u00e9\n\t\\\'' | tojson
"it's" ~ 'a "b"'
['it\'s', 'a "b"', 'both \' and "']
3 | string | length
not nothing
1.0 | int
'{:}'[0]
strftime_now('%Y-%m-%d %H:%M')
messages | length > 3
messages is defined and messages[0] is mapping
loop is defined
'a.b.c'.split('.')[-1]
[['a', 1], ['b', 2]] | map('first') | list
[['a', 1], ['b', 2]] | map(attribute=0) | list
[{'x': {'y': 7}}] | map(attribute='x.y') | list
[{'x': 1}, {}] | map(attribute='x', default='no') | list
{'items': 1}['items']
{'items': 1}.items is callable
{'a': 1}.items is defined and {'a': 1}.itemz is not defined
'yes' if {'a': 1}.keys else 'no'
[{'items': 2}] | map(attribute='items') | list
nothing.x
nothing.x.y
nothing['x']
nothing()
'a' + 1
1 + none
messages.x.y
raise_exception('no')
[1, 'a'] | sort
'a' | nofilter
1 is notest
1 // 0
'a'.nomethod()
undefined_macro(1)
[].append(1)
{} < {}
range(1000000)
""".strip().split("\n")

# Statements that are errors, or look like ones.
OTHERS = ["{% if %}{% endif %}", "{% for x in %}{% endfor %}", "{% if true %}", "{% endif %}", "{{ 1", "{{ 'a }}", "{% set x %}",
          "{# no end", "{% unknown %}", "{{ 1 2 }}", "{{ [1, 2 }}", "{% set messages[0] = 1 %}", "a }} b %} c", "{ { a } }", "",
          "\n", "\n\n", "a\n", "a\r\nb\r", "{{ a.b }}{% set a = {'b': 2} %}{{ a.b }}", "{% set a = 1 %}{% for i in [1] %}{% set a = 2 %}{% endfor %}{{ a }}",
          "{% set a = 1 %}{% if true %}{% set a = 2 %}{% endif %}{{ a }}", "{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.x = i %}{% endfor %}{{ ns.x }}",
          "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1 %}{% macro m() %}{{ a }}{% endmacro %}{% set a = 2 %}{{ m() }}",
          "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, b=3) }}|{{ m() }}", "{{ '{{' }}{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}",
          "{% if nothing %}a{% elif none %}b{% elif 0 %}c{% else %}d{% endif %}", "{%- set x = 'a' -%}   {{ x }}", "{% generation %}x{% endgeneration %}"]


def generated(random, depth=0):
    """An expression of any kind; many are errors."""
    def inner():
        return generated(random, depth + 1)
    atoms = ["0", "1", "-3", "7", "2.5", "0.1", "'ab'", "'Hello World'", "'é日'", "''", "[1, 2, 3]", "['b', 'a']", "[]",
             "{'a': 1}", "true", "none", "messages", "messages[1]", "bos_token", "nothing", "' x '", "'a,b'"]
    if depth > 3 or random.random() < 0.2:
        return random.choice(atoms)
    kind = random.randrange(9)
    if kind == 0:
        return f"({inner()} {random.choice(['+', '-', '*', '//', '%', '~', '~', '+'])} {inner()})"
    if kind == 1:
        return f"({inner()} {random.choice(['==', '!=', '<', '>=', 'in', 'not in', 'and', 'or'])} {inner()})"
    if kind == 2:
        return f"({inner()} if {inner()} else {inner()})"
    if kind == 3:
        return f"({inner()} | {random.choice(['upper', 'lower', 'title', 'capitalize', 'trim', 'length', 'first', 'last', 'list', 'string', 'int', 'float', 'abs', 'sort', 'reverse | list', 'join', 'unique | list', 'tojson', 'default(1)', 'sum', 'min', 'max', 'round', 'items | list'])})"
    if kind == 4:
        return f"({inner()} is {random.choice(['', 'not '])}{random.choice(['defined', 'none', 'string', 'number', 'mapping', 'iterable', 'sequence', 'odd', 'boolean', 'integer', 'true', 'lower', 'upper'])})"
    if kind == 5:
        return f"{inner()}[{random.choice(['0', '-1', '1:', ':-1', '::-1', '::2', '5', '1:2'])}]" if depth else inner()
    if kind == 6:
        return f"({inner()}).{random.choice(['strip()', 'upper()', 'split()', 'title()', 'capitalize()', 'role', 'get(' + chr(39) + 'a' + chr(39) + ')', 'replace(' + chr(39) + 'a' + chr(39) + ', ' + chr(39) + 'bc' + chr(39) + ')', 'isdigit()', 'splitlines()', 'content'])}"
    if kind == 7:
        return random.choice(["not ", "-"]) + f"({inner()})"
    return f"[{inner()}, {inner()}]"


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return env


def main():
    env = environment()
    random = Random(5)
    values = {**TALK, "tools": TOOLS, "calls": CALLS, "tree": [{"n": 1, "c": [{"n": 2, "c": []}, {"n": 3}]}, {"n": 4}]}
    templates = {**CHATS, **{text: "{{ " + text + " }}" for text in EXPRESSIONS},
                 **{text: "{% set e = " + text + " %}{{ e }}" for text in (generated(random) for _ in range(1200))},
                 **{"other " + str(i): text for i, text in enumerate(OTHERS) if "generation" not in text}}
    cases = []
    for name, text in templates.items():
        try:
            cases.append({"name": name, "template": text, "expected": env.from_string(text).render(**values)})
        except Exception as error:
            cases.append({"name": name, "template": text, "error": type(error).__name__})
    with open(os.path.join(HERE, "goldens.json"), "w") as file:
        json.dump({"values": values, "cases": cases}, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(len(cases), "cases,", sum("error" in case for case in cases), "of them errors")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Dates as people write them, each with its ISO form: the data of the date examples.

In:  a count and a seed; whether the lines are plain, long, or both by turns of a coin.
Out: that many lines `source<TAB>iso`, such as `3rd of May 1979<TAB>1979-05-03`.
Holds: the same count, seed and kind give the same lines; a plain source is 6 to 48 bytes of
UTF-8, a long one 24 to 96; none has a tab or line break, and each means one date alone under the
conventions in README.md; years run from 1900 to 2099, written with two digits from 1950 to 2049.
"""

import argparse
import datetime
import random
import re
import sys

MAX_BYTES = 48
MIN_LONG_BYTES, MAX_LONG_BYTES = 24, 96

MONTHS = ("January February March April May June July August September October November "
          "December").split()
MOIS = ("janvier février mars avril mai juin juillet août septembre octobre novembre "
        "décembre").split()
MONATE = ("Januar Februar März April Mai Juni Juli August September Oktober November "
          "Dezember").split()
MESES = ("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
         "diciembre").split()
ROMAN = "I II III IV V VI VII VIII IX X XI XII".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
JOURS = "lundi mardi mercredi jeudi vendredi samedi dimanche".split()
ORDINALS = ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
            "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth "
            "twentieth twenty-first twenty-second twenty-third twenty-fourth twenty-fifth "
            "twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth "
            "thirty-first").split()

# The forms; FIELDS says what stands for each name in braces.
FORMS = """
{year}-{mm}-{dd}
{year}-{mm}-{dd}T{time}
{year}-{mm}-{dd} {time}
{year}{mm}{dd}
{year}/{m}/{d}
{year}.{m}.{d}
{m}/{d}/{year}
{m}/{d}/{yy}
{m}/{d}/{year} {clock}
{d}.{m}.{year}
{d}.{m}.{yy}
{d}. {m}. {year}
{wday} {d}.{m}.{year}
{wday} {m}/{d}/{year}
{d} {month} {year}
{d} {mon} {year}
{d} {mon} '{yy}
{d}-{mon}-{year}
{d}-{mon}-{yy}
{dd}{mon}{year}
{month} {d}, {year}
{mon} {d}, {year}
{mon} {nth}, {year}
{month} the {nth} {year}
{month} {ordinal}, {year}
{nth} {month} {year}
{nth} of {month} {year}
the {nth} of {month}, {year}
the {ordinal} of {month}, {year}
{weekday}, {d} {mon} {year}
{weekday}, {month} {d}, {year}
{weekday}, the {nth} of {month}, {year}
{wday}, {dd} {mon} {year} {time} GMT
{wday} {mon} {d} {time} {year}
{year} {mon} {d}
{d}/{roman}/{year}
{d}.{roman}.{year}
{year}年{m}月{d}日
{year}년 {m}월 {d}일
{d} {mois} {year}
{jour} {d} {mois} {year}
{d}. {monat} {year}
{d} de {mes} de {year}
""".split("\n")[1:-1]


def number(n, rng):
    """n, now and then with a leading zero: 7 or 07."""
    return f"{n:02}" if rng.random() < 0.3 else str(n)


def nth(day):
    """1st, 2nd, 3rd, 4th, ... 11th, 12th, 13th, ... 31st."""
    ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def short_month(date, rng):
    """Dec, now and then with a stop: Dec.; September also as Sept."""
    name = MONTHS[date.month - 1]
    name = "Sept" if name == "September" and rng.random() < 0.5 else name[:3]
    cut = len(name) < len(MONTHS[date.month - 1])
    return name + "." if cut and rng.random() < 0.15 else name


def time(rng):
    """A time of day, which means nothing to the date: 10:00, 10:00:59."""
    text = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
    return text + f":{rng.randrange(60):02}" if rng.random() < 0.5 else text


def clock(rng):
    """The same with twelve hours: 9:30 pm."""
    return f"{rng.randint(1, 12)}:{rng.randrange(60):02} {rng.choice(('am', 'pm'))}"


FIELDS = {
    "year": lambda date, rng: str(date.year),
    "yy": lambda date, rng: f"{date.year % 100:02}",
    "m": lambda date, rng: number(date.month, rng),
    "mm": lambda date, rng: f"{date.month:02}",
    "d": lambda date, rng: number(date.day, rng),
    "dd": lambda date, rng: f"{date.day:02}",
    "nth": lambda date, rng: nth(date.day),
    "ordinal": lambda date, rng: ORDINALS[date.day - 1],
    "month": lambda date, rng: MONTHS[date.month - 1],
    "mon": short_month,
    "mois": lambda date, rng: MOIS[date.month - 1],
    "monat": lambda date, rng: MONATE[date.month - 1],
    "mes": lambda date, rng: MESES[date.month - 1],
    "roman": lambda date, rng: ROMAN[date.month - 1],
    "weekday": lambda date, rng: WEEKDAYS[date.weekday()],
    "wday": lambda date, rng: WEEKDAYS[date.weekday()][:3],
    "jour": lambda date, rng: JOURS[date.weekday()],
    "time": lambda date, rng: time(rng),
    "clock": lambda date, rng: clock(rng),
}


def random_date(first, last, rng):
    """A date of the years first to last, each day as likely as any other."""
    start, end = datetime.date(first, 1, 1).toordinal(), datetime.date(last, 12, 31).toordinal()
    return datetime.date.fromordinal(rng.randint(start, end))


def noisy(text, rng):
    """text as it is typed in a hurry: other case, commas lost, blanks doubled or around it."""
    style = rng.random()
    if style < 0.15:
        text = text.lower()
    elif style < 0.3:
        text = text.upper()
    elif style < 0.37:
        text = "".join(rng.choice((c.lower(), c.upper())) for c in text)
    if rng.random() < 0.2:
        text = text.replace(",", "")
    if rng.random() < 0.15:
        text = re.sub(" ", lambda _: " " * rng.randint(1, 2), text)
    if rng.random() < 0.1:
        text = " " * rng.randint(1, 3) + text
    if rng.random() < 0.1:
        text += " " * rng.randint(1, 3)
    return text


# What stands around the date of a long line: words that are no part of a date, numbers that
# are none. LEADS come right before the date, TAILS right after it, so that no other number
# touches it; the parts of a sentence are drawn from PHRASES.
LEADS = ("on", "dated", "due", "from", "since", "before", "until", "signed", "sent", "paid",
         "delivered", "as of", "born", "closed", "date:", "opened", "valid from", "no later than")
TAILS = ("at noon", "in the hall", "by train", "by hand", "as agreed", "if it rains", "and so on",
         "for the record", "with thanks", "in Oslo", "without fail", "by mail", "or so they say",
         "(see above)", "it says", "sharp", "in full", "at the latest")
PHRASES = ("room {n}", "gate {n}", "item no. {n}", "order {n}", "{n} boxes", "{n} pages",
           "page {n} of {n}", "{n} seats", "invoice {n}", "row {n}, seat {n}", "call 555-{nnnn}",
           "{n}.50 euros", "${n}", "about {n} km", "{n}% off", "flight LH {n}", "size {n}",
           "{n} guests", "file {nnnn}/{n}", "tel. {nnnn} {nnnn}", "the old house", "her letter",
           "our meeting", "new shoes", "the contract", "please reply", "see you", "two cats",
           "rent", "the report", "a ticket", "no news", "coffee", "the third floor", "good work",
           "ten to five", "first class", "second hand", "thank you", "the last one")


def phrase(rng):
    """A part of a sentence: item no. 4711."""
    def digits(field):
        return f"{rng.randrange(10000):04}" if field[1] == "nnnn" else str(
            rng.randrange(10 ** rng.randint(1, 4)))
    return re.sub(r"\{(n+)\}", digits, rng.choice(PHRASES))


def sentence(date, rng):
    """A line of at most 96 bytes in which date stands somewhere, as it is."""
    date, lead, tail = date.strip(), rng.choice(LEADS), rng.choice(TAILS)
    size = len(f"{lead} {date}".encode())
    room = rng.randint(max(MIN_LONG_BYTES, size), MAX_LONG_BYTES) - size
    before, after = [], []
    if len(tail) < room:
        after, room = [tail], room - len(tail) - 1
    while room > 0:
        part = phrase(rng)
        if len(part) + 2 > room:
            break
        room -= len(part) + 2
        rng.choice((before, after) if after else (before,)).append(part)
    start = ", ".join(before) + " " if before else ""
    end = " " + ", ".join(after) if after else ""
    return f"{start}{lead} {date}{end}" + "." * (room > 0)


def mixed(count, seed):
    """Yields count pairs, each plain or long as a coin falls."""
    coin = random.Random(f"coin {seed}")
    plain, long = pairs(count, f"plain {seed}"), pairs(count, f"long {seed}", long=True)
    for _ in range(count):
        yield next(long if coin.random() < 0.5 else plain)


def pairs(count, seed, long=False):
    """Yields count pairs (source, iso). seed: a whole number or a string. long: the date stands
    in a sentence."""
    rng = random.Random(seed)
    for _ in range(count):
        form = rng.choice(FORMS)
        date = random_date(*((1950, 2049) if "{yy}" in form else (1900, 2099)), rng)
        text = re.sub(r"\{(\w+)\}", lambda field: FIELDS[field[1]](date, rng), form)
        source = noisy(text, rng)
        while len(source.encode()) > MAX_BYTES:
            source = noisy(text, rng)
        if long:
            around = sentence(source, rng)
            while len(around.encode()) < MIN_LONG_BYTES:
                around = sentence(source, rng)
            source = around
        yield source, date.isoformat()


def main():
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Writes dates as people write them, a tab, and the ISO date; one a line.",
        epilog="examples:\n"
               "  generate.py --count 10 --seed 1                  ten lines to look at\n"
               "  generate.py --count 10 --seed 1 --long           dates inside of sentences\n"
               "  generate.py --count 1000 --seed 2 --output test.tsv\n"
               "  generate.py --count 5 --seed 3 | cut -f 1        the sources alone")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="lines (default: 10)")
    parser.add_argument("--seed", type=int, default=1, metavar="S",
                        help="the same seed gives the same lines (default: 1)")
    parser.add_argument("--long", action="store_true", help="the date stands in a sentence")
    parser.add_argument("--output", default="-", metavar="FILE",
                        help="where to, - for standard output (default: -)")
    options = parser.parse_args()
    if options.count < 0:
        parser.error(f"--count is {options.count}, expected 0 or more")
    text = "".join(f"{source}\t{iso}\n" for source, iso in pairs(options.count, options.seed, options.long))
    try:
        if options.output == "-":
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()
        else:
            with open(options.output, "wb") as file:
                file.write(text.encode())
    except BrokenPipeError:  # the reader, such as head, had enough
        sys.stderr.close()
    except OSError as error:
        parser.error(f"cannot write {options.output}: {error.strerror}")


if __name__ == "__main__":
    main()

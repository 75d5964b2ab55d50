#!/usr/bin/python3
"""Little stories of people who go to places and hand things on, each with questions about its end.

In:  a seed. Out: one story a line; all text of this example comes from here.
Holds: the same seed gives the same lines everywhere; what a story's answers say is what happened in
it. Stories to measure with are of another seed than those to learn from.

  stories.py --seed 2 --count 5
"""

import argparse
import random

PEOPLE = {"Ada": "she", "Ben": "he", "Cora": "she", "Dan": "he", "Eva": "she", "Finn": "he",
          "Greta": "she", "Hugo": "he", "Ida": "she", "Jan": "he", "Kim": "she", "Leo": "he",
          "Mia": "she", "Nils": "he", "Olga": "she", "Paul": "he"}
PLACES = ["garden", "kitchen", "library", "market", "station", "park", "school", "harbour",
          "museum", "bakery"]
COLOURS = ["red", "blue", "green", "black", "white", "yellow", "old", "small"]
THINGS = ["book", "cup", "key", "hat", "lamp", "letter", "ball", "coin", "map", "apple"]
MOODS = ["sunny", "cold", "windy", "rainy", "warm", "quiet"]
TIMES = ["Then", "After that", "A little later", "Soon", "In the afternoon"]


class Story:
    """Who is where and has what, and the sentences that made it so."""

    def __init__(self, rng):
        self.rng = rng
        self.people = rng.sample(sorted(PEOPLE), rng.randint(2, 3))
        self.places = rng.sample(PLACES, rng.randint(2, 3))
        things = rng.sample(THINGS, rng.randint(1, 2))
        self.things = [f"{rng.choice(COLOURS)} {thing}" for thing in things]
        self.where = {person: rng.choice(self.places) for person in self.people}
        self.owner = {}
        self.last = None  # whom the sentence before was about
        self.text = []

    def say(self, person, does, plain=False):
        """A sentence about a person, whom a pronoun stands for where nobody else can be meant.
        plain: by name, and without a time."""
        name = person
        if not plain and self.last == person and self.rng.random() < 0.6:
            name = PEOPLE[person].capitalize()
        elif not plain and self.rng.random() < 0.35:
            name = f"{self.rng.choice(TIMES)}, {person}"
        self.text.append(f"{name} {does}.")
        self.last = person

    def begin(self):
        mood = self.rng.choice(MOODS)
        self.text.append(self.rng.choice([f"It was a {mood} day.", f"One {mood} morning it began.",
                                          f"The day was {mood}."]))
        for person in self.people:
            self.say(person, f"was in the {self.where[person]}", plain=True)
        for thing in self.things:
            person = self.rng.choice(self.people)
            self.owner[thing] = person
            self.say(person, self.rng.choice([f"had a {thing}", f"found a {thing}"])
                     .replace("a old", "an old"))

    def step(self):
        person = self.rng.choice(self.people)
        near = [other for other in self.people
                if other != person and self.where[other] == self.where[person]]
        has = [thing for thing in self.things if self.owner[thing] == person]
        if has and near and self.rng.random() < 0.8:
            thing, other = self.rng.choice(has), self.rng.choice(near)
            self.say(person, self.rng.choice([f"gave the {thing} to {other}",
                                              f"handed {other} the {thing}"]))
            self.owner[thing] = other
            if self.rng.random() < 0.3:
                self.text.append(f"{other} thanked {person}.")
                self.last = None
        else:
            place = self.rng.choice([p for p in self.places if p != self.where[person]])
            self.say(person, self.rng.choice([f"went to the {place}", f"walked to the {place}"]))
            self.where[person] = place

    def questions(self):
        """A question about each thing or person, in any order: (question, answer)."""
        asked = [(f"Who has the {thing}?", f"{self.owner[thing]} has the {thing}.")
                 for thing in self.things]
        asked += [(f"Where is {person}?", f"{person} is in the {self.where[person]}.")
                  for person in self.people]
        asked += [(f"Where is the {thing}?", f"The {thing} is in the {self.where[person]}.")
                  for thing, person in self.owner.items()]
        return self.rng.sample(asked, len(asked))

    def ask(self):
        """A question in between, with its answer."""
        question, answer = self.questions()[0]
        self.text.append(f"{question} {answer}")
        self.last = None


def story(rng):
    """The text of a story, some questions in it, and the questions at its end with their answers."""
    it = Story(rng)
    it.begin()
    for _ in range(rng.randint(2, 5)):
        if rng.random() < 0.4:
            it.ask()
        it.step()
    return " ".join(it.text), it.questions()[:3]


def stories(seed):
    """Stories without end: (text, [(question, answer), ...])."""
    rng = random.Random(seed)
    while True:
        yield story(rng)


def line(one):
    """A story with its questions and answers, as one text."""
    text, asked = one
    return " ".join([text] + [f"{question} {answer}" for question, answer in asked])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--count", type=int, default=10, help="lines (default 10)")
    options = parser.parse_args()
    for _, one in zip(range(options.count), stories(options.seed)):
        print(line(one))

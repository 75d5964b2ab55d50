// Rules to states (Automaton.h), after Thompson (1968).
#include "runtime/grammar/Automaton.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::rt {

class AutomatonMaker {
public:
  AutomatonMaker(const Grammar &grammar, Automaton &out, std::string &why)
      : grammar(grammar), out(out), states(out.states), why(why) {}

  bool run() {
    for (size_t rule = 0; rule < grammar.rules.size(); ++rule) {
      current = static_cast<int>(rule);
      int entry = add(), end = add();
      out.entries.push_back(entry);
      ends.push_back(end);
      states[static_cast<size_t>(end)].end = true;
      build(grammar.rules[rule].expression, entry, end);
      if (tooMany())
        return false;
    }
    out.rootRule = grammar.root;
    std::vector<bool> fit = endsReached(/*bytes=*/true);
    if (!fit[static_cast<size_t>(grammar.root)])
      return wrong("no text fits rule " + quote(grammar.rules[grammar.root].name) +
                   ": it never comes to an end");
    dropUseless(fit);
    skipEmptyRules(endsReached(/*bytes=*/false));
    if (!orderRules())
      return false;
    findClasses();
    return true;
  }

private:
  using Parts = std::vector<int>;

  bool wrong(const std::string &text) {
    why = text;
    return false;
  }
  bool tooMany() {
    if (states.size() <= Automaton::mostStates)
      return false;
    if (why.empty())
      why = format("rule %s is too large: its repetitions make more than %zu states",
                   quote(grammar.rules[current].name).c_str(), Automaton::mostStates);
    return true;
  }
  int add() {
    states.emplace_back().rule = current;
    return static_cast<int>(states.size()) - 1;
  }
  Automaton::State &at(int state) { return states[static_cast<size_t>(state)]; }
  void edge(int from, int first, int last, int to) {
    at(from).edges.push_back(
        {static_cast<unsigned char>(first), static_cast<unsigned char>(last), to});
  }

  /// What leads from one state to another by an expression.
  void build(int number, int from, int to) {
    if (tooMany())
      return;
    const Grammar::Expression &e = grammar[number];
    switch (e.kind) {
    case Grammar::Kind::Bytes:
      return buildBytes(e.bytes, from, to);
    case Grammar::Kind::Characters:
      for (auto [first, last] : e.characters)
        buildCharacters(first, last, from, to);
      return;
    case Grammar::Kind::Sequence:
      for (size_t i = 0; i < e.parts.size(); ++i) {
        int next = i + 1 < e.parts.size() ? add() : to;
        build(e.parts[i], from, next);
        from = next;
      }
      if (e.parts.empty())
        at(from).empty.push_back(to);
      return;
    case Grammar::Kind::Choice:
      for (int part : e.parts) {
        // (By itself, so that a repetition in one is none of the others'.)
        int begin = add();
        at(from).empty.push_back(begin);
        build(part, begin, to);
      }
      return;
    case Grammar::Kind::Repeat:
      return buildRepeat(e, from, to);
    case Grammar::Kind::Rule:
      at(from).calls.push_back({e.rule, to});
      return;
    }
  }

  void buildBytes(const std::string &bytes, int from, int to) {
    if (bytes.empty())
      at(from).empty.push_back(to);
    for (size_t i = 0; i < bytes.size(); ++i) {
      int next = i + 1 < bytes.size() ? add() : to;
      auto byte = static_cast<unsigned char>(bytes[i]);
      edge(from, byte, byte, next);
      from = next;
    }
  }

  /// Characters whose UTF-8 has the same length, cut until all bytes but the first few that are
  /// equal go through whole ranges.
  void buildCharacters(int32_t first, int32_t last, int from, int to) {
    for (int32_t border : {0x7F, 0x7FF, 0xFFFF})
      if (first <= border && last > border) {
        buildCharacters(first, border, from, to);
        return buildCharacters(border + 1, last, from, to);
      }
    int length = first < 0x80 ? 1 : first < 0x800 ? 2 : first < 0x10000 ? 3 : 4;
    for (int rest = 1; rest < length; ++rest) {
      int32_t mask = (1 << 6 * rest) - 1; // of the last `rest` bytes
      if ((first & ~mask) == (last & ~mask))
        continue;
      if (first & mask) {
        buildCharacters(first, first | mask, from, to);
        return buildCharacters((first | mask) + 1, last, from, to);
      }
      if ((last & mask) != mask) {
        buildCharacters(first, (last & ~mask) - 1, from, to);
        return buildCharacters(last & ~mask, last, from, to);
      }
    }
    std::string low = utf8Of(first), high = utf8Of(last);
    for (size_t i = 0; i < low.size(); ++i) {
      int next = i + 1 < low.size() ? add() : to;
      edge(from, static_cast<unsigned char>(low[i]), static_cast<unsigned char>(high[i]), next);
      from = next;
    }
  }

  void buildRepeat(const Grammar::Expression &e, int from, int to) {
    for (int64_t i = 0; i < e.least && !tooMany(); ++i) {
      int next = add();
      build(e.parts[0], from, next);
      from = next;
    }
    if (e.most < 0) {
      int loop = add();
      at(from).empty.push_back(loop);
      int back = add();
      build(e.parts[0], loop, back);
      at(back).empty.push_back(loop);
      at(loop).empty.push_back(to);
      return;
    }
    for (int64_t i = e.least; i < e.most && !tooMany(); ++i) {
      int next = add(), inside = add();
      at(from).empty.push_back(to);
      at(from).empty.push_back(inside);
      build(e.parts[0], inside, next);
      from = next;
    }
    at(from).empty.push_back(to);
  }

  /// The rules whose end can be reached from their entry; `bytes`: not only by empty texts.
  std::vector<bool> endsReached(bool bytes) {
    std::vector<bool> reached(grammar.rules.size()), seen(states.size());
    std::vector<std::vector<int>> waiting(grammar.rules.size()); // behind calls of a rule
    std::vector<int> work;
    auto visit = [&](int state) {
      if (!seen[static_cast<size_t>(state)]) {
        seen[static_cast<size_t>(state)] = true;
        work.push_back(state);
      }
    };
    for (int entry : out.entries)
      visit(entry);
    while (!work.empty()) {
      const Automaton::State &state = at(work.back());
      work.pop_back();
      for (int next : state.empty)
        visit(next);
      if (bytes)
        for (const Automaton::Edge &edge : state.edges)
          visit(edge.target);
      for (const Automaton::Call &call : state.calls)
        if (reached[static_cast<size_t>(call.rule)])
          visit(call.target);
        else
          waiting[static_cast<size_t>(call.rule)].push_back(call.target);
      if (state.end && !reached[static_cast<size_t>(state.rule)]) {
        reached[static_cast<size_t>(state.rule)] = true;
        for (int next : waiting[static_cast<size_t>(state.rule)])
          visit(next);
      }
    }
    return reached;
  }

  /// Nothing leads to a state from which its rule's end cannot be reached any more.
  void dropUseless(const std::vector<bool> &fit) {
    std::vector<std::vector<int>> before(states.size());
    for (size_t from = 0; from < states.size(); ++from) {
      auto note = [&](int to) {
        before[static_cast<size_t>(to)].push_back(static_cast<int>(from));
      };
      for (int next : states[from].empty)
        note(next);
      for (const Automaton::Edge &edge : states[from].edges)
        note(edge.target);
      for (const Automaton::Call &call : states[from].calls)
        if (fit[static_cast<size_t>(call.rule)])
          note(call.target);
    }
    std::vector<bool> useful(states.size());
    std::vector<int> work = ends;
    for (int end : ends)
      useful[static_cast<size_t>(end)] = true;
    while (!work.empty()) {
      int state = work.back();
      work.pop_back();
      for (int from : before[static_cast<size_t>(state)])
        if (!useful[static_cast<size_t>(from)]) {
          useful[static_cast<size_t>(from)] = true;
          work.push_back(from);
        }
    }
    auto useless = [&](int state) { return !useful[static_cast<size_t>(state)]; };
    for (Automaton::State &state : states) {
      std::erase_if(state.empty, useless);
      std::erase_if(state.edges, [&](const Automaton::Edge &e) { return useless(e.target); });
      std::erase_if(state.calls, [&](const Automaton::Call &call) {
        return !fit[static_cast<size_t>(call.rule)] || useless(call.target);
      });
    }
  }

  /// A call of a rule that may be empty may be left out.
  void skipEmptyRules(const std::vector<bool> &mayBeEmpty) {
    for (Automaton::State &state : states)
      for (const Automaton::Call &call : state.calls)
        if (mayBeEmpty[static_cast<size_t>(call.rule)])
          state.empty.push_back(call.target);
  }

  /// The rules that each calls before its first byte.
  std::vector<Parts> firstCalls() {
    std::vector<Parts> calls(grammar.rules.size());
    std::vector<bool> seen(states.size());
    Parts work;
    for (int entry : out.entries)
      for (work.push_back(entry); !work.empty();) {
        int state = work.back();
        work.pop_back();
        if (seen[static_cast<size_t>(state)])
          continue;
        seen[static_cast<size_t>(state)] = true;
        work.insert(work.end(), at(state).empty.begin(), at(state).empty.end());
        for (const Automaton::Call &call : at(state).calls)
          calls[static_cast<size_t>(at(state).rule)].push_back(call.rule);
      }
    return calls;
  }

  bool orderRules() {
    std::vector<Parts> calls = firstCalls();
    std::vector<int> callers(calls.size());
    for (const Parts &of : calls)
      for (int rule : of)
        ++callers[static_cast<size_t>(rule)];
    Parts &order = out.rulesInOrder;
    for (size_t rule = 0; rule < calls.size(); ++rule)
      if (!callers[rule])
        order.push_back(static_cast<int>(rule));
    for (size_t i = 0; i < order.size(); ++i)
      for (int rule : calls[static_cast<size_t>(order[i])])
        if (--callers[static_cast<size_t>(rule)] == 0)
          order.push_back(rule);
    if (order.size() < calls.size())
      return leftRecursion(calls, callers);
    out.orders.resize(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      out.orders[static_cast<size_t>(order[i])] = static_cast<int>(i);
    return true;
  }

  /// `callers` is not 0 for rules on a circle and for those behind one; of a rule behind one, a
  /// caller that is left leads back to the circle.
  bool leftRecursion(const std::vector<Parts> &calls, const std::vector<int> &callers) {
    std::vector<int> caller(calls.size(), -1);
    for (size_t rule = 0; rule < calls.size(); ++rule)
      for (int called : calls[rule])
        if (callers[rule])
          caller[static_cast<size_t>(called)] = static_cast<int>(rule);
    auto left = std::find_if(callers.begin(), callers.end(), [](int count) { return count > 0; });
    int rule = static_cast<int>(left - callers.begin());
    for (size_t i = 0; i < calls.size(); ++i)
      rule = caller[static_cast<size_t>(rule)];
    std::string circle = quote(grammar.rules[rule].name);
    int shown = 0;
    for (int next = caller[static_cast<size_t>(rule)]; next != rule && shown < 5; ++shown) {
      circle = quote(grammar.rules[next].name) + ", " + circle;
      next = caller[static_cast<size_t>(next)];
    }
    return wrong("a rule begins with itself (left recursion): " + circle +
                 "; write the repetition as ( ... )*, or the rule behind what it repeats");
  }

  void findClasses() {
    std::array<bool, 257> border{};
    border[0] = true;
    for (const Automaton::State &state : states)
      for (const Automaton::Edge &edge : state.edges)
        border[edge.first] = border[edge.last + 1u] = true;
    int number = -1;
    for (size_t byte = 0; byte < 256; ++byte) {
      if (border[byte])
        out.someByte[static_cast<size_t>(++number)] = static_cast<unsigned char>(byte);
      out.byteClass[byte] = static_cast<unsigned char>(number);
    }
    out.classCount = number + 1;
  }

  const Grammar &grammar;
  Automaton &out;
  std::vector<Automaton::State> &states;
  std::vector<int> ends; ///< by rule
  std::string &why;
  int current = 0; ///< the rule that is built
};

std::unique_ptr<Automaton> Automaton::make(const Grammar &grammar, std::string &why) {
  why.clear();
  auto out = std::make_unique<Automaton>();
  return AutomatonMaker(grammar, *out, why).run() ? std::move(out) : nullptr;
}

} // namespace qkv::rt

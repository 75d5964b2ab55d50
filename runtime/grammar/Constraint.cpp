// Masks of tokens (Constraint.h).
#include "runtime/grammar/Constraint.h"

namespace qkv::rt {

/// What was computed so far. Streams go on with a new one where it becomes too large, and it is
/// gone with the last that stands in it.
struct Constraint::Table {
  explicit Table(const Automaton &automaton) : positions(automaton), start(positions.begin()) {}
  Positions positions;
  int start;
  /// By position, two for each: behind others, at the beginning.
  std::unordered_map<int, std::shared_ptr<const TokenMask>> masks;
  size_t maskBytes = 0;
};

class Constraint::Lock {
public:
  explicit Lock(pthread_mutex_t &mutex) : mutex(mutex) { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;

private:
  pthread_mutex_t &mutex;
};

Constraint::Constraint(std::unique_ptr<Automaton> automaton, std::shared_ptr<const TokenTrie> first,
                       std::shared_ptr<const TokenTrie> behind, std::vector<int64_t> ends)
    : automaton(std::move(automaton)), first(std::move(first)), behind(std::move(behind)),
      ends(std::move(ends)) {}

Constraint::~Constraint() { pthread_mutex_destroy(&mutex); }

/// The stream stands in a table that has room.
void Constraint::refresh(Place &place) const {
  constexpr size_t mostMaskBytes = 64 << 20;
  if (!current || current->positions.full() || current->maskBytes > mostMaskBytes)
    current = std::make_shared<Table>(*automaton);
  current->positions.restart();
  if (!place.table)
    place.position = current->start;
  else if (place.table != current)
    place.position = current->positions.take(place.table->positions, place.position);
  place.table = current;
}

void Constraint::fill(Positions &positions, int from, const TokenTrie &trie,
                      TokenMask &mask) const {
  std::vector<int> path(trie.deepest + 1u, from); // the position behind so many bytes
  for (size_t at = 0; at + 1 < trie.nodes.size();) {
    const TokenTrie::Node &node = trie.nodes[at];
    int next =
        positions.step(path[node.depth], automaton->classOf(static_cast<unsigned char>(node.byte)));
    if (next == Positions::Dead) {
      if (positions.gaveUp())
        return;
      at = node.behind;
      continue;
    }
    path[node.depth + 1u] = next;
    for (uint32_t i = node.tokens; i < trie.nodes[at + 1].tokens; ++i)
      mask[static_cast<size_t>(trie.tokens[i]) / 64] |= uint64_t(1) << (trie.tokens[i] % 64);
    ++at;
  }
}

std::shared_ptr<const TokenMask> Constraint::next(Place &place, bool atBeginning) const {
  Lock lock(mutex);
  refresh(place);
  for (bool again : {false, true}) {
    Table &table = *place.table;
    std::shared_ptr<const TokenMask> &known = table.masks[2 * place.position + atBeginning];
    if (known)
      return known;
    const TokenTrie &trie = atBeginning ? *first : *behind;
    auto mask = std::make_shared<TokenMask>((static_cast<size_t>(trie.size()) + 63) / 64);
    fill(table.positions, place.position, trie, *mask);
    for (int64_t end : ends) {
      uint64_t bit = uint64_t(1) << (end % 64), &word = (*mask)[static_cast<size_t>(end) / 64];
      word = table.positions.mayEnd(place.position) ? word | bit : word & ~bit;
    }
    if (!table.positions.gaveUp()) {
      table.maskBytes += mask->size() * sizeof(uint64_t);
      return known = std::move(mask);
    }
    // Once more with nothing else in the table, so that what others did makes no difference.
    current = nullptr;
    if (!again)
      refresh(place);
  }
  return nullptr;
}

bool Constraint::take(Place &place, std::string_view bytes) const {
  Lock lock(mutex);
  refresh(place);
  int at = place.position;
  for (char byte : bytes)
    at = place.table->positions.step(at, automaton->classOf(static_cast<unsigned char>(byte)));
  if (at == Positions::Dead || place.table->positions.gaveUp())
    return false;
  place.position = at;
  return true;
}

bool Constraint::mayEnd(Place &place) const {
  Lock lock(mutex);
  refresh(place);
  return place.table->positions.mayEnd(place.position);
}

bool Constraint::goesOn(Place &place) const {
  Lock lock(mutex);
  refresh(place);
  return place.table->positions.goesOn(place.position);
}

} // namespace qkv::rt

// Sums over what belongs to their row's block are computed block by block.
//
// In: y[i,e] = sum[d](q[i,d] * s[(i + n) // 64, d, e]), i of any number of rows, n a size; and
// y[i,e] = sum[j](w(i,j) * v[j,e] where j // 64 == (i + n) // 64 and ..). Out: the rows of the
// first block (where n may be no multiple of 64), whole blocks and what is left, each with its
// block known:
//
//   y.head[i,e] = sum[d](q[i,d] * s[n // 64, d, e])
//   y.rows[b,r,d] = q[64 * b + r + ..., d]
//   y.block[b,r,e] = sum[d](y.rows[b,r,d] * s[b + n // 64 + 1, d, e])
//   y.tail[i,e] likewise
//
// and of keys those of the block alone: j is 64 * b + u, u < 64. What holds: an element's terms are
// the same, in the same order.
#include "compiler/equations/BlockScores.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"
#include "compiler/equations/Softmaxes.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

/// A sum of fewer terms is not worth it.
constexpr int64_t fewTerms = 16;
/// Nor are blocks of fewer rows.
constexpr int64_t fewRows = 32;

/// (letter + shift) // size
struct Block {
  int letter = -1;
  Size shift;
  int64_t size = 0;
  int key = -1; ///< a letter that is summed over, whose block is the row's; or -1
  Size keyShift;
};

std::optional<Block> blockOf(const ExprPtr &e) {
  if (e->kind != K::Apply || e->op != Op::FloorDiv || e->args[1]->kind != K::Int ||
      e->args[1]->integer < fewRows)
    return std::nullopt;
  auto at = letterPlus(e->args[0]);
  if (!at || at->letter < 0)
    return std::nullopt;
  return Block{at->letter, at->rest, e->args[1]->integer, -1, {}};
}

class BlockSplitter {
public:
  BlockSplitter(Program &program, std::set<int> &stored)
      : program_(program), scores_(program, stored) {}

  void run() {
    for (int t : liveTensors(program_))
      if (auto block = find(t))
        split(t, *block);
  }

private:
  /// The block that a tensor's one sum is split by.
  std::optional<Block> find(int tensor) {
    const Tensor &t = program_.tensors[tensor];
    if (t.kind != Tensor::Kind::Equation || t.constant || t.pieces.size() != 1 ||
        t.half != Half::None)
      return std::nullopt;
    const ExprPtr &value = t.pieces[0].value;
    if (value->kind != K::Reduce || value->reduction != Reduction::Sum ||
        value->type != Type::Float)
      return std::nullopt;
    if (value->args[1])
      return ofKeys(t, *value);
    double terms = 1;
    for (int l : value->letters)
      terms *= program_.letters[l].extent.magnitude(program_.atoms);
    if (terms < fewTerms)
      return std::nullopt;
    std::vector<ExprPtr> factors;
    factorsOf(value->args[0], factors);
    for (const ExprPtr &f : factors)
      if (f->kind == K::Read)
        for (const ExprPtr &a : f->args)
          if (auto block = inIndex(a); block && runs(t, block->letter))
            return block;
    return std::nullopt;
  }

  /// Of a guard that says that a row and a key are in one block.
  std::optional<Block> ofKeys(const Tensor &t, const Expr &sum) const {
    for (const ExprPtr &c : conjuncts(sum.args[1])) {
      if (!isApply(c, Op::Equal))
        continue;
      auto a = blockOf(c->args[0]), b = blockOf(c->args[1]);
      if (!a || !b || a->size != b->size)
        continue;
      auto summed = [&](const Block &of) {
        return std::count(sum.letters.begin(), sum.letters.end(), of.letter) > 0;
      };
      if (summed(*b))
        std::swap(a, b);
      if (!summed(*a) || summed(*b) || !runs(t, b->letter))
        continue;
      b->key = a->letter;
      b->keyShift = a->shift;
      return b;
    }
    return std::nullopt;
  }

  static bool isApply(const ExprPtr &e, Op op) {
    return e->kind == K::Apply && e->op == op && e->args.size() == 2;
  }

  std::optional<Block> inIndex(const ExprPtr &index) const {
    if (auto block = blockOf(index))
      return block;
    for (const ExprPtr &a : index->args)
      if (a && index->kind == K::Apply)
        if (auto block = inIndex(a))
          return block;
    return std::nullopt;
  }

  /// Whether a letter is that of an axis, over a length that is not known.
  bool runs(const Tensor &t, int letter) const {
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (t.pieces[0].indices[a].letter == letter)
        return runsOver(program_, letter, t.axes[a]) && !t.axes[a].extent.isConstant() &&
               std::all_of(t.axes.begin(), t.axes.end(),
                           [](const Axis &axis) { return !axis.before && !axis.after; });
    return false;
  }

  int newLetter(const std::string &name, const Size &extent) {
    program_.letters.push_back({name, extent});
    return static_cast<int>(program_.letters.size()) - 1;
  }

  /// Where rows and keys are, once the block is known.
  struct Place {
    ExprPtr number;       ///< of the block
    ExprPtr row, key;     ///< what the letters are
    ExprPtr rowIn, keyIn; ///< positions in the block
  };

  /// A row's or a key's position in the block plus a size, where `e` is that letter plus a size.
  ExprPtr inBlock(const ExprPtr &e, const Block &block, const Place &place) const {
    auto at = letterPlus(e);
    if (!at || (at->letter != block.letter && (at->letter < 0 || at->letter != block.key)))
      return nullptr;
    bool row = at->letter == block.letter;
    return plus(row ? place.rowIn : place.keyIn,
                size(at->rest - (row ? block.shift : block.keyShift)));
  }

  /// An expression where the block is known: its number for what asks for it, and places in it
  /// where rows and keys are compared.
  ExprPtr known(const ExprPtr &root, const Block &block, const Place &place) const {
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      auto at = blockOf(e);
      if (at && at->letter == block.letter && at->shift == block.shift && at->size == block.size)
        return place.number;
      if (e->kind != K::Apply || e->args.size() != 2 || block.key < 0 ||
          (e->op != Op::Sub && e->op < Op::Equal))
        return e;
      auto a = letterPlus(e->args[0]), b = letterPlus(e->args[1]);
      ExprPtr x = inBlock(e->args[0], block, place), y = inBlock(e->args[1], block, place);
      return x && y && a->letter != b->letter ? withArgs(e, {x, y}) : e;
    });
    return mapper(root);
  }

  /// The sum with the block known.
  ExprPtr placed(const ExprPtr &sum, const Block &block, const Place &place) const {
    ExprPtr guard;
    for (const ExprPtr &c : conjuncts(sum->args[1])) {
      auto a = isApply(c, Op::Equal) ? blockOf(c->args[0]) : std::nullopt;
      auto b = a ? blockOf(c->args[1]) : std::nullopt;
      if (!a || !b || (a->letter != block.key && b->letter != block.key))
        guard = both(guard, known(c, block, place));
    }
    std::unordered_map<int, ExprPtr> letters{{block.letter, place.row}};
    std::vector<int> summed = sum->letters;
    if (block.key >= 0) {
      letters[block.key] = place.key;
      std::replace(summed.begin(), summed.end(), block.key, place.keyIn->letter);
    }
    return reduce(Reduction::Sum, summed,
                  plainIndices(substitute(known(sum->args[0], block, place), letters)),
                  guard ? substitute(guard, letters) : nullptr, sum->span);
  }

  /// Indices as a letter plus a size, where they are. What is outside at one position for certain
  /// is what its equation says.
  ExprPtr plainIndices(const ExprPtr &root) const {
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      if (e->kind != K::Read)
        return e;
      std::vector<ExprPtr> args;
      for (const ExprPtr &a : e->args) {
        auto at = letterPlus(a);
        args.push_back(!at              ? a
                       : at->letter < 0 ? size(at->rest)
                                        : plus(letter(at->letter), size(at->rest)));
      }
      ExprPtr outside = outsidePiece(*e, args);
      return outside ? outside : withArgs(e, std::move(args));
    });
    return mapper(root);
  }

  ExprPtr outsidePiece(const Expr &e, const std::vector<ExprPtr> &args) const {
    const Tensor &t = program_.tensors[e.tensor];
    for (const Piece &piece : t.pieces) {
      std::unordered_map<int, ExprPtr> letters;
      bool fits = !piece.guard, fixed = false;
      for (size_t a = 0; a < args.size() && fits; ++a) {
        const PieceIndex &index = piece.indices[a];
        if (index.letter >= 0) {
          letters[index.letter] = args[a];
          continue;
        }
        auto position = index.position.constant();
        fits =
            position && *position < 0 && args[a]->kind == K::Int && args[a]->integer == *position;
        fixed = true;
      }
      if (fits && fixed)
        return substitute(piece.value, letters);
    }
    return nullptr;
  }

  /// Rows of one block: a tensor like `like` whose axis of the rows is over `rows`, from `first`
  /// on.
  ExprPtr part(const Tensor &like, const Block &block, const char *suffix, const Size &rows,
               const Size &first, const Size &number, const ExprPtr &index) {
    Tensor t = like;
    t.name += suffix;
    Piece &piece = t.pieces[0];
    std::unordered_map<int, ExprPtr> letters;
    std::vector<ExprPtr> args;
    Place place;
    place.number = size(number);
    Size begins = number * Size(block.size);
    for (size_t a = 0; a < t.axes.size(); ++a) {
      int old = piece.indices[a].letter;
      bool moves = old == block.letter;
      if (moves)
        t.axes[a].extent = rows;
      int own = newLetter(t.axes[a].name, t.axes[a].extent);
      piece.indices[a].letter = own;
      if (moves) {
        place.row = plus(letter(own), size(first));
        place.rowIn = plus(letter(own), size(first + block.shift - begins));
      } else {
        letters[old] = letter(own);
      }
      args.push_back(moves ? index : letter(old));
    }
    if (block.key >= 0) {
      Size left = program_.letters[block.key].extent + block.keyShift - begins;
      place.keyIn = letter(newLetter(program_.letters[block.key].name,
                                     minimum(Size(block.size), left, program_.atoms)));
      place.key = plus(place.keyIn, size(begins - block.keyShift));
    }
    piece.value = substitute(placed(piece.value, block, place), letters);
    if (block.key >= 0)
      piece.value =
          scores_.apart(t, piece.value, {letterPlus(place.row)->letter}, place.keyIn->letter);
    piece.guard = nullptr;
    program_.tensors.push_back(std::move(t));
    return read(program_, static_cast<int>(program_.tensors.size()) - 1, std::move(args),
                like.span);
  }

  static ExprPtr plus(const ExprPtr &a, const ExprPtr &b) {
    if (b->kind == K::Int && b->integer == 0)
      return a;
    return apply(Op::Add, {a, b}, a->span);
  }

  /// Whole blocks: rows of their own axis, which are put in a row again.
  ExprPtr blocks(const Tensor &like, const Block &block, const Size &count, const Size &first,
                 const Size &firstBlock, const ExprPtr &index) {
    int b = newLetter("b", count), r = newLetter("r", Size(block.size)), u = -1;
    Place place;
    place.number = plus(letter(b), size(firstBlock));
    place.rowIn = letter(r);
    auto at = [&](int in, const Size &from) {
      ExprPtr begins = apply(Op::Mul, {integer(block.size), letter(b)}, like.span);
      return plus(apply(Op::Add, {begins, letter(in)}, like.span), size(from));
    };
    place.row = at(r, first);
    if (block.key >= 0) {
      u = newLetter(program_.letters[block.key].name, Size(block.size));
      place.keyIn = letter(u);
      place.key = at(u, firstBlock * Size(block.size) - block.keyShift);
    }
    // What is read of rows and keys, block by block.
    const std::set<int> moving{b, r, u};
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      if (e->kind != K::Read)
        return e;
      const std::set<int> &free = free_.of(e);
      return free.count(r) || (u >= 0 && free.count(u)) ? rowsOf(like, e, b, r, u) : e;
    });
    ExprPtr value = mapper(placed(like.pieces[0].value, block, place));
    Tensor t = like;
    t.name += ".block";
    if (u >= 0)
      value = scores_.apart(t, value, {b, r}, u);
    t.axes.clear();
    Piece piece;
    piece.span = like.pieces[0].span;
    std::vector<ExprPtr> args;
    for (size_t a = 0; a < like.axes.size(); ++a) {
      int old = like.pieces[0].indices[a].letter;
      if (old != block.letter) {
        t.axes.push_back(like.axes[a]);
        piece.indices.push_back({old, {}});
        args.push_back(letter(old));
        continue;
      }
      for (int l : {b, r}) {
        t.axes.push_back({program_.letters[l].name, program_.letters[l].extent, 0, 0});
        piece.indices.push_back({l, {}});
      }
      args.push_back(nullptr);
    }
    piece.value = value;
    t.pieces = {withOwnLetters(piece)};
    program_.tensors.push_back(t);
    int blocked = static_cast<int>(program_.tensors.size()) - 1;

    Tensor flat = like;
    flat.name += ".blocks";
    Piece &merged = flat.pieces[0];
    merged.guard = nullptr;
    std::vector<ExprPtr> indices, whole;
    for (size_t a = 0; a < flat.axes.size(); ++a) {
      bool moves = merged.indices[a].letter == block.letter;
      if (moves)
        flat.axes[a].extent = count * Size(block.size);
      int old = merged.indices[a].letter, own = newLetter(flat.axes[a].name, flat.axes[a].extent);
      merged.indices[a].letter = own;
      if (moves)
        for (Op op : {Op::FloorDiv, Op::Mod})
          indices.push_back(apply(op, {letter(own), integer(block.size)}, like.span));
      else
        indices.push_back(letter(own));
      whole.push_back(moves ? index : letter(old));
    }
    merged.value = read(program_, blocked, std::move(indices), like.span);
    program_.tensors.push_back(std::move(flat));
    return read(program_, static_cast<int>(program_.tensors.size()) - 1, std::move(whole),
                like.span);
  }

  /// Gives a piece letters that no other tensor has.
  Piece withOwnLetters(Piece piece) {
    std::unordered_map<int, ExprPtr> letters;
    for (PieceIndex &index : piece.indices) {
      Letter copy = program_.letters[index.letter];
      int own = newLetter(copy.name, copy.extent);
      letters[index.letter] = letter(own);
      index.letter = own;
    }
    piece.value = substitute(piece.value, letters);
    return piece;
  }

  /// What is read of rows or keys as a tensor over blocks, places in a block and its other letters.
  ExprPtr rowsOf(const Tensor &like, const ExprPtr &factor, int b, int r, int u) {
    Tensor t = like;
    t.name += ".rows" + std::to_string(program_.tensors.size());
    t.axes.clear();
    Piece piece;
    piece.span = like.span;
    std::vector<ExprPtr> args;
    const std::set<int> free = free_.of(factor);
    std::vector<int> order{b};
    for (int l : {r, u})
      if (free.count(l))
        order.push_back(l);
    for (const ExprPtr &a : factor->args) // in its own order, the last one is contiguous
      if (a->kind == K::Letter && !std::count(order.begin(), order.end(), a->letter))
        order.push_back(a->letter);
    for (int l : free)
      if (!std::count(order.begin(), order.end(), l))
        order.push_back(l);
    for (int l : order) {
      t.axes.push_back({program_.letters[l].name, program_.letters[l].extent, 0, 0});
      piece.indices.push_back({l, {}});
      args.push_back(letter(l));
    }
    piece.value = factor;
    t.pieces = {withOwnLetters(piece)};
    t.lifted = 0;
    program_.tensors.push_back(std::move(t));
    return read(program_, static_cast<int>(program_.tensors.size()) - 1, std::move(args),
                like.span);
  }

  void split(int tensor, const Block &block) {
    const Tensor like = program_.tensors[tensor];
    SizeAtoms &atoms = program_.atoms;
    Size rows = program_.letters[block.letter].extent, by(block.size), head(0);
    // What is in the first row's block comes first, whole or not: where others begin is the start
    // of the next one, whatever the shift.
    Size firstWhole = floorDiv(block.shift, by, atoms),
         end = floorDiv(block.shift + rows, by, atoms);
    Size count = end - firstWhole;
    if (!block.shift.isConstant() || *block.shift.constant() % block.size != 0) {
      firstWhole = firstWhole + Size(1);
      head = minimum(rows, firstWhole * by - block.shift, atoms);
      count = maximum(end - firstWhole, Size(0), atoms);
    }
    Size tail = head + count * by;
    ExprPtr row = letter(block.letter);
    auto minus = [&](const Size &by) {
      return by == Size(0) ? row : apply(Op::Sub, {row, size(by)}, like.span);
    };
    ExprPtr value = part(like, block, ".tail", rows - tail, tail, end, minus(tail));
    value = choose(both(apply(Op::LessEqual, {size(head), row}, like.span),
                        apply(Op::Less, {row, size(tail)}, like.span)),
                   blocks(like, block, count, head, firstWhole, minus(head)), value, like.span);
    if (head != Size(0))
      value =
          choose(apply(Op::Less, {row, size(head)}, like.span),
                 part(like, block, ".head", head, Size(0), floorDiv(block.shift, by, atoms), row),
                 value, like.span);
    program_.tensors[tensor].pieces[0].value = value;
    program_.tensors[tensor].pieces[0].guard = nullptr;
  }

  Program &program_;
  FreeLetters free_;
  BlockScores scores_;
};

} // namespace

void splitBlocks(Prepared &prepared) { BlockSplitter(prepared.program, prepared.stored).run(); }

} // namespace qkv::equations

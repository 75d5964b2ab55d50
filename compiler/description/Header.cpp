// The C header of a model.
//
// Holds: NAME_arguments is its own size, then the dynamic sizes, the inputs, the results, each
// eight bytes; NAME_error is qkv_error. A name that C or C++ takes for itself, or that is there
// twice (a result may have the name of an input), gets a tail that says what it is.
#include "compiler/description/Header.h"
#include "compiler/description/EntryKinds.h"
#include "compiler/description/Extent.h"

#include <algorithm>
#include <set>
#include <sstream>

namespace qkv {
namespace {

/// INT8_MAX, SIZE_MAX and their like are macros of stdint.h.
bool isLimit(const std::string &name) {
  if (!name.ends_with("_MAX") && !name.ends_with("_MIN"))
    return false;
  for (const char *start : {"INT", "UINT", "PTRDIFF_", "SIZE_", "SIG_ATOMIC_", "WCHAR_", "WINT_"})
    if (name.starts_with(start))
      return true;
  return false;
}

bool reservedInC(const std::string &name) {
  static const std::set<std::string> words{
      "alignas",     "alignof",   "and",      "and_eq",    "asm",     "auto",     "bitand",
      "bitor",       "bool",      "break",    "case",      "catch",   "char",     "class",
      "co_await",    "co_return", "co_yield", "compl",     "concept", "const",    "consteval",
      "constexpr",   "constinit", "continue", "decltype",  "default", "delete",   "do",
      "double",      "else",      "enum",     "explicit",  "export",  "extern",   "false",
      "float",       "for",       "friend",   "goto",      "if",      "inline",   "int",
      "int64_t",     "long",      "mutable",  "namespace", "new",     "noexcept", "not",
      "not_eq",      "nullptr",   "operator", "or",        "or_eq",   "private",  "protected",
      "public",      "register",  "requires", "restrict",  "return",  "short",    "signed",
      "size",        "sizeof",    "static",   "struct",    "switch",  "template", "this",
      "throw",       "true",      "try",      "typedef",   "typeid",  "typename", "typeof",
      "union",       "unix",      "linux",    "unsigned",  "using",   "virtual",  "void",
      "volatile",    "wchar_t",   "while",    "xor",       "xor_eq",  "NULL",     "errno",
      "stdin",       "stdout",    "stderr",   "size_t",    "uint8_t", "offsetof", "static_assert",
      "thread_local"};
  return words.count(name) != 0 || isLimit(name);
}

/// Names that begin so belong to the C implementation.
bool belongsToImplementation(const std::string &name) {
  return name.size() > 1 && name[0] == '_' &&
         (name[1] == '_' || (name[1] >= 'A' && name[1] <= 'Z'));
}

/// Names of the members of NAME_arguments, in its order.
struct Members {
  std::vector<std::string> sizes, inputs, results;
  explicit Members(const Description &d) {
    for (const auto &size : d.sizes)
      sizes.push_back(take(size.name, "size"));
    for (const auto &input : d.inputs)
      inputs.push_back(take(input.name, "in"));
    for (const auto &result : d.results)
      results.push_back(take(result.name, "out"));
  }

private:
  /// `kind` ("size") goes before a name that the implementation could own, else behind it; names
  /// that are taken get a number.
  std::string take(std::string name, const std::string &kind) {
    if (belongsToImplementation(name))
      name = kind + name.substr(std::min(name.find_first_not_of('_'), name.size()) - 1);
    if (reservedInC(name) || taken.count(name))
      name += "_" + kind;
    std::string unique = name;
    for (int number = 2; reservedInC(unique) || !taken.insert(unique).second; ++number)
      unique = name + std::to_string(number);
    return unique;
  }
  std::set<std::string> taken;
};

std::string withoutParentheses(const std::string &text) {
  return text.front() == '(' ? text.substr(1, text.size() - 2) : text;
}

/// An extent as C writes it: the postfix text with the sizes' names.
std::string extentInC(const std::string &text, const Description &d) {
  static const char *const operators[] = {" + ", " - ", "*", "/", "%"};
  std::vector<std::string> stack;
  const auto extent = Extent::parse(text, d.sizes.size());
  for (const Extent::Step &step : extent->steps()) {
    using Kind = Extent::Step::Kind;
    if (step.kind == Kind::Number) {
      stack.push_back(std::to_string(step.number));
    } else if (step.kind == Kind::Size) {
      stack.push_back(d.sizes[step.number].name);
    } else {
      std::string right = stack.back();
      stack.pop_back();
      int at = static_cast<int>(step.kind) - static_cast<int>(Kind::Add);
      if (step.kind == Kind::Max || step.kind == Kind::Min)
        stack.back() = (step.kind == Kind::Max ? "max(" : "min(") +
                       withoutParentheses(stack.back()) + ", " + withoutParentheses(right) + ")";
      else
        stack.back() = "(" + stack.back() + operators[at] + right + ")";
    }
  }
  return withoutParentheses(stack.back());
}

std::string shapeComment(const Description::Value &value, const Description &d) {
  if (value.axes.empty())
    return "one element";
  std::string letters, extents;
  for (const auto &axis : value.axes) {
    letters += (letters.empty() ? "" : ",") + axis.name;
    extents += (extents.empty() ? "" : ", ") + extentInC(axis.extent, d);
  }
  return "[" + letters + "] = [" + extents + "]" + (value.token ? ", tokens" : "") +
         (value.type == QKV_BOOL ? ", each 0 or 1" : "");
}

const char *typeInC(int type) {
  return type == QKV_FLOAT ? "float" : type == QKV_INT ? "int64_t" : "uint8_t";
}

/// Text that stands in a comment.
std::string inComment(std::string text) {
  for (size_t at = 0; (at = text.find("*/", at)) != std::string::npos;)
    text.replace(at, 2, "* /");
  for (char &c : text)
    if (static_cast<unsigned char>(c) < 32)
      c = ' ';
  return text;
}

/// Writes the header, part by part.
class HeaderWriter {
public:
  explicit HeaderWriter(const Description &description)
      : d(description), p(cPrefix(description)), members(description) {}

  std::string text() {
    example();
    out << "#ifndef QKV_MODEL_" << p << "\n#define QKV_MODEL_" << p << "\n\n"
        << "#include <stddef.h>\n#include <stdint.h>\n\n"
        << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    types();
    arguments();
    openAndClose();
    for (const Description::Entry &entry : d.entries)
      run(entry);
    if (d.stream)
      sequences();
    out << "\n#ifdef __cplusplus\n}\n#endif\n#endif\n";
    return out.str();
  }

private:
  /// How to use it.
  void example() {
    out << "/* Model " << d.name << " (" << inComment(d.file) << "), compiled by qkv.\n"
        << " *\n"
        << " * Open the model once, a session for each thread that runs it, then run:\n"
        << " *\n"
        << " *   " << p << "_error error = {sizeof error};\n"
        << " *   " << p << "_model *model = " << p << "_open(NULL, &error);\n"
        << " *   " << p << "_session *session = " << p << "_session_open(model, &error);\n"
        << " *   " << p << "_arguments arguments = {sizeof arguments};\n";
    for (const auto *list : {&members.sizes, &members.inputs, &members.results})
      for (const std::string &name : *list)
        out << " *   arguments." << name << " = ...;\n";
    out << " *   if (" << p << "_run(session, &arguments, &error) != 0)\n"
        << " *     fprintf(stderr, \"%s\\n\", error.text);\n"
        << " *\n"
        << " * Tensors are contiguous and row-major. Nothing here is global: models and sessions\n"
        << " * are independent of each other. */\n";
  }

  void types() {
    out << "/* What went wrong. `size` is sizeof(" << p << "_error), set by the caller. */\n"
        << "typedef struct " << p << "_error {\n"
        << "  size_t size;\n"
        << "  int32_t line, column; /* in the model file, from 1; 0: no place */\n"
        << "  int32_t length;       /* characters */\n"
        << "  char file[" << sizeof(qkv_error::file) << "];\n"
        << "  char text[" << sizeof(qkv_error::text) << "];\n"
        << "} " << p << "_error;\n\n"
        << "typedef struct " << p << "_model " << p << "_model;     /* immutable; any thread */\n"
        << "typedef struct " << p << "_session " << p << "_session; /* one thread at a time */\n\n";
  }

  void arguments() {
    out << "/* What a run takes and gives. `size` is sizeof(" << p
        << "_arguments), set by the caller. */\n"
        << "typedef struct " << p << "_arguments {\n  size_t size;\n";
    for (size_t i = 0; i < d.sizes.size(); ++i)
      out << "  int64_t " << members.sizes[i] << "; /* size " << d.sizes[i].name << ", "
          << d.sizes[i].min << " to " << d.sizes[i].max << (d.sizes[i].stream ? ", a stream" : "")
          << " */\n";
    for (size_t i = 0; i < d.inputs.size(); ++i)
      out << "  const " << typeInC(d.inputs[i].type) << " *" << members.inputs[i] << "; /* input "
          << d.inputs[i].name << " " << shapeComment(d.inputs[i], d) << " */\n";
    for (size_t i = 0; i < d.results.size(); ++i)
      out << "  " << typeInC(d.results[i].type) << " *" << members.results[i] << "; /* result "
          << d.results[i].name << " " << shapeComment(d.results[i], d) << "; null: not wanted */\n";
    out << "} " << p << "_arguments;\n\n";
  }

  void openAndClose() {
    out << "/* Opens the model with its weights: a safetensors file, a folder of them, or a file\n"
        << " * that qkv build packed; null: those beside or inside this library or program. Null\n"
        << " * with *error set where they do not fit, or where this CPU lacks what the code "
           "needs.\n"
        << " * `error` may be null, here and below. */\n"
        << p << "_model *" << p << "_open(const char *weights, " << p << "_error *error);\n\n"
        << "/* Its sessions are closed before. Null is nothing. */\n"
        << "void " << p << "_close(" << p << "_model *model);\n\n"
        << "/* Null with *error set on failure. */\n"
        << p << "_session *" << p << "_session_open(const " << p << "_model *model, " << p
        << "_error *error);\n"
        << "void " << p << "_session_close(" << p << "_session *session);\n";
  }

  /// The function that runs an entry, with what must be known of its kind.
  void run(const Description::Entry &entry) {
    out << "\n";
    switch (entry.kind) {
    case QKV_WHOLE:
      out << "/* Computes the results. 0, or -1 with *error set: then the results hold nothing of\n"
          << " * use. */\n";
      break;
    case QKV_LAST: {
      Description::Value last = d.results[0];
      last.axes.erase(last.axes.begin());
      out << "/* The last position's " << d.results[0].name << " alone: " << members.results[0]
          << " is " << shapeComment(last, d) << ", other results are left. */\n";
      break;
    }
    case QKV_BATCH:
      out << "/* Several sequences at once, their sizes being equal: inputs and results hold one\n"
          << " * after the other. Each gets what it gets alone, to the bit. *error does not say "
             "whose\n"
          << " * it is. */\n";
      break;
    case QKV_LAST_BATCH:
      out << "/* The last position of several sequences. */\n";
      break;
    case QKV_MIXED: // of parts alone, which the functions of sequences call
      return;
    }
    out << "int " << p << entryKind(entry.kind).cFunction << "(" << p << "_session *session, "
        << (entry.count(QKV_SEQUENCES) ? "int64_t sequences, " : "") << "const " << p
        << "_arguments *arguments, " << p << "_error *error);\n";
  }

  /// Streams that go on from what they keep.
  void sequences() {
    out << "\n/* One stream that goes on from what it keeps. Its session stays open as long. */\n"
        << "typedef struct " << p << "_sequence " << p << "_sequence;\n\n"
        << "/* A session's sequences are at most so many and keep at most so many bytes together; "
           "0: "
           "no\n * bound. What finds no room is an error and changes nothing. */\n"
        << "int " << p << "_session_limit(" << p
        << "_session *session, int64_t sequences, int64_t "
           "bytes, "
        << p << "_error *error);\n"
        << "/* A sequence of no positions yet. Of the arguments the stream's size and inputs over "
           "it "
           "do\n * not count. Null with *error set. */\n"
        << p << "_sequence *" << p << "_sequence_begin(" << p << "_session *session, const " << p
        << "_arguments *arguments, " << p << "_error *error);\n";
    for (const SequenceStep &step : sequenceSteps(d)) {
      out << "\n/* The next positions: the stream's size is how many, inputs over the stream hold "
             "these\n * alone. ";
      if (step.part == QKV_NEXT)
        out << members.results[0] << " gets the last position's row, other results are left.";
      else if (step.part == QKV_STEP)
        out << "Results over the stream get their new rows.";
      else
        out << "Results over the stream get their new rows, the others their value so far.";
      out << "\n * 0, or -1 with *error set: then the sequence is as it was. */\n"
          << "int " << p << "_sequence_" << step.name << "(" << p << "_sequence *sequence, const "
          << p << "_arguments *arguments, " << p << "_error *error);\n"
          << "/* The same for several sequences of any lengths, each with its arguments. -1 with "
             "*error\n * set: then all are as they were. */\n"
          << "int " << p << "_sequences_" << step.name << "(" << p
          << "_sequence *const *sequences, int64_t count, const " << p
          << "_arguments *const *arguments, " << p << "_error *error);\n";
    }
    out << "\n/* Another sequence that goes on from the same place. Null with *error set. */\n"
        << p << "_sequence *" << p << "_sequence_copy(const " << p << "_sequence *sequence, " << p
        << "_error *error);\n"
        << "/* Takes a snapshot of what has no past, and another one behind each `every` positions "
           "from\n * now on; 0: of now alone. */\n"
        << "int " << p << "_sequence_snapshots(" << p << "_sequence *sequence, int64_t every, " << p
        << "_error *error);\n"
        << "/* Goes back to the first positions, or where something that is kept has no past, to "
           "the latest\n * snapshot before them. Returns how many positions there are then; -1 "
           "with "
           "*error set where\n * there is none. */\n"
        << "int64_t " << p << "_sequence_rewind(" << p << "_sequence *sequence, int64_t positions, "
        << p << "_error *error);\n"
        << "int64_t " << p << "_sequence_positions(const " << p << "_sequence *sequence);\n"
        << "/* Bytes that are kept. */\n"
        << "size_t " << p << "_sequence_bytes(const " << p << "_sequence *sequence);\n"
        << "void " << p << "_sequence_end(" << p << "_sequence *sequence);\n";
  }

  const Description &d;
  const std::string p; ///< what all names begin with
  Members members;
  std::ostringstream out;
};

} // namespace

std::string cPrefix(const Description &description) {
  // qkv_open and its like are the runtime's. (Names that begin with qkv_ no model has.)
  return description.name == "qkv" ? "model_qkv" : description.name;
}

std::vector<SequenceStep> sequenceSteps(const Description &description) {
  std::vector<SequenceStep> steps;
  for (SequenceStep step : {SequenceStep{"step", QKV_STEP}, SequenceStep{"closing", QKV_CLOSING},
                            SequenceStep{"next", QKV_NEXT}})
    if (description.stream && description.stream->parts[step.part])
      steps.push_back(step);
  return steps;
}

std::vector<std::string> cFunctions(const Description &description) {
  std::vector<std::string> names;
  for (const char *tail : {"_open", "_close", "_session_open", "_session_close"})
    names.push_back(cPrefix(description) + tail);
  for (const Description::Entry &entry : description.entries)
    names.push_back(cPrefix(description) + entryKind(entry.kind).cFunction);
  if (!description.stream)
    return names;
  names.push_back(cPrefix(description) + "_session_limit");
  std::string sequence = cPrefix(description) + "_sequence_";
  for (const char *tail : {"begin", "copy", "snapshots", "rewind", "positions", "bytes", "end"})
    names.push_back(sequence + tail);
  for (const SequenceStep &step : sequenceSteps(description))
    for (const std::string &before : {sequence, cPrefix(description) + "_sequences_"})
      names.push_back(before + step.name);
  return names;
}

std::string header(const Description &d) {
  HeaderWriter writer(d);
  return writer.text();
}

} // namespace qkv

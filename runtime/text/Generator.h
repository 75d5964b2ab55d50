// In: prompts and source lines. Out: the text a generator answers with. Holds: what a token is, how
// the next one is chosen and how it is computed are interfaces (Tokenizer, Sampler, Sequences).
#pragma once

#include "runtime/qkv.h"
#include "runtime/text/BeamSearch.h"
#include "runtime/text/ConstrainedText.h"
#include "runtime/text/SamplerChain.h"
#include "runtime/text/Sequence.h"
#include "runtime/text/TextOut.h"
#include "runtime/text/TokenText.h"
#include "runtime/text/Tokenizer.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// Why a stream ended.
enum class Ending { None, EndToken, StopString, Complete, MaxTokens, Full, Reader, Failed };
const char *endingText(Ending ending);

/// How text is generated.
struct GenerationOptions {
  SamplerOptions sampling{.temperature = 0};
  BeamOptions beams;
  std::vector<std::string> stops; ///< none is empty
  TextForm form;                  ///< what a text must be
  /// Reads `form`; null in programs that were linked without grammars.
  std::unique_ptr<Constraint> (*readForm)(const TextForm &form, const Tokenizer &tokenizer,
                                          int64_t count, qkv_error *error) = nullptr;
  int64_t maxTokens = -1;    ///< -1: until the stream is full
  int64_t context = -1;      ///< positions of a stream; -1: what the model holds
  int64_t cacheSize = 0;     ///< bytes that all streams may keep together; 0: no bound
  int64_t promptChunk = 512; ///< positions of a prompt that are computed at a time
  int64_t slide = -1;        ///< of a full stream so many first tokens stay, and the latest of
                             ///< the others; -1: it ends
  int64_t snapshots = 0;     ///< tokens between snapshots of what has no past; 0: none
  bool tokens = false;       ///< prompts, sources and answers are numbers of tokens
};

/// One stream that is generated, and its source.
struct Stream {
  std::unique_ptr<TokenSequence> sequence; // none while a search goes on
  std::unique_ptr<BeamSearch> search;      // null: one token after the other
  size_t source = 0, prompt = 0;           // tokens
  uint64_t number = 0;   // among the streams of a run: what is drawn depends on it
  size_t promptNow = 0;  // tokens of the prompt in the stream as it is now
  size_t shared = 0;     // tokens of the prompt that were computed for several
  int64_t generated = 0; // tokens
  bool failed = false, done = false;
  Ending ending = Ending::None;
  TextOut text;
  TokenText words;
  Constraint::Place place;                      // in what a text must be
  std::vector<float> *logits = nullptr;         // gets those of each token that was chosen,
  std::vector<int64_t> chosen;                  // which then stand here, with the one that ended it
  std::vector<int64_t> *sourceTokens = nullptr; // gets those of the source
  qkv_error error = {};
  /// Gets each piece of text; may end the stream by returning false.
  bool (*emit)(void *to, std::string_view text) = nullptr;
  void *to = nullptr;

  Stream() { error.size = sizeof error; }
};

/// Streams that wait for their turn.
class Waiting {
public:
  virtual ~Waiting() = default;
  /// The next one, begun; null where there is none now. `idle`: nothing else is being computed.
  virtual Stream *next(bool idle) = 0;
};

/// What all streams of a run share.
class Generator {
public:
  /// `tokenizer` may be null: bytes.
  Generator(const qkv_model &model, const qkv_weights *weights, const GenerationOptions &options,
            const Tokenizer *tokenizer)
      : model(model), weights(weights), options(options), tokenizer(tokenizer),
        streamSize(sizeOfTokens(model, model.generator_input)),
        sourceSize(model.generator_source < 0 ? -1 : sizeOfTokens(model, model.generator_source)) {}

  bool prepare(qkv_error *error);
  bool hasSource() const { return sourceSize >= 0; }
  /// Whether streams can be computed together.
  bool together() const { return sequences->together(); }
  /// Whether those may have sources and prompts of different lengths.
  bool mixes() const { return sequences->mixes(); }
  /// Makes a stream ready to run; where it cannot be, it has failed.
  void begin(std::string_view source, std::string_view prompt, Stream &stream) const;
  /// Makes it a stream that begins with these tokens; what it has computed of them is kept.
  void resume(std::vector<int64_t> tokens, Stream &stream) const;
  /// Makes a stream of no source go on with more text behind its tokens (the prompt, where it has
  /// none yet); where it cannot be, it has failed, and has its tokens still.
  void goOn(std::string_view more, Stream &stream) const;
  /// Computes the prompts of streams, then continues them token by token to their ends. Unless this
  /// mixes, sources and prompts are equally long.
  void run(std::vector<Stream *> streams) const;
  /// Likewise all streams that wait, `most` at a time: one that ends makes room for the next.
  void run(Waiting &waiting, size_t most) const;
  /// How tokens are chosen: "greedy", "top-k 40, temperature 0.7, draw".
  std::string samplingText() const;
  std::string tokenizerText() const { return tokenizer->about(); }
  int64_t vocabularySize() const { return vocabulary; }

private:
  bool tokensOf(std::string_view source, std::string_view prompt,
                std::vector<int64_t> &sourceTokens, std::vector<int64_t> &tokens,
                qkv_error *error) const;
  bool promptTokens(std::string_view prompt, std::vector<int64_t> &tokens, std::string &why) const;
  int64_t positions() const;
  void take(Stream &stream) const;
  bool allowed(Stream &stream, std::shared_ptr<const TokenMask> &mask) const;
  void fails(Stream &stream, const std::string &why) const;
  bool failed(Stream &stream) const;
  void beginSearch(Stream &stream) const;
  void goBackTo(std::vector<int64_t> tokens, Stream &stream) const;
  void slide(Stream &stream) const;
  void step(std::vector<Stream *> &streams) const;
  void end(Stream &stream, Ending ending) const;

  const qkv_model &model;
  const qkv_weights *weights;
  const GenerationOptions &options;
  const Tokenizer *tokenizer;
  int32_t streamSize, sourceSize; // among model.sizes; sourceSize -1: there is no source
  int64_t vocabulary = 0;
  int64_t choices = 0;                  ///< tokens that may be chosen: those that the tokenizer has
  std::unique_ptr<ByteTokenizer> bytes; ///< where there is no other
  std::unique_ptr<SamplerChain> chain;
  Greedy greedy;
  const Sampler *sampler = nullptr;       // one of them
  std::unique_ptr<Constraint> constraint; ///< null: any text
  std::unique_ptr<Sequences> sequences;
};

} // namespace qkv::rt

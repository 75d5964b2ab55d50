// In: the text of a tokenizer.json, which may be anything. Out: a tokenizer. Holds: what is not
// known is an error; truncation and padding, which concern batches of a training, are not applied.
#include "runtime/tokenize/ReadSteps.h"
#include "runtime/tokenize/TextTokenizer.h"

namespace qkv::rt {
namespace {

/// {"text": token, ...}
bool readVocabulary(Fields &fields, Vocabulary &vocabulary) {
  const Json *json = fields.need("vocab");
  if (!json)
    return false;
  if (!json->is_object())
    return fields.wrong("vocab is not an object");
  for (auto &[text, token] : json->items()) {
    if (!token.is_number_unsigned() || token.get<uint64_t>() >= uint64_t(Vocabulary::most))
      return fields.wrong("the token of " + text.substr(0, 100) + " is no number of a token");
    vocabulary.add(text, token.get<int64_t>());
  }
  return true;
}

bool readMerges(Fields &fields, Bpe &model) {
  const Json *json = fields.need("merges");
  if (!json)
    return false;
  if (!json->is_array())
    return fields.wrong("merges is not a list");
  model.reserveMerges(json->size());
  for (const Json &one : *json) {
    std::string left, right;
    if (one.is_array() && one.size() == 2 && one[0].is_string() && one[1].is_string()) {
      left = one[0].get<std::string>();
      right = one[1].get<std::string>();
    } else if (one.is_string()) {
      const auto &text = one.get_ref<const std::string &>();
      size_t space = text.find(' ');
      if (space == text.npos || text.find(' ', space + 1) != text.npos)
        return fields.wrong("a merge is not two texts with a space between them");
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else {
      return fields.wrong("a merge is neither a text nor a pair of texts");
    }
    if (!model.addMerge(left, right))
      return fields.wrong("the merge of " + left.substr(0, 100) + " and " + right.substr(0, 100) +
                          " has a part or a result that is not in the vocabulary");
  }
  return true;
}

std::unique_ptr<TokenModel> readBpe(Fields &fields) {
  auto model = std::make_unique<Bpe>();
  if (const Json *dropout = fields.find("dropout"))
    if (!dropout->is_number() || dropout->get<double>() != 0)
      fields.wrong("its dropout makes tokens by chance, which is not supported");
  model->unknown = fields.text("unk_token");
  model->prefix = fields.text("continuing_subword_prefix");
  model->suffix = fields.text("end_of_word_suffix");
  model->fuseUnknown = fields.flag("fuse_unk", false);
  model->byteFallback = fields.flag("byte_fallback", false);
  model->ignoreMerges = fields.flag("ignore_merges", false);
  if (!readVocabulary(fields, model->vocabulary) || !readMerges(fields, *model))
    return nullptr;
  return model;
}

std::unique_ptr<TokenModel> readUnigram(Fields &fields) {
  auto model = std::make_unique<Unigram>();
  const Json *list = fields.need("vocab");
  std::vector<double> scores;
  if (!list || !list->is_array()) {
    fields.wrong("vocab is not a list");
    return nullptr;
  }
  for (const Json &one : *list) {
    if (!one.is_array() || one.size() != 2 || !one[0].is_string() || !one[1].is_number()) {
      fields.wrong("vocab is not a list of texts and scores");
      return nullptr;
    }
    model->vocabulary.add(one[0].get<std::string>(), static_cast<int64_t>(scores.size()));
    scores.push_back(one[1].get<double>());
  }
  model->unknown = fields.whole("unk_id", -1, static_cast<int64_t>(scores.size()) - 1);
  model->byteFallback = fields.flag("byte_fallback", false);
  model->prepare(std::move(scores));
  return model;
}

std::unique_ptr<TokenModel> readModel(const Json &json, std::string &why) {
  std::string type = json.is_object() && json.contains("type") && json["type"].is_string()
                         ? json["type"].get<std::string>()
                         : "";
  Fields fields(json, "its model", why);
  fields.ignore({"type"});
  // Files from before there were types: what is in them says what they are.
  if (type.empty() && json.is_object())
    type = json.contains("merges")                     ? "BPE"
           : json.contains("max_input_chars_per_word") ? "WordPiece"
           : json.contains("unk_id")                   ? "Unigram"
                                                       : "";
  std::unique_ptr<TokenModel> model;
  if (type == "BPE") {
    model = readBpe(fields);
  } else if (type == "Unigram") {
    model = readUnigram(fields);
  } else if (type == "WordPiece") {
    auto pieces = std::make_unique<WordPiece>();
    pieces->unknown = fields.text("unk_token", "[UNK]");
    pieces->prefix = fields.text("continuing_subword_prefix", "##");
    pieces->longest = fields.whole("max_input_chars_per_word", 100, 1 << 20);
    if (readVocabulary(fields, pieces->vocabulary))
      model = std::move(pieces);
  } else if (type == "WordLevel") {
    auto words = std::make_unique<WordLevel>();
    words->unknown = fields.text("unk_token");
    if (readVocabulary(fields, words->vocabulary))
      model = std::move(words);
  } else {
    fields.wrong("its type " + type.substr(0, 100) + " is not known");
  }
  return fields.done() ? std::move(model) : nullptr;
}

bool readAdded(const Json &json, TextTokenizer &tokenizer, std::string &why) {
  if (!json.is_array()) {
    why = "its added_tokens are not a list";
    return false;
  }
  for (const Json &one : json) {
    Fields fields(one, "an added token", why);
    AddedToken token;
    fields.need("id");
    token.token = fields.whole("id", 0, Vocabulary::most - 1);
    token.content = fields.text("content");
    token.special = fields.flag("special", false);
    token.singleWord = fields.flag("single_word", false);
    token.leftSpaces = fields.flag("lstrip", false);
    token.rightSpaces = fields.flag("rstrip", false);
    token.normalized = fields.flag("normalized", !token.special);
    if (!fields.done())
      return false;
    // A text that the model's vocabulary has keeps its token.
    if (int64_t known = tokenizer.model->vocabulary.find(token.content); known >= 0)
      token.token = known;
    tokenizer.added.add(std::move(token));
  }
  return true;
}

/// ["[SEP]", 102]
bool readPair(Fields &fields, const char *name, std::vector<int64_t> &tokens) {
  const Json *pair = fields.need(name);
  if (!pair || !pair->is_array() || pair->size() != 2 || !(*pair)[1].is_number_unsigned() ||
      (*pair)[1].get<uint64_t>() >= uint64_t(Vocabulary::most))
    return fields.wrong(std::string(name) + " is not a text and its token");
  tokens.push_back((*pair)[1].get<int64_t>());
  return true;
}

/// [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, ...] around one text.
bool readTemplate(Fields &fields, TextTokenizer &tokenizer) {
  const Json *single = fields.need("single"), *known = fields.need("special_tokens");
  fields.ignore({"pair"});
  if (!single || !single->is_array() || !known || !known->is_object())
    return fields.wrong("it has no list `single` with its special_tokens");
  bool behind = false;
  for (const Json &one : *single) {
    if (one.is_object() && one.contains("Sequence")) {
      if (behind)
        return fields.wrong("the text stands in it twice");
      behind = true;
      continue;
    }
    auto special = one.is_object() ? one.find("SpecialToken") : one.end();
    if (!one.is_object() || special == one.end() || !special->is_object() ||
        !special->contains("id") || !(*special)["id"].is_string())
      return fields.wrong("a part of it is neither a Sequence nor a SpecialToken");
    auto entry = known->find((*special)["id"].get<std::string>());
    if (entry == known->end() || !entry->is_object() || !entry->contains("ids") ||
        !(*entry)["ids"].is_array())
      return fields.wrong("a special token of it is not among its special_tokens");
    for (const Json &token : (*entry)["ids"]) {
      if (!token.is_number_unsigned() || token.get<uint64_t>() >= uint64_t(Vocabulary::most))
        return fields.wrong("a special token of it has no number");
      (behind ? tokenizer.behind : tokenizer.before).push_back(token.get<int64_t>());
    }
  }
  return behind || fields.wrong("the text does not stand in it");
}

bool readPostProcessor(const Json &json, TextTokenizer &tokenizer, std::string &why, int depth) {
  Fields fields(json, "its post_processor", why);
  std::string type = fields.text("type");
  if (type == "TemplateProcessing") {
    // Around what stands around the text already.
    std::vector<int64_t> before = std::move(tokenizer.before), behind = std::move(tokenizer.behind);
    tokenizer.before.clear();
    tokenizer.behind.clear();
    if (!readTemplate(fields, tokenizer))
      return false;
    tokenizer.before.insert(tokenizer.before.end(), before.begin(), before.end());
    tokenizer.behind.insert(tokenizer.behind.begin(), behind.begin(), behind.end());
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    readPair(fields, "cls", tokenizer.before);
    readPair(fields, "sep", tokenizer.behind);
    fields.ignore({"trim_offsets", "add_prefix_space"});
  } else if (type == "ByteLevel") {
    fields.ignore({"trim_offsets", "add_prefix_space", "use_regex"});
  } else if (type == "Sequence" && depth < 16) {
    const Json *list = fields.need("processors");
    if (!list || !list->is_array())
      return fields.wrong("processors is not a list");
    for (const Json &one : *list)
      if (!readPostProcessor(one, tokenizer, why, depth + 1))
        return false;
  } else {
    fields.wrong("its type " + type.substr(0, 100) + " is not known");
  }
  return fields.done();
}

/// Whether a step of the given type is among those that make bytes to characters.
bool hasByteLevel(const Json *json, const char *steps) {
  if (!json || !json->is_object())
    return false;
  if (auto type = json->find("type"); type != json->end() && *type == "ByteLevel")
    return true;
  auto inner = json->find(steps);
  if (inner == json->end() || !inner->is_array())
    return false;
  for (const Json &one : *inner)
    if (one.is_object() && one.contains("type") && one["type"] == "ByteLevel")
      return true;
  return false;
}

} // namespace

std::unique_ptr<TextTokenizer> readTokenizerJson(std::string_view text, std::string &why) {
  why.clear();
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    why = "it is not JSON";
    return nullptr;
  }
  auto tokenizer = std::make_unique<TextTokenizer>();
  Fields fields(json, "it", why);
  fields.ignore({"version", "truncation", "padding"});
  const Json *normalizer = fields.find("normalizer"), *splits = fields.find("pre_tokenizer");
  const Json *decoder = fields.find("decoder"), *around = fields.find("post_processor");
  const Json *added = fields.find("added_tokens"), *model = fields.need("model");
  if (!fields.done() || !(tokenizer->model = readModel(*model, why)))
    return nullptr;
  if ((normalizer && !(tokenizer->normalizer = readNormalizer(*normalizer, why))) ||
      (splits && !(tokenizer->preTokenizer = readPreTokenizer(*splits, why))) ||
      (decoder && !(tokenizer->decoder = readDecoder(*decoder, why))) ||
      (added && !readAdded(*added, *tokenizer, why)) ||
      (around && !readPostProcessor(*around, *tokenizer, why, 0)))
    return nullptr;
  tokenizer->byteLevel =
      hasByteLevel(splits, "pretokenizers") || hasByteLevel(normalizer, "normalizers");
  return tokenizer->prepare(why) ? std::move(tokenizer) : nullptr;
}

} // namespace qkv::rt

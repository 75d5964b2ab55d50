// Figures for the tokenizers: vocabularies made here, texts made at random, and the tokens that the
// reference implementation gives for them.
//
// Out: figures/NAME.json, each {tokenizer, cases: [{text, plain, around, decoded}]}: the tokens of the
// text by itself, those with the special tokens around it, and the text of the first without special
// tokens. The same bytes every time. Needs the npm package @anush008/tokenizers in a folder
// node_modules above this file, or in $NODE_PATH's place:
//     node make_figures.mjs
//     node make_figures.mjs TOKENIZER.json FOLDER [TEXTS [SEED]]   a vocabulary that is there already
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire((process.env.TOKENIZERS ?? path.resolve(import.meta.dirname)) + "/x.js");
const { Tokenizer } = require("@anush008/tokenizers");

let state = 1n;
function random(below) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(below));
}
const pick = (list) => list[random(list.length)];

const ranges = [[0x20, 0x7e], [0x20, 0x7e], [0x61, 0x7a], [0x30, 0x39], [0xa0, 0xff], [0x100, 0x17f],
  [0x300, 0x36f], [0x370, 0x3ff], [0x400, 0x45f], [0x5d0, 0x5ea], [0x620, 0x652], [0x905, 0x94d],
  [0xe01, 0xe4e], [0x1100, 0x11ff], [0x1e00, 0x1eff], [0x2000, 0x206f], [0x2070, 0x209c],
  [0x2150, 0x218b], [0x2460, 0x24ff], [0x3041, 0x30ff], [0x4e00, 0x4eff], [0xac00, 0xacff],
  [0xf900, 0xf9ff], [0xfb00, 0xfb06], [0xff01, 0xff9f], [0x1d400, 0x1d4ff], [0x1f300, 0x1f64f],
  [0x20000, 0x200ff]];
const snippets = ["'s", "'LL", "don't", " we've", "I'm", "\n", "\r\n", "\n\n\n", "\t", "  ", "     ",
  " ", " ", "\u00a0", "\u0085", "\u2028", "\u3000", "\u200b", "\u200d", "\ufeff", "\u180e", "\u0000",
  "\u0001", "\u007f", "\u001c", "e\u0301", "\u0130", "\u03a3\u03c2", "\u00df", "\u1e9e", "ﬁ", "①", "Ⅷ",
  "½", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "한국어", "日本語", "中文", "ไทย", "हिन्दी", "العربية", "русский", "\ufffd",
  "1234567", "3.14", "_", "__init__", "a_b", "hello", "Hello", "HELLO", " world", "the", " the", "The",
  "low", "lower", "newest", "<unk>", "<s>", "</s>", "<|end|>", " <|end|> ", "[MASK]", "[SEP]", "<0x41>",
  "▁", "▁a", "##s", "token", "unbelievable", "`~!@#$%^&*()-=+[]{}|;:,.<>/?", "\\n", "\"'"];

function randomText() {
  let text = "";
  for (let parts = 1 + random(9); parts > 0; --parts) {
    if (random(2)) {
      text += pick(snippets);
      continue;
    }
    const [low, high] = pick(ranges);
    for (let count = 1 + random(6); count > 0; --count)
      text += String.fromCodePoint(low + random(high - low + 1));
    if (random(2)) text += " ";
  }
  return text;
}

async function figures(tokenizer, texts) {
  const cases = [];
  for (const text of texts) {
    let plain, around;
    try {
      plain = (await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds();
      around = (await tokenizer.encode(text, null, { addSpecialTokens: true })).getIds();
    } catch (error) {
      cases.push({ text, fails: true });
      continue;
    }
    cases.push({ text, plain, around, decoded: plain.length ? await tokenizer.decode(plain, true) : "" });
  }
  return cases;
}

// --- vocabularies ---

const corpus = `the quick brown fox jumps over the lazy dog. the lower the newest, the lowest of the low:
I'm sure that we've seen it; they'll say so. Hello world, hello token! unbelievable naive café über
русский текст 日本語 한국어 중국 中文 ไทย 1234567 3.14 2024 __init__ def main(): return x`;

function byteCharacters() {
  const characters = [];
  let next = 256;
  for (let byte = 0; byte < 256; ++byte) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    characters.push(String.fromCodePoint(printable ? byte : next++));
  }
  return characters;
}

/// Merges of the most frequent neighbours of words that are lists of parts.
function learn(words, count) {
  const merges = [];
  while (merges.length < count) {
    const pairs = new Map();
    for (const word of words)
      for (let i = 0; i + 1 < word.length; ++i) {
        const key = word[i] + " " + word[i + 1];
        pairs.set(key, (pairs.get(key) ?? 0) + 1);
      }
    let best = null;
    for (const [key, times] of pairs)
      if (times > 1 && (!best || times > best[1] || (times === best[1] && key < best[0]))) best = [key, times];
    if (!best) break;
    merges.push(best[0]);
    const [left, right] = best[0].split(" ");
    for (const word of words)
      for (let i = 0; i + 1 < word.length; ++i)
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
  return merges;
}

function numbered(texts) {
  const vocab = {};
  for (const text of texts) if (!(text in vocab)) vocab[text] = Object.keys(vocab).length;
  return vocab;
}

function added(vocab, list) {
  let next = Object.keys(vocab).length;
  return list.map(([content, flags]) => ({ id: vocab[content] ?? next++, content, single_word: false,
    lstrip: false, rstrip: false, normalized: false, special: true, ...flags }));
}

const file = (parts) => ({ version: "1.0", truncation: null, padding: null, added_tokens: [],
  normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...parts });

function around(before, behind) {
  const special = {};
  for (const [id, token] of [...before, ...behind]) special[id] = { id, ids: [token], tokens: [id] };
  const part = ([id]) => ({ SpecialToken: { id, type_id: 0 } });
  return { type: "TemplateProcessing", single: [...before.map(part), { Sequence: { id: "A", type_id: 0 } },
    ...behind.map(part)], pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: special };
}

function byteLevel(parts, extra = {}) {
  const characters = byteCharacters();
  const encode = (text) => [...Buffer.from(text)].map((byte) => characters[byte]);
  const merges = learn(corpus.match(/ ?\S+|\s+/g).map(encode), 150);
  const vocab = numbered([...characters, ...merges.map((m) => m.replace(" ", ""))]);
  return { vocab, build: (more) => file({ model: { type: "BPE", dropout: null, unk_token: null,
    continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false,
    ignore_merges: false, vocab, merges, ...extra }, decoder: { type: "ByteLevel", add_prefix_space: true,
    trim_offsets: true, use_regex: true }, ...parts, ...more }) };
}

const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const split = (pattern, behavior, invert = false) => ({ type: "Split", pattern, behavior, invert });

function vocabularies() {
  const all = {};
  const gpt2 = byteLevel({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true } });
  all["bpe-bytes"] = gpt2.build({ added_tokens: added(gpt2.vocab, [["<|end|>", {}],
    ["[MASK]", { lstrip: true, rstrip: true }], ["token", { special: false, single_word: true }],
    ["HELLO", { special: false, normalized: true }]]) });
  const modern = byteLevel({ normalizer: { type: "NFC" } }, { ignore_merges: true });
  const end = Object.keys(modern.vocab).length;
  all["bpe-ignore-merges"] = modern.build({ added_tokens: added(modern.vocab, [["<|end|>", {}], ["<s>", {}]]),
    pre_tokenizer: { type: "Sequence", pretokenizers: [split({ Regex: llama3 }, "Isolated"), bytes] },
    post_processor: { type: "Sequence", processors: [{ type: "ByteLevel", add_prefix_space: true, trim_offsets: false,
      use_regex: true }, around([["<s>", end + 1]], [])] } });
  const behaviours = byteLevel({});
  for (const behavior of ["Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", "Isolated"])
    all["split-" + behavior.toLowerCase()] = behaviours.build({ pre_tokenizer: { type: "Sequence", pretokenizers: [
      split({ Regex: "\\w+" }, behavior, behavior === "Isolated"), { type: "Digits", individual_digits: behavior === "Isolated" },
      { type: "Punctuation", behavior }, { ...bytes, add_prefix_space: true }] } });

  const pieces = (texts) => learn(texts.map((t) => [...t]), 120);
  const llamaMerges = pieces(corpus.split(/\s+/).map((w) => "▁" + w));
  const hex = Array.from({ length: 256 }, (_, b) => "<0x" + b.toString(16).toUpperCase().padStart(2, "0") + ">");
  const llamaVocab = numbered(["<unk>", "<s>", "</s>", ...hex, ...new Set("▁" + corpus.replace(/\s/g, "")),
    ...llamaMerges.map((m) => m.replace(" ", ""))]);
  const llama = (model, parts) => file({ model: { type: "BPE", dropout: null, unk_token: "<unk>",
    continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true, byte_fallback: true,
    vocab: llamaVocab, merges: llamaMerges.map((m) => m.split(" ")), ...model },
    added_tokens: added(llamaVocab, [["<unk>", {}], ["<s>", {}], ["</s>", {}]]),
    post_processor: around([["<s>", 1]], []),
    decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }] }, ...parts });
  const spaces = { normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" },
    { type: "Replace", pattern: { String: " " }, content: "▁" }] } };
  all["bpe-byte-fallback"] = llama({}, spaces);
  all["bpe-unknown"] = llama({ byte_fallback: false }, spaces);
  all["bpe-unknown-single"] = llama({ byte_fallback: false, fuse_unk: false },
    { normalizer: { type: "Replace", pattern: { Regex: " {2,}|\\t" }, content: " " },
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
      decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true } });

  const words = corpus.toLowerCase().split(/\s+/);
  const bertVocab = numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ..."abcdefghijklmnopqrstuvwxyz0123456789.,;:!'()_",
    ..."abcdefghijklmnopqrstuvwxyz0123456789".split("").map((c) => "##" + c), ...words.map((w) => w.replace(/\W+$/, "")).filter(Boolean),
    "##est", "##er", "##ing", "русскии", "日", "本", "##語", "中", "文"]);
  const bert = (normalizer, parts) => file({ model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##",
    max_input_chars_per_word: 20, vocab: bertVocab }, normalizer, pre_tokenizer: { type: "BertPreTokenizer" },
    added_tokens: added(bertVocab, [["[UNK]", {}], ["[CLS]", {}], ["[SEP]", {}], ["[MASK]", {}]]),
    post_processor: around([["[CLS]", 2]], [["[SEP]", 3]]), decoder: { type: "WordPiece", prefix: "##", cleanup: true }, ...parts });
  all["wordpiece"] = bert({ type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }, {});
  all["wordpiece-cased"] = bert({ type: "Sequence", normalizers: [{ type: "NFKD" }, { type: "StripAccents" }, { type: "Strip", strip_left: true, strip_right: true }] },
    { post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] } });

  const counts = new Map();
  for (const word of corpus.split(/\s+/))
    for (let i = 0; i <= word.length; ++i)
      for (let j = i + 1; j <= Math.min(word.length, i + 6); ++j) {
        const text = (i === 0 ? "▁" : "") + word.slice(i, j);
        counts.set(text, (counts.get(text) ?? 0) + 1);
      }
  const scored = [...counts].filter(([text, times]) => times > 1 || [...text].length === 1);
  const unigram = (model, parts) => file({ model: { type: "Unigram", unk_id: 0, byte_fallback: false, ...model,
    vocab: [["<unk>", 0], ["<s>", 0], ["</s>", 0], ...(model.byte_fallback ? hex.map((h) => [h, -20]) : []), ["▁", -3],
      ...scored.map(([text, times]) => [text, Math.log(times / 400)])] },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    added_tokens: added({ "<unk>": 0, "<s>": 1, "</s>": 2 }, [["<s>", {}], ["</s>", {}], ["<unk>", {}]]),
    post_processor: around([], [["</s>", 2]]), decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true }, ...parts });
  all["unigram"] = unigram({}, { normalizer: { type: "Sequence", normalizers: [{ type: "Nmt" }, { type: "NFKC" },
    { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }] } });
  all["unigram-byte-fallback"] = unigram({ byte_fallback: true }, {});

  const wordVocab = numbered(["<unk>", ...words.flatMap((w) => w.split(/(\W)/)).filter(Boolean)]);
  all["wordlevel"] = file({ model: { type: "WordLevel", vocab: wordVocab, unk_token: "<unk>" },
    normalizer: { type: "Sequence", normalizers: [{ type: "NFD" }, { type: "Lowercase" }, { type: "StripAccents" }] },
    pre_tokenizer: { type: "Whitespace" } });
  all["wordlevel-delimiter"] = file({ model: { type: "WordLevel", vocab: wordVocab, unk_token: "<unk>" },
    normalizer: { type: "BertNormalizer", clean_text: false, handle_chinese_chars: false, strip_accents: false, lowercase: true },
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "CharDelimiterSplit", delimiter: "." }] } });

  const clipWords = corpus.toLowerCase().match(/[a-z]+|\S/g).map((w) => [...w.slice(0, -1), w.at(-1) + "</w>"]);
  const letters = [...new Set(corpus.toLowerCase().replace(/\s/g, ""))];
  const clipMerges = learn(clipWords, 60);
  const clipVocab = numbered(["<|end|>", ...letters, ...letters.map((c) => c + "</w>"), ...clipMerges.map((m) => m.replace(" ", ""))]);
  all["bpe-suffix"] = file({ model: { type: "BPE", dropout: null, unk_token: "<|end|>", continuing_subword_prefix: "",
    end_of_word_suffix: "</w>", fuse_unk: false, vocab: clipVocab, merges: clipMerges },
    normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { Regex: "\\s+" }, content: " " }, { type: "Lowercase" }] },
    pre_tokenizer: split({ Regex: "<\\|end\\|>|'s|'t|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" }, "Removed", true),
    added_tokens: added(clipVocab, [["<|end|>", { normalized: true }]]),
    post_processor: { type: "RobertaProcessing", sep: ["<|end|>", 0], cls: ["<|end|>", 0], trim_offsets: false, add_prefix_space: false },
    decoder: { type: "BPEDecoder", suffix: "</w>" } });
  return all;
}

const [, , given, folder, count, seed] = process.argv;
if (given) {
  state = BigInt(seed ?? 7);
  const texts = Array.from({ length: Number(count ?? 3000) }, randomText);
  const cases = await figures(Tokenizer.fromFile(given), texts);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, path.basename(path.dirname(path.dirname(path.resolve(given)))) + ".json"),
    JSON.stringify({ file: path.resolve(given), cases }));
} else {
  for (const [name, tokenizer] of Object.entries(vocabularies())) {
    state = 11n;
    const texts = ["", " ", corpus, ...snippets, ...Array.from({ length: 120 }, randomText)];
    const cases = await figures(Tokenizer.fromString(JSON.stringify(tokenizer)), texts);
    fs.writeFileSync(path.join(import.meta.dirname, "figures", name + ".json"),
      `{"tokenizer":${JSON.stringify(tokenizer)},\n"cases":[\n${cases.map((c) => JSON.stringify(c)).join(",\n")}\n]}\n`);
  }
}

// llama.cpp behind the lines that qkv-measure speaks (Measure.cpp): kind `llama`.
//
//   {"do": "open", "name": "a", "model": "m.gguf", "threads": 1, "work": "prompt", "tokens": 512}
//
// A call of `prompt` reads that many tokens in one batch and computes the last one's logits; a call
// of `generation` computes that many tokens one after the other. QKV_LLAMA_BINS is the folder of
// @node-llama-cpp/linux-x64 with its native library.
'use strict';
const path = require('node:path');
const { serve, since, seconds } = require('./serve.cjs');

const native = require(path.join(process.env.QKV_LLAMA_BINS, 'llama-addon.node'));
let ready = null;

function prepare() {
  ready ??= (async () => {
    native.setLogger(() => {});
    native.setLoggerLogLevel(0);
    // Libraries for each kind of processor lie beside it; it looks for them in the working folder.
    process.chdir(process.env.QKV_LLAMA_BINS);
    native.loadBackends(true);
    await native.init();
  })();
  return ready;
}

serve({
  async open({ model: file, threads, work, tokens }) {
    await prepare();
    const model = new native.AddonModel(file, { gpuLayers: 0, useMmap: true });
    if (!(await model.init())) throw new Error(`llama.cpp cannot load ${file}`);
    const context = new native.AddonContext(model, {
      contextSize: Math.max(tokens + 64, 256), batchSize: Math.max(tokens, 512), sequences: 1, threads,
    });
    if (!(await context.init())) throw new Error('llama.cpp makes no context');
    return { context, work, tokens };
  },
  async call({ context, work, tokens }) {
    const decode = async (first, count) => {
      const ids = Uint32Array.from({ length: count }, (_, i) => 3 + ((first + i) * 7919) % 30000);
      context.initBatch(count);
      context.addToBatch(0, first, ids, Uint32Array.of(count - 1));
      await context.decodeBatch();
    };
    const started = since();
    if (work === 'prompt') await decode(0, tokens);
    else for (let i = 0; i < tokens; ++i) await decode(i, 1);
    const took = seconds(started);
    context.disposeSequence(0);
    return took;
  },
});

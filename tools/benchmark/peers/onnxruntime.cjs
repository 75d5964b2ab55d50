// ONNX Runtime behind the lines that qkv-measure speaks (Measure.cpp): kind `onnx`.
//
//   {"do": "open", "name": "a", "model": "m.onnx", "threads": 1, "feeds": [{"name", "type", "shape"}]}
'use strict';
const { serve, since, seconds } = require('./serve.cjs');
const ort = require('onnxruntime-node');

function noise(count) {
  const data = new Float32Array(count);
  let state = 12345;
  for (let i = 0; i < count; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state * 2 ** -31;
  }
  return data;
}

serve({
  async open(request) {
    const session = await ort.InferenceSession.create(request.model, {
      intraOpNumThreads: request.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    });
    const feeds = {};
    for (const { name, type, shape, values } of request.feeds) {
      const count = shape.reduce((a, b) => a * b, 1);
      feeds[name] = new ort.Tensor(type, values ? Int32Array.from(values) : noise(count), shape);
    }
    return { session, feeds };
  },
  async call({ session, feeds }) {
    const started = since();
    await session.run(feeds);
    return seconds(started);
  },
});

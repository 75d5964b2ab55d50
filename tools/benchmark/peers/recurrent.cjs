// An encoder and a decoder's step in ONNX Runtime, batch by batch (recurrent.py). In: JSON on standard
// input. Out: JSON: milliseconds of processor time to open both, and for all batches, the best run's; the
// tokens.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

const request = JSON.parse(fs.readFileSync(0, 'utf8'));

function numbers(rows, shape) {
  return new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), shape);
}

async function open(name) {
  return ort.InferenceSession.create(path.join(request.folder, name), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
}

async function decode(read, write, batch) {
  const count = batch.rows;
  const feeds = { source: batch.source, lengths: batch.lengths };
  for (const name of request.states)
    feeds[`${name}_zero`] = new ort.Tensor(new Float32Array(count * request.values), [1, count, request.values]);
  let state = await read.run(feeds);
  let token = new ort.Tensor('int64', new BigInt64Array(count).fill(BigInt(request.start)), [count, 1]);
  const tokens = Array.from({ length: count }, () => []);
  const ended = new Array(count).fill(false);
  for (let step = 0; step < request.longest && !ended.every(Boolean); ++step) {
    const out = await write.run({ token, ...state });
    token = out.chosen;
    token.data.forEach((value, row) => {
      tokens[row].push(Number(value));
      ended[row] ||= Number(value) === request.end;
    });
    state = Object.fromEntries(request.states.map((name) => [name, out[`${name}_next`]]));
  }
  return tokens;
}

async function main() {
  const start = process.cpuUsage();
  const read = await open('read.onnx');
  const write = await open('write.onnx');
  const opening = process.cpuUsage(start);
  const batches = request.batches.map(({ source, lengths }) => ({
    rows: lengths.length,
    source: numbers(source, [source.length, source[0].length]),
    lengths: numbers(lengths, [lengths.length]),
  }));
  let best = Infinity;
  let tokens;
  for (let n = 0; n < request.repeats; ++n) {
    const began = process.cpuUsage();
    tokens = [];
    for (const batch of batches) tokens.push(...(await decode(read, write, batch)));
    const { user, system } = process.cpuUsage(began);
    best = Math.min(best, (user + system) / 1000);
  }
  process.stdout.write(JSON.stringify({ milliseconds: best, opening: (opening.user + opening.system) / 1000, tokens }));
}

main().catch((why) => {
  process.stderr.write(`${why.stack}\n`);
  process.exit(1);
});

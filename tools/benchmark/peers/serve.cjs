// The lines that qkv-measure speaks (Measure.cpp), for peers that live in Node. In: `open(request)`
// makes what is measured, `call(it)` runs it once and returns its seconds. Out: the process serves
// until its input ends.
'use strict';
const readline = require('node:readline');

exports.since = () => process.hrtime.bigint();
exports.seconds = (started) => Number(process.hrtime.bigint() - started) * 1e-9;

exports.serve = async ({ open, call }) => {
  const opened = new Map();
  const answer = async (request) => {
    if (request.do === 'open') {
      opened.set(request.name, await open(request));
      return {};
    }
    const it = opened.get(request.name);
    if (it === undefined) return { error: `there is no ${request.name}` };
    if (request.do === 'close') {
      opened.delete(request.name);
      return {};
    }
    const times = [];
    const warm = request.warm ?? 1;
    for (let i = 0; i < warm + (request.calls ?? 1); ++i) {
      const time = await call(it);
      if (i >= warm) times.push(time);
    }
    return { seconds: times };
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let said;
    try {
      said = await answer(JSON.parse(line));
    } catch (error) {
      said = { error: String(error.message ?? error).split('\n')[0] };
    }
    process.stdout.write(JSON.stringify(said) + '\n');
  }
  process.exit(0);
};

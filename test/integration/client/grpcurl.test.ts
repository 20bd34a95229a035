import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { replicaScene } from '../../support/replica.js';
import { repository } from '../../support/repository.js';
import { testWith } from '../../support/requirement.js';

const page = readFileSync(join(repository, 'proto/README.md'), 'utf8');
const lines = [...page.matchAll(/^ {4}(grpcurl .*)$/gm)].map(([, line = '']) => line);

testWith(['grpcurl'], 'the documented grpcurl lines do what they are there for', async (t) => {
  const { grpc } = await replicaScene(t);
  const outputs: string[] = [];
  for (const line of lines) {
    const here = line
      .replace(/^grpcurl/, findProgram('grpcurl') ?? 'grpcurl')
      .replace('127.0.0.1:7400', grpc);
    const child = await startProcess(t, '/bin/sh', ['-c', here]);
    outputs.push(await child.success());
  }
  const outputOf = (part: string) => outputs[lines.findIndex((line) => line.includes(part))] ?? '';
  t.regex(outputOf(' list'), /^holdfast\.v1\.SelectionService$/m);
  t.regex(outputOf(' describe '), /rpc Select \(/);
  const selected = JSON.parse(outputOf('/Select'));
  const found = JSON.parse(outputOf('/Lookup'));
  t.is(selected.origin, 'ORIGIN_NEW');
  t.is(found.binding.relay.id, selected.binding.relay.id);
  t.deepEqual(JSON.parse(outputOf('/Release')), { found: true });
});

testWith(['grpcurl'], 'grpcurl shows the details of an error, and asks for health by name', async (t) => {
  const { grpc } = await replicaScene(t);
  const run = (...args: string[]) =>
    startProcess(t, findProgram('grpcurl') ?? 'grpcurl', ['-plaintext', ...args]);
  const health = await run(grpc, 'grpc.health.v1.Health/Check');
  t.deepEqual(JSON.parse(await health.success()), { status: 'SERVING' });

  const request = JSON.stringify({ call_id: 'call', set: 'empty' });
  const refused = await run('-d', request, grpc, 'holdfast.v1.SelectionService/Select');
  t.not((await refused.exited).code, 0);
  t.regex(refused.output, /Code: Unavailable\n/);
  t.regex(refused.output, /"reason": "NO_RELAY"/);
  t.regex(refused.output, /"domain": "holdfast"/);
  t.regex(refused.output, /"set": "empty"/);
  t.regex(refused.output, /"retryDelay": "0\.200s"/);
});

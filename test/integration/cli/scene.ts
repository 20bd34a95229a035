import type { ExecutionContext } from 'ava';
import { connect, fileScope, startEmbeddedEtcd } from '../../support/etcd.js';
import { aRelay, newKeyspace, putRelay } from '../../support/registry.js';
import { openReplica, putLoad } from '../../support/replica.js';
import { type Finished, runHoldfast } from '../../support/stack.js';

/** The `holdfast` command as a process, as people and scripts run it. */

const shared = fileScope();

async function start() {
  const etcd = await startEmbeddedEtcd(shared);
  const client = connect(shared, etcd.endpoint);
  const keys = newKeyspace();
  const r1 = aRelay({
    id: 'r1',
    zone: 'z1',
    capacity: 10,
    version: '1.2.3',
    startedAtMs: Date.now() - 90_000,
  });
  await putRelay(client, keys, r1);
  await putLoad(client, keys, 'r1', { calls: 3 });
  await putRelay(client, keys, aRelay({ id: 'r2', labels: { codec: 'opus' } }));
  await putRelay(client, keys, aRelay({ id: 'f1', set: 'full', capacity: 1 }));
  const replica = await openReplica(shared, etcd.endpoint, keys);
  await replica.ready;
  return { client, keys, ...replica };
}

export const stack = start();

/** Runs a command against the replica of this file. */
export async function run(t: ExecutionContext, ...args: string[]): Promise<Finished> {
  const { grpc } = await stack;
  return runHoldfast(t, args, { HOLDFAST_SERVER: grpc });
}

export async function succeeds(t: ExecutionContext, ...args: string[]): Promise<string> {
  const { code, stdout, output } = await run(t, ...args);
  t.is(code, 0, output);
  t.is(output, stdout, 'nothing on standard error');
  return stdout;
}

/** What it says on standard error; on standard output it says nothing. */
export async function fails(t: ExecutionContext, code: number, ...args: string[]): Promise<string> {
  const finished = await run(t, ...args);
  t.is(finished.code, code, finished.output);
  t.is(finished.stdout, '');
  return finished.output;
}

/** `name   value` lines as an object. */
export function rows(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, 12).trim(), line.slice(12)]),
  );
}

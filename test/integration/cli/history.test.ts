import test from 'ava';
import { openReplica, replicaScene } from '../../support/replica.js';
import { runHoldfast } from '../../support/stack.js';
import { fails, succeeds } from './scene.js';

test("every replica tells a call's history, also one that starts after the others have ended", async (t) => {
  const first = await replicaScene(t);
  const holdfast = async (server: string, ...args: string[]) => {
    const { code, stdout, output } = await runHoldfast(t, [...args, '--server', server], {
      USER: 'root',
      SUDO_USER: 'jo',
    });
    t.is(code, 0, output);
    return stdout;
  };
  await holdfast(first.grpc, 'select', 'a', '--exclude', 'r2', '--exclude', 'r3');
  await holdfast(first.grpc, 'move', 'a', '--generation', '1', '--reason', 'one-way audio', '--to', 'r2');
  await holdfast(first.grpc, 'move', 'a', '--generation', '2', '--reason', 'a test', '--to', 'r3');

  const told = await holdfast(first.grpc, 'history', 'a', '--json');
  const { relays, ...call } = JSON.parse(told);
  t.like(call, { callId: 'a', set: 'default', state: 'setup', freshness: 'fresh' });
  t.deepEqual(
    relays.map(({ relay, generation, reason, actor }: Record<string, unknown>) => [
      ...[relay, generation, reason, actor],
    ]),
    [
      ['r1', 1, 'bound', undefined],
      ['r2', 2, 'one-way audio', 'jo (unverified)'],
      ['r3', 3, 'a test', 'jo (unverified)'],
    ],
  );
  await first.stop();
  const later = await openReplica(t, first.etcd.endpoint, first.keys);
  await later.ready;
  t.is(await holdfast(later.grpc, 'history', 'a', '--json'), told);

  const lines = (await holdfast(later.grpc, 'history', 'a')).trimEnd().split('\n');
  t.regex(lines[2] ?? '', / 2 +r2 +one-way audio/);
  t.is(lines.at(-1), 'a: setup, on default/r3 (fresh)');
});

test('a call that is not bound has no history: exit code 3', async (t) => {
  t.is(await fails(t, 3, 'history', 'nobody'), 'holdfast: NOT_FOUND: call nobody has no binding\n');
  t.regex(await succeeds(t, 'history', '--help'), /last 8 moves/);
});

import type { ExecutionContext } from 'ava';
import test from 'ava';
import { aRelay, deleteRelay, eventually, putRelay } from '../../support/registry.js';
import { openReplica, putLoad, replicaScene, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { runHoldfast } from '../../support/stack.js';
import { insideOf, resizeTerminal, startInTerminal } from '../../support/terminal.js';

const size = { columns: 100, rows: 24 };

/** Two replicas of one etcd, and `top` of both in a terminal. */
async function scene(t: ExecutionContext) {
  const one = await replicaScene(t, [
    { id: 'media-1', capacity: 100 },
    { id: 'media-2', capacity: 100 },
  ]);
  const { client, keys, etcd } = one;
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  await putLoad(client, keys, 'media-1', { calls: 10, pingMs: 0.7 });
  await putLoad(client, keys, 'media-2', { calls: 90 });
  const child = await startInTerminal(t, ['top', '--server', `${one.grpc},${other.grpc}`], {
    ...size,
    env: { NO_COLOR: '1' },
    interactive: true,
  });
  const frame = () =>
    (child.output.split('\x1b[H').at(-1) ?? '')
      .replaceAll('\x1b[2K', '')
      .replaceAll('\x1b[J', '')
      .split(/\r*\n/);
  const shows = (pattern: RegExp) =>
    eventually(() => pattern.test(frame().join('\n')), `a frame with ${pattern}`);
  return { ...one, other, child, frame, shows };
}

testWith(
  ['script', 'stty'],
  'top draws what the page shows, sorts, filters and scrolls by keys, and fits the terminal',
  async (t) => {
    const { child, frame, shows, client, keys, selection } = await scene(t);
    await shows(/✓ All well: 2 relays, 100 calls, .* new\/s.*, etcd answers/);
    t.true(child.output.includes('\x1b[?1049h'), 'a screen of its own');
    await shows(/media-1 +● active +10\/100 +10% of 50% +\S+ +0\.7 ms/);
    await select(selection, { callId: 'a-call' });
    await shows(/All well: .*p99 /);
    const order = () =>
      frame()
        .flatMap((line) => /\bmedia-\d/.exec(line.slice(0, 30))?.[0] ?? [])
        .join(' ');
    child.type('ssss');
    await shows(/sort: CALLS ↓/);
    t.is(order(), 'media-2 media-1');
    child.type('r');
    await shows(/sort: CALLS ↑/);
    t.is(order(), 'media-1 media-2');
    child.type('/2\r');
    await shows(/filter: 2 /);
    t.is(order(), 'media-2');
    child.type('\x1b');
    await deleteRelay(client, keys, aRelay({ id: 'media-2' }));
    await shows(/^! default\/media-2 left within the last 24 h/m);
    await shows(/media-2 +✕ gone/);
    await shows(/✕ relay default\/media-2 left: its lease ran out/);
    t.is(
      frame().filter((line) => line.includes('✕ relay default/media-2 left')).length,
      1,
      'both replicas told it',
    );
    await putRelay(client, keys, aRelay({ id: 'media-2' }));
    await resizeTerminal(child, { columns: 60, rows: 12 });
    await eventually(
      () => frame().length <= 12 && frame().every((line) => [...line].length <= 60),
      'a smaller frame',
    );
    child.type('q');
    t.is((await child.exited).code, 0);
    t.true(child.output.includes('\x1b[?25h\x1b[?1049l'), 'the terminal is as before');
  },
);

testWith(
  ['script', 'stty'],
  'top says which replica does not answer, and since when nothing is heard',
  async (t) => {
    const { child, shows, stop, other } = await scene(t);
    await shows(/2 of 2 replicas answer/);
    await other.stop();
    await shows(/^! the replica at \S+ does not answer: .*ECONNREFUSED/m);
    await shows(/media-1 +● active/);
    await stop();
    await shows(/^✕ the replica at/m);
    await shows(/^… stale for \d+ s; trying again/m);
    await shows(/media-1 +● active/);
    process.kill(await insideOf(child), 'SIGTERM');
    await child.exited;
    t.true(child.output.includes('\x1b[?1049l'), 'the terminal is as before');
  },
);

test('without a terminal top prints everything once, and as JSON on request', async (t) => {
  const { grpc } = await replicaScene(t, [{ id: 'media-1' }]);
  const text = await runHoldfast(t, ['top', '--server', grpc]);
  t.is(text.code, 0, text.output);
  t.regex(text.stdout, /^✓ All well: 1 relay, 0 calls/);
  t.regex(text.stdout, /^default +media-1 +● active/m);
  const json = await runHoldfast(t, ['top', '--json', '--server', grpc]);
  const { status, relays } = JSON.parse(json.stdout);
  t.is(status.level, 'ok');
  t.is(relays[0].id, 'media-1');
  const none = await runHoldfast(t, ['top', '--server', '127.0.0.1:1']);
  t.is(none.code, 4);
  t.regex(none.output, /no Holdfast replica answers: connect ECONNREFUSED 127\.0\.0\.1:1/);
});

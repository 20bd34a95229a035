import { aRelay, eventually, putRelay } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { startInTerminal } from '../../support/terminal.js';
import { stack, succeeds } from './scene.js';

const size = { columns: 80, rows: 24 };

testWith(['script'], 'relays fits the terminal, and colors states unless NO_COLOR is set', async (t) => {
  const { grpc } = await stack;
  const show = async (env: Record<string, string>) => {
    const child = await startInTerminal(t, ['relays'], { ...size, env: { HOLDFAST_SERVER: grpc, ...env } });
    return (await child.success()).replaceAll('\r', '').trimEnd();
  };
  const plain = await show({ NO_COLOR: '1' });
  t.regex(plain, /^SET +RELAY +STATE +WEIGHT +CALLS +ZONE +CONTROL +UP\n/);
  t.true(
    plain.split('\n').every((line) => line.length <= size.columns),
    plain,
  );
  t.false(plain.includes('\x1b'));
  t.true((await show({})).includes('\x1b[32mactive\x1b[39m'));
  t.regex(await succeeds(t, 'relays'), / KIND .* INSTANCE/, 'a pipe gets all columns');
});

testWith(['script'], 'relays --watch draws the terminal again as relays change', async (t) => {
  const { client, keys, grpc } = await stack;
  const child = await startInTerminal(t, ['relays', '--watch', '--set', 'drawn'], {
    ...size,
    env: { HOLDFAST_SERVER: grpc, NO_COLOR: '1' },
  });
  await child.waitForLine('0 relays, none registered');
  // What it has been up for is as wide on any day, and so there is room for the same columns.
  await putRelay(client, keys, aRelay({ id: 'w1', set: 'drawn', startedAtMs: Date.now() - 90_000 }));
  await child.waitForLine('1 relay, 1 active');
  const frame = () => child.output.split('\x1b[H').at(-1) ?? '';
  await eventually(
    () => /^drawn +w1 +builtin +active/m.test(frame()) && frame().includes('drawn/w1 joined, active'),
    'a frame with the relay and what has changed',
  );
  t.true(frame().split('\n').length <= size.rows);
});

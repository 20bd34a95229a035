import test from 'ava';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../../support/registry.js';
import { select } from '../../support/replica.js';
import { startHoldfast } from '../../support/stack.js';

import { fails, rows, run, stack, succeeds } from './scene.js';

test('relays: a table for people, one JSON object for programs, --set', async (t) => {
  const lines = (await succeeds(t, 'relays')).trimEnd().split('\n');
  t.regex(
    lines[0] ?? '',
    /^SET {2,}RELAY {2,}KIND {2,}STATE {2,}WEIGHT {2,}CALLS {2,}ZONE {2,}CONTROL {2,}INSTANCE {2,}UP(?: {2,}(?:REASON|BY|SINCE))*$/,
    'the last ones where a relay has them',
  );
  const r1 = lines.find((line) => line.includes(' r1 '));
  t.regex(
    r1 ?? '',
    /^default +r1 +builtin +active +100 +3\/10 +z1 +udp:192\.0\.2\.1:2001 +life-of-r1 +\dm \d+s/,
  );
  t.regex(
    lines.find((line) => line.includes(' r2 ')) ?? '',
    /100 +\? +-/,
    'load and zone that are not known',
  );

  const { fresh, relays } = JSON.parse(await succeeds(t, 'relays', '--set', 'default', '--json'));
  t.true(fresh);
  t.deepEqual(
    relays.map(({ id }: { id: string }) => id),
    ['r1', 'r2'],
  );
  t.like(relays[0], {
    set: 'default',
    kind: 'builtin',
    weight: 100,
    capacity: 10,
    calls: 3,
    version: '1.2.3',
  });
  t.like(relays[1], { labels: { codec: 'opus' }, media: { default: '192.0.2.1' } });

  t.is((await succeeds(t, 'relays', '--set', 'full')).trimEnd().split('\n').length, 2);
  t.is(await succeeds(t, 'relays', '--set', 'none'), 'no relay is registered in set none\n');
  t.regex(await fails(t, 2, 'relays', '--set', 'NO'), /^holdfast: INVALID_ARGUMENT: set: "NO"/);
});

test('relays --watch shows what is there, and joins, changes and leaves as they happen', async (t) => {
  const { client, keys, grpc } = await stack;
  const env = { HOLDFAST_SERVER: grpc };
  const people = await startHoldfast(t, ['relays', '--watch', '--set', 'watched'], env);
  const programs = await startHoldfast(t, ['relays', '--watch', '--json', '--set', 'watched'], env);
  await programs.waitForLine('"event":"synced"');
  await people.waitForLine('(0 relays; changes follow, until Ctrl-C)');
  const relay = aRelay({ id: 'w1', set: 'watched' });
  await putRelay(client, keys, relay);
  await people.waitForLine(/Z {2}joined +watched\/w1 {2}active {2}weight 100 {2}calls \? {2}udp:/);
  await putRelay(client, keys, { ...relay, state: 'draining' });
  await people.waitForLine(/changed +watched\/w1 {2}draining/);
  await deleteRelay(client, keys, relay);
  await people.waitForLine(/left +watched\/w1/);
  await programs.waitForLine('"event":"left"');
  const events = programs.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    events.map(({ event }) => event),
    ['synced', 'joined', 'changed', 'left'],
  );
  t.like(events[1].relay, { id: 'w1', set: 'watched', state: 'active' });
  people.signal('SIGINT');
  t.is((await people.exited).signal, 'SIGINT');
});

test('select, lookup, move and release: a call by hand', async (t) => {
  const bound = rows(await succeeds(t, 'select', 'by-hand@example.org'));
  t.like(bound, {
    call: 'by-hand@example.org',
    generation: '1',
    origin: 'new',
    freshness: 'fresh',
    media: '192.0.2.1',
  });
  t.regex(bound['bound'] ?? '', /^now$|^\ds ago$/);
  t.regex(bound['control'] ?? '', /^udp:192\.0\.2\.1:200[12]$/);
  t.regex(bound['expires'] ?? '', /^in 7m \d+s at the earliest$/);

  const found = JSON.parse(await succeeds(t, 'lookup', 'by-hand@example.org', '--json'));
  t.like(found, {
    callId: 'by-hand@example.org',
    generation: 1,
    origin: 'existing',
    freshness: 'fresh',
    released: false,
  });
  t.is(found.relay.id, bound['relay']);
  t.is(found.relay.instance, bound['instance']);
  t.false(Number.isNaN(Date.parse(found.expiresAt)));

  const moving = [
    'move',
    'by-hand@example.org',
    '--generation',
    '1',
    '--reason',
    'a test',
    '--request-id',
    'm1',
  ];
  const moved = rows(await succeeds(t, ...moving));
  t.is(moved['generation'], '2');
  t.not(moved['relay'], bound['relay']);
  t.is(rows(await succeeds(t, ...moving))['relay'], moved['relay'], 'the same request again');
  t.is(
    await fails(t, 5, 'move', 'by-hand@example.org', '--generation', '1', '--reason', 'late'),
    'holdfast: FAILED_PRECONDITION: generation: call by-hand@example.org is at generation 2, not 1\n',
  );
  const back = [
    'move',
    'by-hand@example.org',
    '--generation',
    '2',
    '--reason',
    'back',
    '--to',
    String(bound['relay']),
    '--json',
  ];
  t.like(JSON.parse(await succeeds(t, ...back)), { generation: 3, relay: { id: bound['relay'] } });

  t.is(await succeeds(t, 'release', 'by-hand@example.org'), 'by-hand@example.org released\n');
  t.regex(
    rows(await succeeds(t, 'lookup', 'by-hand@example.org'))['expires'] ?? '',
    /^in \d+s at the earliest \(released\)$/,
  );
  t.deepEqual(JSON.parse(await succeeds(t, 'release', 'nobody', '--json')), {
    callId: 'nobody',
    found: false,
  });
  t.is(await succeeds(t, 'release', 'nobody'), 'nobody is not bound: nothing to release\n');
});

test('select takes what a proxy may ask: set, branch, TTL, exclusions, zone, labels', async (t) => {
  const idOf = async (...args: string[]) =>
    JSON.parse(await succeeds(t, 'select', ...args, '--json')).relay.id;
  t.is(await idOf('excluded', '--exclude', 'r1'), 'r2');
  t.is(await idOf('zoned', '--zone', 'z1'), 'r1');
  t.is(await idOf('labeled', '--label', 'codec=opus'), 'r2');
  const branch = JSON.parse(
    await succeeds(t, 'select', 'forked', '--branch', 'z9hG4bK1', '--ttl', '10', '--json'),
  );
  t.is(branch.viaBranch, 'z9hG4bK1');
  t.true(Date.parse(branch.expiresAt) - Date.now() < 60_000);
  t.is(rows(await succeeds(t, 'lookup', 'forked', '--branch', 'z9hG4bK1'))['branch'], 'z9hG4bK1');
  t.is(await fails(t, 3, 'lookup', 'forked'), 'holdfast: NOT_FOUND: call forked has no binding\n');

  const all = ['--exclude', 'r1', '--exclude', 'r2'];
  t.regex(
    await fails(t, 4, 'select', 'new', ...all),
    /^holdfast: UNAVAILABLE: no eligible relay: set default has 2/,
  );
  await succeeds(t, 'select', 'the-one', '--set', 'full');
  t.regex(
    await fails(t, 6, 'select', 'too-many', '--set', 'full'),
    /^holdfast: RESOURCE_EXHAUSTED: no relay is free/,
  );
});

test('drain, resume and weights', async (t) => {
  const { client, keys } = await stack;
  await putRelay(client, keys, aRelay({ id: 'd1', set: 'drained' }));
  const set = ['--set', 'drained'];
  const listed = async () => {
    const { relays } = JSON.parse(await succeeds(t, 'relays', ...set, '--json'));
    return relays[0];
  };
  t.is(await succeeds(t, 'drain', 'd1', ...set, '--reason', 'new\tkernel'), 'drained/d1 is draining\n');
  await eventually(async () => (await listed()).state === 'draining', 'draining');
  t.is((await listed()).reason, 'new\tkernel');
  t.regex(
    await succeeds(t, 'relays', ...set),
    / draining .* new\?kernel /,
    'no control character reaches the terminal',
  );

  t.is(await succeeds(t, 'weight', 'd1', '7', ...set), 'drained/d1 is draining, weight 7\n');
  await eventually(async () => (await listed()).weight === 7, 'weight 7');
  t.is((await listed()).reason, 'new\tkernel', 'the reason for its state stays');
  t.is(await succeeds(t, 'disable', 'd1', ...set), 'drained/d1 is disabled, weight 7\n');
  t.is(await succeeds(t, 'resume', 'd1', ...set), 'drained/d1 is active, weight 7\n');
  t.deepEqual(JSON.parse(await succeeds(t, 'weight', 'd1', 'own', ...set, '--json')), {
    set: 'drained',
    relay: 'd1',
    state: 'active',
    registered: true,
  });
  await eventually(async () => (await listed()).weight === 100, 'weight of its own');
  t.like(await listed(), { state: 'active', reason: '' });
  t.truthy((await listed()).intentAt, 'it is told since when, and by whom');
  t.regex(await fails(t, 2, 'weight', 'd1', '10001', ...set), /allowed: 0-10000, or own/);
});

test('a relay that is not registered is drained only if that is meant', async (t) => {
  const set = ['--set', 'absent'];
  for (const command of [
    ['drain', 'meida-1', '--wait'],
    ['disable', 'meida-1'],
    ['resume', 'meida-1'],
    ['weight', 'meida-1', '5'],
  ]) {
    t.regex(
      await fails(t, 1, ...command, ...set),
      /^holdfast: relay absent\/meida-1 is not registered, and has no intent; nothing was written \(.*--absent-ok/,
    );
  }
  t.is(await succeeds(t, 'relays', ...set), 'no relay is registered in set absent\n');
  t.is(
    await succeeds(t, 'drain', 'media-1', ...set, '--absent-ok', '--reason', 'its disk'),
    'absent/media-1 is not registered; once it is, it will be draining\n',
  );
  const listed = async () => JSON.parse(await succeeds(t, 'relays', ...set, '--json')).absent;
  await eventually(async () => (await listed()).length === 1, 'its intent is listed');
  t.like((await listed())[0], { set: 'absent', relay: 'media-1', state: 'draining', reason: 'its disk' });
  t.regex(
    await succeeds(t, 'relays', ...set),
    /not registered, but .*:\nSET .*\nabsent +media-1 +draining +- +its disk +/,
  );
  t.is(
    await succeeds(t, 'resume', 'media-1', ...set),
    'absent/media-1 is not registered; once it is, it will be active\n',
    'what is listed can be taken back',
  );
  await eventually(async () => (await listed()).length === 0, 'no intent is left');
});

test('drain --wait fails where a relay goes away with its calls, or never was there', async (t) => {
  const { client, keys, grpc } = await stack;
  const set = ['--set', 'waited'];
  const relay = aRelay({ id: 'w1', set: 'waited' });
  await putRelay(client, keys, relay);
  const load = { calls: 3, cpu: 0, packetRate: 0, atMs: Date.now() };
  await client.kv.put({ key: keys.loadOf('waited', 'w1'), value: loadCodec.encode(load) });
  await eventually(async () => (await succeeds(t, 'relays', ...set)).includes('w1'), 'it is registered');
  const drain = await startHoldfast(t, ['drain', 'w1', '--wait', ...set], { HOLDFAST_SERVER: grpc });
  await drain.waitForLine('waited/w1 carries 3 calls');
  await deleteRelay(client, keys, relay);
  t.is((await drain.exited).code, 1);
  t.regex(
    drain.output,
    /waited\/w1 is no longer registered, and carried 3 calls when it was: they may go on there/,
  );
  const never = await run(t, 'drain', 'w2', '--wait', '--absent-ok', ...set);
  t.is(never.code, 1);
  t.regex(never.output, /^holdfast: waited\/w2 is not registered: what it carries is not known/m);
});

test('bindings: a table for people, one JSON object per line for programs', async (t) => {
  const { client, keys, selection } = await stack;
  await putRelay(client, keys, aRelay({ id: 'b1', set: 'bound' }));
  await eventually(
    () =>
      select(selection, { callId: 'b-1', set: 'bound' }).then(
        () => true,
        () => false,
      ),
    'relay',
  );
  await select(selection, { callId: 'b-2', set: 'bound', viaBranch: 'z9hG4bK2' });
  const where = ['--relay', 'b1', '--set', 'bound'];
  const lines = (await succeeds(t, 'bindings', ...where)).trimEnd().split('\n');
  t.regex(lines[0] ?? '', /^CALL +GENERATION +INSTANCE +BOUND +EXPIRES/);
  t.regex(lines[2] ?? '', /^b-2 z9hG4bK2 +1 +life-of-b1 +.* +in 7m \d+s$/);
  t.is(lines.at(-1), '2 bindings on bound/b1');
  const objects = (await succeeds(t, 'bindings', ...where, '--json'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    objects.map(({ callId, viaBranch }) => [callId, viaBranch]),
    [
      ['b-1', undefined],
      ['b-2', 'z9hG4bK2'],
    ],
  );
  t.regex(
    await succeeds(t, 'bindings', '--set', 'bound'),
    /^SET +RELAY +BINDINGS\nbound +b1 +2\n2 bindings, as far as/,
  );
  const [counted] = JSON.parse(await succeeds(t, 'bindings', '--set', 'bound', '--json'));
  t.deepEqual(counted, { set: 'bound', relay: 'b1', bindings: 2 });
  t.is(await succeeds(t, 'bindings', '--relay', 'nobody'), '0 bindings on default/nobody\n');
  t.is(await succeeds(t, 'bindings', '--relay', 'nobody', '--json'), '');
});

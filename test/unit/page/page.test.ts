import test from 'ava';
import type { Call } from '../../../services/domain/call.js';
import { HoldfastError } from '../../../services/domain/error.js';
import { aBinding } from '../../support/registry.js';
import { servePage } from './scene.js';

const paths = [
  '/',
  '/page.js',
  '/relays.js',
  '/view.js',
  '/dom.js',
  '/page.css',
  '/api/v1/status',
  '/api/v1/relays',
];

test('the page, its files and its API are served with a policy that lets nothing else run', async (t) => {
  const { get } = await servePage(t);
  for (const path of paths) {
    const { status, headers } = await get(path);
    t.is(status, 200, path);
    t.regex(
      String(headers['content-security-policy']),
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    t.notRegex(String(headers['content-security-policy']), /unsafe|\*/);
    t.is(headers['x-content-type-options'], 'nosniff');
    t.is(headers['access-control-allow-origin'], undefined);
  }
  const { text } = await get('/');
  t.notRegex(text, /<script(?![^>]* src="\/page\.js")|<style| style=| on\w+=|https?:/);
  t.like(await get('/api/v1/nothing'), { status: 404, text: '{"error":"there is no such path"}' });
  t.is((await get('/page.ts')).text, 'try /metrics, /livez or /readyz\n');
  t.is((await get('/api/v1/status', {}, 'POST')).status, 405);
});

test('a name that somebody points to this host opens nothing, unless any name is asked for', async (t) => {
  const { get } = await servePage(t);
  for (const host of ['localhost', 'LOCALHOST:7480', '127.0.0.1:7480', '[::1]:7480', '192.0.2.1']) {
    t.is((await get('/api/v1/relays', { host })).status, 200, host);
  }
  for (const host of ['evil.example.org', 'localhost.evil.example.org:7480', '127.0.0.1.nip.io']) {
    for (const path of ['/', '/api/v1/relays', '/api/v1/events', '/api/v1/calls/a']) {
      t.is((await get(path, { host })).status, 421, `${host} ${path}`);
    }
    t.is((await get('/livez', { host })).status, 200);
  }
  const open = await servePage(t, undefined, true);
  t.is((await open.get('/', { host: 'holdfast.example.org' })).status, 200);
});

test('many readers cost what one costs', async (t) => {
  const { get, clock } = await servePage(t);
  const first = await get('/api/v1/status');
  clock.advance(499);
  t.is((await get('/api/v1/status')).text, first.text);
  clock.advance(1);
  t.not((await get('/api/v1/status')).text, first.text);
});

test('a call is looked up by any bytes, with set and branch, and nothing but that is asked', async (t) => {
  const asked: unknown[][] = [];
  const { get } = await servePage(t, async (...args) => {
    asked.push(args);
    return undefined;
  });
  const { text } = await get('/api/v1/calls/a%2Fb%20%22?set=edge&branch=z9hG4bK1');
  t.is(text, '{"error":"this call has no binding"}');
  await get('/api/v1/calls/%FF%00');
  t.deepEqual(
    asked.map(([call, ...more]) => [(call as Call).callId, (call as Call).set, (call as Call).branch, more]),
    [
      ['a/b "', 'edge', 'z9hG4bK1', []],
      ['\u00ff\u0000', 'default', '', []],
    ],
  );
  for (const path of ['/api/v1/calls/', '/api/v1/calls/a?set=NO', '/api/v1/calls/a?branch=%20']) {
    const { status, text } = await get(path);
    t.is(status, 400, path);
    t.regex(text, /allowed: /);
  }
  t.is(asked.length, 2);
});

test('a call is told with its relays in order, and with commands to copy', async (t) => {
  const moves = [{ atMs: 60_000, from: 'r3', reason: '<b>one-way</b>', by: 'jo' }];
  const binding = aBinding("it's", { generation: 2, moves });
  const { get } = await servePage(t, async () => ({
    binding,
    relay: undefined,
    origin: 'moved',
    freshness: 'stale',
  }));
  const call = JSON.parse((await get("/api/v1/calls/it's")).text);
  t.like(call, {
    callId: "it's",
    set: 'default',
    relay: 'r1',
    generation: 2,
    state: 'setup',
    freshness: 'stale',
  });
  t.is(call.registered, undefined);
  t.deepEqual(call.stays, [
    { relay: 'r3', generation: 1, since: '1970-01-01T00:00:00.000Z', reason: 'bound', by: '' },
    { relay: 'r1', generation: 2, since: '1970-01-01T00:01:00.000Z', reason: '<b>one-way</b>', by: 'jo' },
  ]);
  t.deepEqual(call.commands, [
    String.raw`holdfast history 'it'\''s'`,
    String.raw`holdfast move --generation 2 --reason '…' 'it'\''s'`,
  ]);
});

test('an outage is 503 with its reason, and calls are looked up no more than 16 at a time', async (t) => {
  const waiting: (() => void)[] = [];
  const { get } = await servePage(t, async ({ callId }) => {
    if (callId === 'lost') {
      throw new HoldfastError('unavailable', 'etcd is lost');
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
    return undefined;
  });
  t.like(await get('/api/v1/calls/lost'), { status: 503, text: '{"error":"etcd is lost"}' });
  const replies = Array.from({ length: 20 }, () => get('/api/v1/calls/slow'));
  const refused = await Promise.race(replies);
  t.is(refused.status, 503);
  t.like(await get('/livez'), { status: 200 });
  t.is(waiting.length, 16);
  for (const resolve of waiting) {
    resolve();
  }
  const statuses = (await Promise.all(replies)).map(({ status }) => status);
  t.deepEqual(
    [404, 503].map((each) => statuses.filter((status) => status === each).length),
    [16, 4],
  );
});

import { connect } from 'node:net';
import test from 'ava';
import { eventually } from '../../support/registry.js';
import { serverAt } from '../../support/server.js';
import { life, servePage } from './scene.js';

type Scene = Awaited<ReturnType<typeof servePage>>;

const add = ({ feed }: Scene, text: string) => feed.add({ type: 'relay-joined', severity: 'info', text });

/** What a stream has told so far. */
async function follow({ open }: Scene, query = '', headers: Record<string, string> = {}) {
  const response = await open(`/api/v1/events${query}`, headers);
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const told = () =>
    [...text.matchAll(/^id: (.*)\ndata: (.*)$/gm)].map(([, id, data = '{}']) => [id, JSON.parse(data).text]);
  return { response, told, text: () => text, status: response.statusCode };
}

test('events are told from the past on and as they happen, and a reader goes on where it was', async (t) => {
  const scene = await servePage(t);
  add(scene, 'one');
  const first = await follow(scene, '?since=60');
  t.is(first.response.headers['content-type'], 'text/event-stream; charset=utf-8');
  await eventually(() => first.told().length === 1, 'the past');
  add(scene, '</script>\n\ndata: two');
  await eventually(() => first.told().length === 2, 'the present');
  t.deepEqual(first.told(), [
    [`${life}-1`, 'one'],
    [`${life}-2`, '</script>\n\ndata: two'],
  ]);
  first.response.destroy();
  const again = await follow(scene, '?since=60', { 'last-event-id': `${life}-1` });
  await eventually(() => again.told().length === 1, 'the rest');
  t.is(again.told()[0]?.[0], `${life}-2`);
  const other = await follow(scene, '?since=60', { 'last-event-id': 'another-1' });
  await eventually(() => other.told().length === 2, 'all of this life');
  const silent = await follow(scene);
  add(scene, 'three');
  await eventually(() => silent.told().length === 1, 'what happens');
});

test('a stream shows that it lives, also while nothing happens', async (t) => {
  const scene = await servePage(t);
  const stream = await follow(scene);
  const beats = () => stream.text().split(`event: beat\ndata: ${life}\n\n`).length - 1;
  await eventually(() => beats() === 1, 'the first beat');
  scene.clock.advance(2000);
  await eventually(() => beats() === 2, 'the next one');
  t.deepEqual(stream.told(), []);
});

test('streams are bounded, and shut nobody out', async (t) => {
  const scene = await servePage(t);
  const streams = await Promise.all(Array.from({ length: 40 }, () => follow(scene)));
  t.deepEqual(
    [200, 503].map((status) => streams.filter((stream) => stream.status === status).length),
    [32, 8],
  );
  t.is(streams.find(({ status }) => status === 503)?.response.headers['retry-after'], '5');
  for (const path of ['/livez', '/readyz', '/metrics', '/api/v1/status']) {
    t.is((await scene.get(path)).status, 200, path);
  }
  streams.find(({ status }) => status === 200)?.response.destroy();
  await eventually(async () => (await follow(scene)).status === 200, 'room');
});

test('a reader that does not read is cut off; one that has missed events hears how many', async (t) => {
  const scene = await servePage(t);
  const [host, port] = scene.server.address.split(':');
  const reader = connect(Number(port), host).pause();
  t.teardown(() => reader.destroy());
  reader.on('error', () => {});
  reader.write('GET /api/v1/events?since=3600 HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const other = await follow(scene);
  const long = 'x'.repeat(1000);
  for (let i = 0; i < 30_000; i++) {
    add(scene, long);
  }
  await eventually(() => /^event: missed\ndata: \d+$/m.test(other.text()), 'the number of those missed');
  const listener = serverAt(scene.server.address);
  const connections = () =>
    new Promise<number>((resolve, reject) => {
      listener.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  await eventually(async () => {
    // A stream that is read has something to do meanwhile.
    scene.clock.advance(2000);
    return (await connections()) === 1;
  }, 'the end of the other connection');
  t.is(other.status, 200);
});

test('a request that is none is refused with what is allowed', async (t) => {
  const { get } = await servePage(t);
  for (const since of ['-1', '86401', 'x', '1e3']) {
    t.like(await get(`/api/v1/events?since=${since}`), {
      status: 400,
      text: 'since: allowed: 0-86400, in seconds\n',
    });
  }
  t.like(await get('/api/v1/events', {}, 'HEAD'), { status: 200, text: '' });
});

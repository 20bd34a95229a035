import { EventEmitter, once } from 'node:events';
import { connect, type Server } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Counter, Gauge, Registry } from 'prom-client';
import { HttpServer } from '../../../services/runtime/http-server.js';
import { ManualClock } from '../../support/clock.js';
import { eventually } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';
import { serverAt } from '../../support/server.js';

async function serve(t: ExecutionContext, notReady: () => string | undefined = () => undefined) {
  const metrics = new Registry();
  new Counter({ name: 'things_total', help: 'Things', registers: [metrics] }).inc(3);
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const listen = { host: '127.0.0.1', port: 0 };
  const server = new HttpServer({ listen, metrics, notReady, clock, log });
  await server.start();
  t.teardown(() => server.stop());
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://${server.address}${path}`, init);
    return { status: response.status, text: await response.text() };
  };
  return { server, metrics, clock, lines, get };
}

test('it is alive from the start, and ready when it says so', async (t) => {
  let reason: string | undefined = 'reading etcd';
  const { get } = await serve(t, () => reason);
  t.deepEqual(await get('/livez'), { status: 200, text: 'ok\n' });
  t.deepEqual(await get('/readyz'), { status: 503, text: 'not ready: reading etcd\n' });
  reason = undefined;
  t.deepEqual(await get('/readyz?verbose'), { status: 200, text: 'ok\n' });
});

test('metrics are Prometheus text', async (t) => {
  const { get } = await serve(t);
  const { status, text } = await get('/metrics');
  t.is(status, 200);
  t.regex(text, /^things_total 3$/m);
});

test('a metric that cannot be read is an error of its request, logged at most once a second', async (t) => {
  const { metrics, clock, lines, get } = await serve(t);
  let broken = true;
  new Gauge({
    name: 'level',
    help: 'A level',
    registers: [metrics],
    collect() {
      if (broken) {
        throw new Error('the gauge is broken');
      }
      this.set(1);
    },
  });
  for (let i = 0; i < 3; i++) {
    t.deepEqual(await get('/metrics'), { status: 500, text: 'failed: the gauge is broken\n' });
  }
  clock.advance(1000);
  t.is((await get('/metrics')).status, 500);
  t.deepEqual(
    lines.map(({ msg, reason, leftOut }) => ({ msg, reason, leftOut })),
    [
      { msg: 'an HTTP request failed', reason: 'the gauge is broken', leftOut: undefined },
      { msg: 'an HTTP request failed', reason: 'the gauge is broken', leftOut: 2 },
    ],
  );
  t.is((await get('/livez')).status, 200);
  broken = false;
  t.regex((await get('/metrics')).text, /^level 1$/m);
});

test('a readiness check that throws is an error of its request', async (t) => {
  const { get } = await serve(t, () => {
    throw new Error('nobody knows');
  });
  t.deepEqual(await get('/readyz'), { status: 500, text: 'failed: nobody knows\n' });
});

function connectTo(t: ExecutionContext, address: string) {
  const [host, port] = address.split(':');
  const client = connect(Number(port), host).setEncoding('utf8').setNoDelay();
  t.teardown(() => client.destroy());
  let text = '';
  client.on('data', (data) => {
    text += data;
  });
  return { client, ended: once(client, 'end'), answers: () => text.split('HTTP/1.1 ').slice(1) };
}

const head = 'GET /livez HTTP/1.1\r\nhost: test\r\n';

test('a connection is used for one request after another, in pieces of any size', async (t) => {
  const { server } = await serve(t);
  const { client, answers } = connectTo(t, server.address);
  for (const [i, pieces] of [[`${head}\r\n`], [...head, '\r', '\n'], ['\r\n', head, '\r\n']].entries()) {
    for (const piece of pieces) {
      client.write(piece);
      await new Promise(setImmediate);
    }
    await eventually(() => answers().length === i + 1, `answer ${i + 1}`);
  }
  t.true(answers().every((answer) => answer.startsWith('200 ')));
});

test('what follows a request before its answer ends the connection with that answer', async (t) => {
  const { server } = await serve(t);
  for (const more of [`${head}\r\n`.repeat(1000), 'a body', '\n\n']) {
    const { client, ended, answers } = connectTo(t, server.address);
    client.write(`${head}\r\n${more}`);
    await ended;
    t.is(answers().length, 1, more.slice(0, 40));
  }
});

test('a client that leaves before its answer does no harm', async (t) => {
  const { server, metrics, get } = await serve(t);
  const reading = new EventEmitter();
  new Gauge({
    name: 'slow',
    help: 'Read slowly',
    registers: [metrics],
    async collect() {
      reading.emit('begun');
      await once(reading, 'released');
      this.set(1);
    },
  });
  const [host, port] = server.address.split(':');
  const client = connect(Number(port), host);
  const begun = once(reading, 'begun');
  client.write('GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n');
  await begun;
  const listener = serverAt(server.address);
  client.resetAndDestroy();
  await eventually(async () => (await connections(listener)) === 0, 'end of the connection');
  reading.emit('released');
  t.is((await get('/livez')).status, 200);
});

const connections = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

test('errors of accepting connections do not end the process', async (t) => {
  const { server, lines, get } = await serve(t);
  const listener = serverAt(server.address);
  for (let i = 0; i < 3; i++) {
    listener.emit('error', new Error('accept EMFILE'));
  }
  t.is((await get('/livez')).status, 200);
  t.deepEqual(
    lines.map(({ msg, reason }) => ({ msg, reason })),
    [{ msg: 'cannot accept a connection', reason: 'accept EMFILE' }],
  );
});

test('anything else is refused with what there is', async (t) => {
  const { get } = await serve(t);
  t.deepEqual(await get('/'), { status: 404, text: 'try /metrics, /livez or /readyz\n' });
  t.is((await get('/livez', { method: 'POST' })).status, 405);
  t.is((await get('/livez', { method: 'HEAD' })).status, 200);
});

test('a port that is taken is named, with what to change', async (t) => {
  const { server } = await serve(t);
  const [host = '', port] = server.address.split(':');
  const second = new HttpServer({
    listen: { host, port: Number(port) },
    metrics: new Registry(),
    notReady: () => undefined,
    clock: new ManualClock(),
    log: openLog().log,
  });
  await t.throwsAsync(second.start(), {
    message: /^cannot listen on 127\.0\.0\.1:\d+ for HTTP \(HOLDFAST_HTTP_LISTEN\): another process has it/,
  });
  await second.stop();
});

test('stopping frees the port, though a client holds on', async (t) => {
  const { server, get } = await serve(t);
  await get('/livez');
  const { address } = server;
  await server.stop();
  await server.stop();
  await t.throwsAsync(fetch(`http://${address}/livez`));
});

import test, { type ExecutionContext } from 'ava';
import { Counter, Registry } from 'prom-client';
import { HttpServer } from '../../../services/runtime/http-server.js';

async function serve(t: ExecutionContext, notReady: () => string | undefined = () => undefined) {
  const metrics = new Registry();
  new Counter({ name: 'things_total', help: 'Things', registers: [metrics] }).inc(3);
  const server = new HttpServer({ listen: { host: '127.0.0.1', port: 0 }, metrics, notReady });
  await server.start();
  t.teardown(() => server.stop());
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://${server.address}${path}`, init);
    return { status: response.status, text: await response.text() };
  };
  return { server, get };
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

test('anything else is refused with what there is', async (t) => {
  const { get } = await serve(t);
  t.deepEqual(await get('/'), { status: 404, text: 'try /metrics, /livez or /readyz\n' });
  t.is((await get('/livez', { method: 'POST' })).status, 405);
  t.is((await get('/livez', { method: 'HEAD' })).status, 200);
});

test('a port that is taken is told with what to change', async (t) => {
  const { server } = await serve(t);
  const [host = '', port] = server.address.split(':');
  const second = new HttpServer({
    listen: { host, port: Number(port) },
    metrics: new Registry(),
    notReady: () => undefined,
  });
  await t.throwsAsync(second.start(), {
    message: /^cannot listen on 127\.0\.0\.1:\d+ for HTTP \(HOLDFAST_HTTP_LISTEN\): another process has it/,
  });
});

test('stopping frees the port, though a client holds on', async (t) => {
  const { server, get } = await serve(t);
  await get('/livez');
  const { address } = server;
  await server.stop();
  await t.throwsAsync(fetch(`http://${address}/livez`));
});

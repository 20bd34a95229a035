import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import type { Notice } from '../../../../../relay-node/control/notices/notice.js';
import { Webhook, webhookLimits } from '../../../../../relay-node/control/notices/webhook.js';
import { systemClock } from '../../../../../services/runtime/clock.js';
import { silentLogger } from '../../../../../services/runtime/log.js';
import { eventually } from '../../../../support/registry.js';

const notice = (callid: string): Notice => ({ callid, tags: [], type: 'TIMEOUT', timestamp: 1 });

interface Listener {
  readonly server: Server;
  readonly url: string;
  readonly heard: string[];
}

/** @param answer the status; undefined does not answer */
async function listen(
  t: ExecutionContext,
  answer: (callid: string) => number | undefined,
): Promise<Listener> {
  const heard: string[] = [];
  const server = createServer(async (request, response) => {
    const { callid } = JSON.parse(await text(request));
    heard.push(callid);
    const status = answer(callid);
    if (status !== undefined) {
      response.writeHead(status, { location: '/elsewhere' }).end('{"a":1}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

function open(t: ExecutionContext, url: string): Webhook {
  const webhook = new Webhook({ url, clock: systemClock, log: silentLogger });
  t.teardown(() => webhook.stop());
  return webhook;
}

test('notices come in their order, and one that is refused comes three times', async (t) => {
  const { url, heard } = await listen(t, (callid) => ({ a: 204, b: 500, c: 302 })[callid] ?? 200);
  const webhook = open(t, url);
  for (const callid of ['a', 'b', 'c', 'd']) {
    webhook.tell(notice(callid));
  }
  await eventually(() => webhook.counters.sent === 2, 'the last notice');
  t.deepEqual(heard, ['a', ...'bbb', ...'ccc', 'd']);
  t.deepEqual(webhook.counters, { sent: 2, dropped: 0, failed: 2 });
});

test('what waits for a listener that does not answer is bounded, and dropped at the end', async (t) => {
  const { url, heard } = await listen(t, () => undefined);
  const webhook = open(t, url);
  for (let call = 0; call < webhookLimits.waiting + 11; call++) {
    webhook.tell(notice(String(call)));
  }
  t.is(webhook.counters.dropped, 10, 'one is under way');
  await eventually(() => heard.length === 1, 'the first notice');
  webhook.stop();
  t.is(webhook.counters.dropped, webhookLimits.waiting + 10);
  webhook.tell(notice('late'));
  t.is(webhook.counters.dropped, webhookLimits.waiting + 11);
  await eventually(() => webhook.counters.failed === 1, 'the end of the one under way');
});

test('a listener that is not there costs the notice', async (t) => {
  const { url, server } = await listen(t, () => 200);
  server.close();
  const webhook = open(t, url);
  webhook.tell(notice('a'));
  await eventually(() => webhook.counters.failed === 1, 'the failure');
  t.deepEqual(webhook.counters, { sent: 0, dropped: 0, failed: 1 });
});

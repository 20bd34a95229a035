import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import { NgClient } from '../../services/control/ng/client.js';
import { startRealEtcd } from '../support/etcd.js';
import { audioSdp } from '../support/ng.js';
import { testWith } from '../support/requirement.js';
import { logged, startRelayNode, startReplica } from '../support/stack.js';
import { wait, withstand } from './target.js';
import { withstandUnusableRelays } from './unusable-relays.js';

const sdp = audioSdp({ address: '127.0.0.1', port: 30_000 });

async function scene(t: ExecutionContext, env: Readonly<Record<string, string>> = {}) {
  const etcd = await startRealEtcd(t);
  const relay = await startRelayNode(t, {
    id: 'good',
    etcd: etcd.endpoint,
    env: { HOLDFAST_RELAY_WEIGHT: '1', HOLDFAST_RELAY_CAPACITY: '10000' },
  });
  const replica = await startReplica(t, etcd.endpoint, {
    HOLDFAST_NG_LISTEN: '127.0.0.1:0',
    ...env,
  });
  const { ng } = await logged(replica.process, 'listening; reading etcd');
  const port = Number(
    String((ng as string[])[0])
      .split(':')
      .at(-1),
  );
  const phone = new NgClient({ host: '127.0.0.1', port, timeoutMs: 900 });
  await phone.start();
  t.teardown(() => phone.stop());
  let calls = 0;
  const offer = async () => {
    const reply = await phone.request({
      command: 'offer',
      'call-id': `good-${calls++}`,
      'from-tag': 'a',
      sdp,
    });
    if (String(reply.result) !== 'ok') {
      throw new Error(`${reply['error-reason']}`);
    }
  };
  return { etcd, relay, replica, port, phone, offer };
}

/** Carried out so many times, some at a time, whatever becomes of each. */
async function many(count: number, ask: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) {
      await ask(i).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
}

/** No route, broadcast, multicast, port 0, none at all, names that do not resolve, and what is no address. */
const addresses = [
  'udp:203.0.113.1:2223',
  'udp:255.255.255.255:2223',
  'udp:224.0.0.1:2223',
  'udp:127.0.0.1:0',
  'udp:0.0.0.0:2223',
  'udp:[100::1]:2223',
  'udp:[fe80::1]:2223',
  'udp:no-such-host.invalid:2223',
  'udp:%00:1',
  'udp:127.0.0.1:99999',
  'udp:127.0.0.1',
  'tcp:127.0.0.1:2223',
  'http://127.0.0.1/',
  'junk',
];

testWith.serial(['etcd'], 'relays whose addresses cannot be used lose their calls to the next', async (t) => {
  const { etcd, replica, offer } = await scene(t);
  await withstandUnusableRelays(t, etcd.endpoint, replica, { kind: 'rtpengine', addresses, call: offer });
});

testWith.serial(['etcd'], 'datagrams of 5,000 sources', async (t) => {
  const { replica, port, offer } = await scene(t);
  const datagrams = [
    Buffer.from('junk'),
    Buffer.from('c d7:command4:pinge'),
    Buffer.from(`c ${'l'.repeat(30_000)}`),
    Buffer.from(`${'c'.repeat(256)} d7:command7:statise`),
    Buffer.concat([Buffer.from('c d7:call-id60000:'), Buffer.alloc(60_000, 'x')]),
  ];
  const attack = async () => {
    for (let i = 0; i < 5000; i++) {
      const socket = createSocket('udp4');
      socket.on('error', () => {});
      socket.bind({ port: 0, address: `127.1.${i >> 8}.${i & 255}` });
      await once(socket, 'listening');
      for (let copies = 0; copies < 2; copies++) {
        for (const datagram of datagrams) {
          socket.send(datagram, port, '127.0.0.1');
        }
      }
      await new Promise<void>((resolve) => socket.send(Buffer.from('x'), port, '127.0.0.1', () => resolve()));
      socket.close();
      // Whatever floods a socket, the kernel drops what does not fit, good requests among them.
      await wait(1);
    }
  };
  await withstand(t, replica.process, attack, { goodClient: offer, end: () => {} });
});

testWith.serial(['etcd'], 'a flood of one source', async (t) => {
  const { replica, port, offer } = await scene(t);
  const attack = async () => {
    const socket = createSocket('udp4');
    socket.on('error', () => {});
    socket.bind({ port: 0, address: '127.9.9.9' });
    await once(socket, 'listening');
    const deadlineMs = performance.now() + 4000;
    for (let i = 0; performance.now() < deadlineMs; i++) {
      const callId = `flood-${i}`;
      const body = `d7:call-id${callId.length}:${callId}7:command5:query8:from-tag1:ae`;
      socket.send(Buffer.from(`c${i} ${body}`), port, '127.0.0.1');
      if (i % 20 === 0) {
        await wait(1);
      }
    }
    socket.close();
  };
  // What the socket cannot hold meanwhile, the kernel drops, of whoever it is.
  const options = {
    goodClient: offer,
    end: () => {},
    tolerated: 1,
    served: 'after',
    growthMib: 192,
  } as const;
  await withstand(t, replica.process, attack, options);
});

/** Nobody reads it, and it goes to the relay as it came. */
const pad = 'x'.repeat(60_000);

testWith.serial(
  ['etcd'],
  'deletes of 60 KB, whose calls are looked after when they are answered',
  async (t) => {
    const { replica, phone, offer } = await scene(t);
    const attack = () =>
      many(2000, async (i) => {
        const call = { 'call-id': `long-${i}`, 'from-tag': 'a' };
        await phone.request({ ...call, command: 'offer', sdp });
        await phone.request({ ...call, command: 'delete', pad });
      });
    // V8 takes its time with memory outside its heap, too: up to 64 MiB.
    const options = { goodClient: offer, end: () => {}, tolerated: 0.5, growthMib: 192 };
    await withstand(t, replica.process, attack, options);
  },
);

testWith.serial(['etcd'], 'offers of 60 KB for a relay that does not answer', async (t) => {
  const { relay, replica, port, offer } = await scene(t);
  const attack = async () => {
    await relay.process.pause();
    const client = new NgClient({ host: '127.0.0.1', port, timeoutMs: 1000, retransmitMs: 900 });
    await client.start();
    t.teardown(() => client.stop());
    let i = 0;
    const body = () => ({ command: 'offer', 'call-id': `wide-${i++}`, 'from-tag': 'a', sdp, pad });
    for (let round = 0; round < 60; round++) {
      const burst = Array.from({ length: 50 }, () => client.request(body()).catch(() => undefined));
      await Promise.race([Promise.all(burst), wait(50)]);
    }
  };
  const end = () => relay.process.resume();
  await withstand(t, replica.process, attack, {
    goodClient: offer,
    end,
    tolerated: 1,
    served: 'after',
    growthMib: 176,
  });
});

testWith.serial(['etcd'], 'commands of thousands of names share one in metrics', async (t) => {
  const { replica, phone, offer } = await scene(t);
  const series = async () => {
    const text = await (await fetch(`http://${replica.http}/metrics`)).text();
    return text.split('\n').filter((line) => line.startsWith('holdfast_') && line.includes('command='))
      .length;
  };
  await phone.request({ command: 'never heard of', 'call-id': 'x', 'from-tag': 'a' });
  const before = await series();
  const attack = () =>
    many(2000, (i) => phone.request({ command: `command ${i}`, 'call-id': `x${i}`, 'from-tag': 'a' }));
  await withstand(t, replica.process, attack, { goodClient: offer, end: () => {} });
  // Those of the good client's commands may be new.
  t.true((await series()) < 2 * before + 50, `${before} and then ${await series()}`);
});

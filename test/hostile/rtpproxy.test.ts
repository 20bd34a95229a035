import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import { UdpClient } from '../../services/control/udp/client.js';
import { startRealEtcd } from '../support/etcd.js';
import { freeTcpPort } from '../support/ports.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { logged, startRelayNode, startReplica } from '../support/stack.js';
import { Attacker, flood } from './attacker.js';
import { wait, withstand } from './target.js';
import { withstandUnusableRelays } from './unusable-relays.js';

async function scene(t: ExecutionContext) {
  const etcd = await startRealEtcd(t);
  const relay = await startRelayNode(t, {
    id: 'good',
    etcd: etcd.endpoint,
    env: { HOLDFAST_RELAY_RTPPROXY_LISTEN: '127.0.0.1:0', HOLDFAST_RELAY_WEIGHT: '1' },
  });
  const notices = `127.0.0.1:${await freeTcpPort()}`;
  const replica = await startReplica(t, etcd.endpoint, {
    HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
    HOLDFAST_RTPPROXY_NOTIFY: 'tcp:127.0.0.1:9',
    HOLDFAST_RTPPROXY_NOTIFY_LISTEN: notices,
  });
  const { rtpproxy } = await logged(replica.process, 'listening; reading etcd');
  const port = Number(String((rtpproxy as string[])[0]).split(':')[1]);
  const proxy = new UdpClient({ host: '127.0.0.1', port, timeoutMs: 2000 });
  await proxy.start();
  t.teardown(() => proxy.stop());
  let calls = 0;
  const update = async () => {
    const reply = await proxy.request(Buffer.from(`U good-${calls++} 127.0.0.1 30000 a\n`));
    if (!/^\d+ /.test(String(reply))) {
      throw new Error(String(reply));
    }
  };
  return { etcd, relay, replica, port, notices, update };
}

/** As those of the ng gateway, and what a stream can be. */
const addresses = [
  'udp:203.0.113.1:22222',
  'udp:255.255.255.255:22222',
  'udp:224.0.0.1:22222',
  'udp:127.0.0.1:0',
  'udp:[fe80::1]:22222',
  'udp:no-such-host.invalid:22222',
  'tcp:127.0.0.1:1',
  'tcp:127.0.0.1:0',
  'tcp:203.0.113.1:22222',
  'tcp:255.255.255.255:22222',
  'tcp:[fe80::1]:22222',
  'tcp:no-such-host.invalid:22222',
  'unix:/nowhere/rtpproxy.sock',
  'unix:/',
  `unix:/${'x'.repeat(200)}`,
  'unix:/dev/null',
  'unix:',
  'junk',
];

testWith.serial(['etcd'], 'relays whose addresses cannot be used lose their calls to the next', async (t) => {
  const { etcd, replica, update } = await scene(t);
  await withstandUnusableRelays(t, etcd.endpoint, replica, { kind: 'rtpproxy', addresses, call: update });
});

/** The last ones have more words than a command may have, and more bytes. */
const commands = [
  'Q flood-$ a b',
  'D flood-$ a b',
  'L flood-$ 127.0.0.1 1 a b',
  'I',
  'junk',
  `Q flood-$ ${'a '.repeat(30)}`,
  `Q flood-$ ${'a'.repeat(9000)} b`,
];

/** Commands of one source, as fast as it can. */
async function floodCommands(port: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('error', () => {});
  socket.bind({ port: 0, address: '127.9.9.9' });
  await once(socket, 'listening');
  const deadlineMs = performance.now() + 4000;
  for (let i = 0; performance.now() < deadlineMs; i++) {
    const command = commands[i % commands.length]?.replace('$', `${i}`);
    socket.send(Buffer.from(`c${i} ${command}`), port, '127.0.0.1');
    if (i % 20 === 0) {
      await wait(1);
    }
  }
  socket.close();
}

testWith.serial(['etcd'], 'a flood of commands of one source', async (t) => {
  const { replica, port, update } = await scene(t);
  // What the socket cannot hold meanwhile, the kernel drops, of whoever it is.
  const options = { tolerated: 1, served: 'after', growthMib: 176 } as const;
  await withstand(t, replica.process, () => floodCommands(port), {
    goodClient: update,
    end: () => {},
    ...options,
  });
});

testWith.serial(
  ['etcd'],
  'where timeouts are told: silent connections, lines without end, and floods',
  async (t) => {
    const { replica, notices, update } = await scene(t);
    const attacker = new Attacker(t, notices);
    const attack = async () => {
      const from = (i: number) => ({ from: `127.0.1.${1 + (i % 250)}` });
      await attacker.connectMany(5000, (socket) => socket.write('half a line'), from);
      // 32 of each source, and those of which this process has yet to hear that they are closed.
      await eventually(() => attacker.open <= 1024, 'end of those that are too many');
      for (const line of ['x'.repeat(65_536), `${'x'.repeat(60)}\n`.repeat(1000), '\n'.repeat(65_536)]) {
        const again = async () => {
          const socket = await attacker.connect({ from: '127.0.2.1' });
          if (socket) {
            await flood(socket, () => Buffer.from(line), 1000);
          }
        };
        await Promise.all(Array.from({ length: 20 }, again));
      }
    };
    await withstand(t, replica.process, attack, {
      goodClient: update,
      end: () => attacker.leave(),
      // The attacker floods the cores that they share, too.
      tolerated: 0.2,
      growthMib: 144,
    });
  },
);

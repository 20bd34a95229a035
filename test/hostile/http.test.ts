import type { Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { startRealEtcd } from '../support/etcd.js';
import { testWith } from '../support/requirement.js';
import { startReplica } from '../support/stack.js';
import { Attacker, flood } from './attacker.js';
import { type AttackOptions, wait, withstand } from './target.js';

async function scene(t: ExecutionContext) {
  const etcd = await startRealEtcd(t);
  const { process, http } = await startReplica(t, etcd.endpoint);
  const attacker = new Attacker(t, http);
  const options: AttackOptions = {
    goodClient: async () => {
      const response = await fetch(`http://${http}/livez`, {
        signal: AbortSignal.timeout(2000),
        headers: { connection: 'close' },
      });
      if (response.status !== 200) {
        throw new Error(`livez ${response.status}`);
      }
    },
    end: () => attacker.leave(),
  };
  return { process, attacker, options };
}

/** Connections that each send this first, and then a byte a second. */
const slow = (title: string, greeting: string) =>
  testWith.serial(['etcd'], `${title}: closed in time, and probes are answered`, async (t) => {
    const { process, attacker, options } = await scene(t);
    const sockets: Socket[] = [];
    const drip = setInterval(() => {
      for (const socket of sockets) {
        socket.write('x');
      }
    }, 1000);
    t.teardown(() => clearInterval(drip));
    const attack = async () => {
      await attacker.connectMany(2000, (socket) => {
        sockets.push(socket);
        socket.write(greeting);
      });
      await wait(8000);
      t.is(attacker.open, 0);
    };
    await withstand(t, process, attack, options);
  });

slow('silent connections', '');
slow('headers that never end', 'GET /metrics HTTP/1.1\r\nhost: x\r\nx-');
slow('a body that never ends', 'POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n');

testWith.serial(['etcd'], 'metrics that nobody reads', async (t) => {
  const { process, attacker, options } = await scene(t);
  const requests = Buffer.from('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100));
  const attack = async () => {
    const again = async () => {
      for (let round = 0; round < 5; round++) {
        const socket = await attacker.connect({ reads: false });
        if (socket) {
          await flood(socket, () => requests, 1000);
        }
      }
    };
    await Promise.all(Array.from({ length: 50 }, again));
  };
  await withstand(t, process, attack, options);
});

/** Each asks once, reads nothing and stays. */
const unread = (path: string) =>
  testWith.serial(['etcd'], `thousands of readers of ${path} that do not read`, async (t) => {
    const { process, attacker, options } = await scene(t);
    const request = `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
    const attack = async () => {
      await attacker.connectMany(2000, (socket) => socket.pause().write(request));
      await wait(8000);
    };
    await withstand(t, process, attack, options);
  });

unread('/');
unread('/api/v1/relays');
unread('/api/v1/events?since=86400');

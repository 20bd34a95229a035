import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { eventually } from '../support/registry.js';

setFlagsFromString('--expose-gc');
/** What is garbage must not count as growth. */
const collectGarbage = runInNewContext('gc') as () => void;

/** Datagrams in flight: as many as the server's socket buffer holds. */
const window = 256;

export interface FloodOptions {
  /** Of what is flooded: what came of the datagrams. */
  readonly counters: () => Readonly<Record<string, number>>;
  /** Of its log. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** That the datagrams come from, and the port that they go to. */
  readonly socket: Socket;
  readonly port: number;
  /** What is sent, each time with up to two bytes changed. */
  readonly samples: readonly Buffer[];
  readonly count: number;
  readonly seed: number;
  /** After each lot of datagrams. */
  readonly onBatch?: () => void;
}

/** A socket on loopback that is closed with the test. */
export async function openSocket(t: ExecutionContext): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  return socket;
}

/** Sends that many datagrams. The server must read them, answer afterwards, log no error, and not grow. */
export async function flood(
  t: ExecutionContext,
  { counters, lines, socket, port, samples, count, seed, onBatch }: FloodOptions,
  stillAnswers: (send: (bytes: Buffer) => Promise<void>) => Promise<void>,
): Promise<void> {
  const random = fc.sample(fc.infiniteStream(fc.nat()), { numRuns: 1, seed })[0] as Iterator<number>;
  const next = () => random.next().value as number;
  const send = (bytes: Buffer) =>
    new Promise<void>((resolve) => socket.send(bytes, port, '127.0.0.1', () => resolve()));
  const received = () => counters()['received'] ?? 0;
  const heapMb = () => {
    collectGarbage();
    return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
  };

  let sent = 0;
  let heapAfterTenthMb = 0;
  while (sent < count) {
    const before = received();
    const batch = Array.from({ length: Math.min(window, count - sent) }, () => {
      const sample = Buffer.from(samples[next() % samples.length] as Buffer);
      for (let flips = next() % 3; flips > 0 && sample.length > 0; flips--) {
        sample[next() % sample.length] = next() % 256;
      }
      return sample;
    });
    await Promise.all(batch.map(send));
    sent += batch.length;
    await eventually(
      () => received() >= before + batch.length * 0.9,
      `reception after ${sent} (seed ${seed})`,
    );
    if (heapAfterTenthMb === 0 && sent >= count / 10) {
      heapAfterTenthMb = heapMb();
    }
    onBatch?.();
  }
  await stillAnswers(send);
  const heapAtEndMb = heapMb();
  t.true(
    heapAtEndMb < heapAfterTenthMb + 150,
    `${heapAfterTenthMb} MiB became ${heapAtEndMb} MiB (seed ${seed})`,
  );
  t.deepEqual(
    lines.filter(({ level }) => Number(level) >= 50),
    [],
    `no error in the log (seed ${seed})`,
  );
  const { dropped, malformed, replied } = counters();
  t.true(Number(dropped) > 0 && Number(malformed) > 0 && Number(replied) > 0);
  t.log(
    `seed ${seed}: ${heapAfterTenthMb} MiB became ${heapAtEndMb} MiB, sent ${sent}, received ${received()}, dropped ${dropped}, malformed ${malformed}, replied ${replied}`,
  );
}

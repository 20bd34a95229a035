import test from 'ava';
import {
  Event as EventMessage,
  ListRelaysResponse as List,
  GetStatusResponse as Status,
} from '../../../proto/generated/holdfast/v1/relay.js';
import type {
  Event,
  GetStatusResponse,
  HoldfastClient,
  ListRelaysResponse,
} from '../../../services/client/index.js';
import { EventSeverity, StatusLevel } from '../../../services/client/index.js';
import { Fleet } from '../../../services/console/fleet.js';
import { ManualClock, turns } from '../../support/clock.js';

/** Replicas that tell what a test says. */
class ToldReplica {
  status: Partial<GetStatusResponse> = { level: StatusLevel.OK };
  list: Partial<ListRelaysResponse> = { fresh: true };
  failure: Error | undefined;
  readonly events: Event[] = [];
  #more: (() => void) | undefined;

  constructor(readonly target: string) {}

  tell(event: Partial<Event>): void {
    this.events.push(EventMessage.fromPartial({ sequence: BigInt(this.events.length + 1), ...event }));
    this.#more?.();
  }

  get client(): HoldfastClient {
    const replica = this;
    const told = async <T>(message: T): Promise<T> => {
      if (replica.failure) {
        throw replica.failure;
      }
      return message;
    };
    return {
      targets: [this.target],
      getStatus: () =>
        told(
          Status.fromPartial({
            name: this.target,
            etcd: { answers: true, updates: true },
            ...this.status,
          } as object),
        ),
      listRelays: () => told(List.fromPartial(this.list as object)),
      async *watchEvents() {
        for (let at = 0; ; at++) {
          while (at >= replica.events.length) {
            await new Promise<void>((resolve) => {
              replica.#more = resolve;
            });
          }
          yield { event: replica.events[at], missed: 0n };
        }
      },
    } as unknown as HoldfastClient;
  }
}

async function scene(count = 2) {
  const clock = new ManualClock();
  const replicas = Array.from({ length: count }, (_, at) => new ToldReplica(`replica-${at + 1}`));
  const fleet = new Fleet({ clock, clients: replicas.map(({ client }) => client) });
  const pass = () => clock.pass(1000);
  return { clock, fleet, replicas: replicas as [ToldReplica, ToldReplica], pass };
}

const relays = ['media-1', 'media-2'].map((id) => ({ id, set: 'default', weight: 100, load: { calls: 7 } }));

test('what replicas do is summed up, and what they know of relays is counted once', async (t) => {
  const { fleet, replicas, pass } = await scene();
  const [one, two] = replicas;
  one.status = {
    ...one.status,
    newPerSecond: 3,
    p99Ms: 2,
    relayRates: [{ set: 'default', relayId: 'media-1', newPerSecond: 3 }],
    relayBindings: [{ set: 'default', relayId: 'media-1', bindings: 7n }],
  };
  two.status = {
    ...two.status,
    newPerSecond: 8,
    p99Ms: 6,
    relayRates: [{ set: 'default', relayId: 'media-1', newPerSecond: 8 }],
    relayBindings: [{ set: 'default', relayId: 'media-1', bindings: 5n }],
  };
  one.list = { fresh: true, relays: relays as never };
  two.list = { fresh: true, relays: relays as never };
  t.regex(fleet.notReady() ?? '', /no replica was asked yet/);
  fleet.start();
  await pass();
  const status = fleet.status();
  t.is(status.summary, 'All well: 2 relays, 14 calls, 11 new/s, p99 6.0 ms, etcd answers');
  t.is(status.traffic.newByRelay.get('default/media-1'), 11);
  t.deepEqual([...fleet.bindings()], [['default/media-1', 7]], 'the replicas know the same ones');
  t.is(status.name, '2 of 2 replicas answer');
  t.is(fleet.notReady(), undefined);
  fleet.stop();
});

test('a replica that does not answer is a problem, a critical one if it was the last', async (t) => {
  const { fleet, replicas, pass } = await scene();
  const [one, two] = replicas;
  one.list = { fresh: true, relays: relays as never };
  two.failure = new Error(
    'No connection established. Last error: Error: connect ECONNREFUSED 192.0.2.1:7400',
  );
  fleet.start();
  await pass();
  const { problems, level } = fleet.status();
  t.is(level, 'warning');
  t.is(problems[0]?.text, 'the replica at replica-2 does not answer: connect ECONNREFUSED 192.0.2.1:7400');
  one.failure = new Error('gone');
  await pass();
  await pass();
  t.is(fleet.status().level, 'critical');
  t.is(fleet.relays().length, 2, 'the last that was known');
  t.is(fleet.notReady(), 'gone');
  one.failure = undefined;
  await pass();
  await pass();
  t.is(fleet.status().level, 'warning');
  fleet.stop();
});

test('what several replicas say is wrong is said once', async (t) => {
  const { fleet, replicas, pass } = await scene();
  for (const [at, replica] of replicas.entries()) {
    replica.status = {
      level: StatusLevel.CRITICAL,
      problems: [
        {
          level: StatusLevel.CRITICAL,
          text: `etcd has been lost for ${at + 3} s: timeout`,
          advice: 'Repair etcd.',
        },
      ],
    };
  }
  fleet.start();
  await pass();
  t.deepEqual(
    fleet.status().problems.map(({ advice }) => advice),
    ['Repair etcd.'],
  );
  fleet.stop();
});

test('a relay that left is told once, whoever saw it; what a replica went through is told with its name', async (t) => {
  const { fleet, clock, replicas, pass } = await scene();
  fleet.start();
  await pass();
  const time = new Date(clock.wallMs());
  for (const replica of replicas) {
    const left = { type: 'relay-left', severity: EventSeverity.CRITICAL, text: 'relay default/media-1 left' };
    replica.tell({ ...left, time, set: 'default', relayId: 'media-1' });
    replica.tell({ type: 'calls-moved', time, text: '3 calls of default/media-1 moved', calls: 3n });
    replica.tell({ type: 'etcd-lost', time, text: 'etcd lost' });
  }
  await turns();
  await pass();
  const { events } = fleet.feed.read(0, 100);
  t.deepEqual(events.map(({ text }) => text).sort(), [
    '3 calls of default/media-1 moved',
    '3 calls of default/media-1 moved',
    'relay default/media-1 left',
    'replica-1: etcd lost',
    'replica-2: etcd lost',
  ]);
  t.true(
    events.every(({ atMs }) => Math.abs(atMs - time.getTime()) <= 1),
    'with the time at which it happened',
  );
  fleet.stop();
});

test('a relay that is drained twice was drained twice, whichever replica tells its whole past first', async (t) => {
  const { clock, fleet, replicas, pass } = await scene();
  const times = [60_000, 50_000, 10_000].map((agoMs) => new Date(clock.wallMs() - agoMs));
  const event = { type: 'relay-drained', set: 'default', relayId: 'media-1', text: 'media-1 is draining' };
  for (const replica of replicas) {
    for (const time of times) {
      replica.tell({ ...event, time });
    }
  }
  fleet.start();
  t.teardown(() => fleet.stop());
  await pass();
  await turns();
  t.is(fleet.feed.read(0, 100).events.length, times.length);
});

import test from 'ava';
import { Registry } from 'prom-client';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { GoneRelays } from '../../../services/history/gone-relays.js';
import { reportRelays } from '../../../services/replica/relay-metrics.js';
import { ManualClock } from '../../support/clock.js';
import { Scrape } from '../../support/prometheus.js';
import { aRelay } from '../../support/registry.js';

function scene() {
  const clock = new ManualClock();
  const registry = new Registry();
  const relays = new Map<string, RegisteredRelay>();
  const directory = { list: () => [...relays.values()] };
  const gone = new GoneRelays(clock);
  const bindings = new Map([
    ['default/r1', 7],
    ['default/gone', 3],
  ]);
  reportRelays(registry, { directory, gone: () => gone.list(), bindings: () => bindings });
  return {
    clock,
    join(id: string, of: Partial<RegisteredRelay> = {}) {
      const relay: RegisteredRelay = {
        relay: aRelay({ id, capacity: 10 }),
        revision: 1,
        intent: undefined,
        load: undefined,
        loadHeardAtMs: undefined,
        ...of,
      };
      relays.set(id, relay);
      gone.hear({ type: 'joined', relay });
    },
    leave(id: string) {
      const relay = relays.get(id) as RegisteredRelay;
      relays.delete(id);
      gone.hear({ type: 'left', relay });
    },
    scrape: async () => new Scrape(await registry.metrics()),
  };
}

test('every registered relay has its series, and what is not known of it has none', async (t) => {
  const { join, scrape } = scene();
  join('r1', {
    load: { calls: 4, cpu: 0, packetRate: 0, pingMs: 1.5, atMs: 0 },
    intent: { state: 'draining', weight: 5, reason: '', actor: '', atMs: 0 },
  });
  join('r2');
  const metrics = await scrape();
  const of = (name: string, relay: string, labels = {}) =>
    metrics.value(`holdfast_registered_relay_${name}`, { set: 'default', relay, ...labels });
  t.deepEqual(
    ['up', 'calls', 'bindings', 'capacity', 'weight', 'ping_seconds'].map((name) => of(name, 'r1')),
    [1, 4, 7, 10, 5, 0.0015],
  );
  t.is(of('state', 'r1', { state: 'draining' }), 1);
  t.is(of('state', 'r1', { state: 'active' }), undefined);
  t.is(of('calls', 'r2'), undefined, 'it has not reported yet');
  t.is(of('bindings', 'r2'), 0);
  t.is(of('bindings', 'gone'), undefined);
});

test('a relay that has gone is down for a day, unless it was drained or comes back; its other series end', async (t) => {
  const { clock, join, leave, scrape } = scene();
  const up = async (relay: string) => (await scrape()).value('holdfast_registered_relay_up', { relay });
  join('r1');
  join('r2');
  leave('r1');
  t.is(await up('r1'), 0);
  t.is((await scrape()).value('holdfast_registered_relay_weight', { relay: 'r1' }), undefined);
  join('r1');
  t.is(await up('r1'), 1);
  leave('r1');
  clock.advance(24 * 3_600_000 + 1);
  t.is(await up('r1'), undefined);
  t.is(await up('r2'), 1);
  join('r3', { intent: { state: 'draining', reason: '', actor: '', atMs: 0 } });
  leave('r3');
  t.is(await up('r3'), undefined, 'somebody has taken it away');
});

test('of relays that come under ever new names a bounded number is told', async (t) => {
  const { join, leave, scrape } = scene();
  for (let i = 0; i < 1500; i++) {
    join(`r${i}`);
    leave(`r${i}`);
  }
  const metrics = await scrape();
  t.is(metrics.value('holdfast_registered_relay_up', { relay: 'r1499' }), 0);
  t.is(metrics.value('holdfast_registered_relay_up', { relay: 'r499' }), undefined);
});

test('how many relays calls fill is one series for each set', async (t) => {
  const { join, scrape } = scene();
  const load = { calls: 4, cpu: 0, packetRate: 0, atMs: 0 };
  join('r1', { load });
  join('r2', { load });
  join('r3', { load, relay: aRelay({ id: 'r3', set: 'edge', capacity: 10 }) });
  const metrics = await scrape();
  const of = (set: string) => metrics.value('holdfast_relays_in_use', { set });
  t.deepEqual([of('default'), of('edge')], [0.8, 0.4]);
});

import test from 'ava';
import type { StoredBinding } from '../../../../services/domain/binding.js';
import type { RegisteredRelay } from '../../../../services/domain/relay.js';
import { silentLogger } from '../../../../services/runtime/log.js';
import { BindingKeeper } from '../../../../services/selection/carried/binding-keeper.js';
import { TtlPolicy } from '../../../../services/selection/ttl-policy.js';
import { ManualClock } from '../../../support/clock.js';
import { FakeInquiry } from '../../../support/fake-inquiry.js';
import { aBinding, aRelay } from '../../../support/registry.js';

function open(settings = { setupTtlSeconds: 300, callTtlSeconds: 3600, lingerSeconds: 30 }) {
  const clock = new ManualClock();
  const stored: StoredBinding[] = [];
  const looks: number[] = [];
  const renewed: string[] = [];
  const inquiry = new FakeInquiry();
  const relay: RegisteredRelay = {
    relay: aRelay({ id: 'r1' }),
    revision: 1,
    intent: undefined,
    load: undefined,
  };
  const startedAtMs = clock.monotonicMs();
  const keeper = new BindingKeeper({
    store: {
      async *list() {
        looks.push((clock.monotonicMs() - startedAtMs) / 1000);
        yield* stored;
      },
    },
    selector: {
      renew: async ({ call }) => {
        renewed.push(call.callId);
      },
    },
    ttlPolicy: new TtlPolicy(settings, { get: () => relay }, clock),
    inquiry,
    clock,
    log: silentLogger,
  });
  return { keeper, clock, stored, looks, renewed, inquiry };
}

const gaps = (looks: readonly number[]) => looks.slice(1).map((at, i) => at - (looks[i] ?? 0));

test('it looks several times within the shortest TTL that there is', async (t) => {
  const { keeper, clock, stored, looks } = open();
  t.teardown(() => keeper.stop());
  keeper.start();
  await clock.pass(600_000, 500);
  t.true(looks.length >= 8 && looks.length <= 17, `${looks.length} looks in 10 min`);

  const before = looks.length;
  keeper.heed(10);
  stored.push({ binding: aBinding('short', { ttlSeconds: 10 }), revision: 1 });
  await clock.pass(60_000, 500);
  const short = looks.slice(before);
  t.true(short.length >= 15, `${short.length} looks in a minute`);
  t.true(Math.max(...gaps(short)) <= 5, 'a binding of 10 s has 5 s in which it is due');

  stored.length = 0;
  await clock.pass(10_000, 500);
  const after = looks.length;
  await clock.pass(600_000, 500);
  t.true(looks.length - after <= 17, 'the short one is gone');
});

test('what is due and carried is renewed; what its relay has ended is not', async (t) => {
  const { keeper, clock, stored, renewed, inquiry } = open();
  const dueAtMs = clock.wallMs() + 200_000;
  const expiries: Readonly<Record<string, number>> = {
    carried: dueAtMs,
    ended: dueAtMs,
    fresh: dueAtMs + 200_000,
    'dated by a clock that is ahead': dueAtMs + 1_000_000,
  };
  for (const [id, expiresAtMs] of Object.entries(expiries)) {
    inquiry.carry('r1', id);
    stored.push({
      binding: aBinding(id, { expiresAtMs, instance: aRelay({ id: 'r1' }).instance }),
      revision: 1,
    });
  }
  inquiry.end('r1', 'ended');
  await keeper.look();
  t.deepEqual(renewed.toSorted(), ['carried', 'dated by a clock that is ahead']);
  t.like(keeper.counters, { renewed: 2, notCarried: 1, unknown: 0 });
});

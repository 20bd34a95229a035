import test from 'ava';
import { parseCall } from '../../../../services/domain/call.js';
import { HoldfastError } from '../../../../services/domain/error.js';
import { Events } from '../../../../services/domain/events.js';
import { ProvisionalBindings } from '../../../../services/selection/outage/provisional-bindings.js';
import { ProvisionalReconciler } from '../../../../services/selection/outage/provisional-reconciler.js';
import { ManualClock } from '../../../support/clock.js';
import { aBinding } from '../../../support/registry.js';

/** Promises, and an etcd that does not confirm some of their writes. */
function scene(...callIds: readonly string[]) {
  const clock = new ManualClock();
  const events = new Events();
  const provisional = new ProvisionalBindings({ events, clock }, 100);
  const etcd: { lost: HoldfastError | undefined } = { lost: undefined };
  const errors = new Map<string, HoldfastError>();
  const stopping = new AbortController();
  const reconciler = new ProvisionalReconciler({
    provisional,
    cachedStore: etcd,
    stopping: stopping.signal,
    events,
    clock,
    binder: {
      bind: async ({ call }) => {
        const error = errors.get(call.callId);
        if (error) {
          throw error;
        }
        const stored = { binding: aBinding(call), revision: 1 };
        provisional.resolve(stored);
        return stored;
      },
    },
  });
  for (const callId of callIds) {
    const expiresAtMs = clock.wallMs() + 60_000;
    provisional.put(aBinding(parseCall(callId, '', 'default'), { generation: 0, expiresAtMs }));
  }
  const left = () => provisional.list().map(({ call }) => call.callId);
  return { clock, errors, etcd, left, reconciler, stopping };
}

const unconfirmed = new HoldfastError('unavailable', 'etcd did not answer in time');

test('a write that etcd does not confirm holds up no other promise, and is tried again', async (t) => {
  for (const error of [unconfirmed, new HoldfastError('relay-awaited', 'relays have not said')]) {
    const { clock, errors, left, reconciler } = scene('a', 'b', 'c');
    errors.set('b', error);
    const over = reconciler.reconcileAll();
    await clock.pass(1000);
    t.deepEqual(left(), ['b']);
    errors.clear();
    await clock.pass(1000);
    await over;
    t.deepEqual(left(), []);
  }
});

test('where etcd is lost again, or the replica stops, promises are left for the next time', async (t) => {
  for (const isStop of [true, false]) {
    const { clock, errors, etcd, left, reconciler, stopping } = scene('a', 'b');
    errors.set('a', unconfirmed);
    errors.set('b', unconfirmed);
    const over = reconciler.reconcileAll();
    await clock.pass(1000);
    if (isStop) {
      stopping.abort();
    } else {
      etcd.lost = unconfirmed;
    }
    await clock.pass(1000);
    await over;
    t.deepEqual(left(), ['a', 'b']);
  }
});

test('one that no relay can take is dropped', async (t) => {
  const { errors, left, reconciler } = scene('a', 'b');
  errors.set('a', new HoldfastError('no-relay', 'no relay is registered'));
  await reconciler.reconcileAll();
  t.deepEqual(left(), []);
});

test('one whose time runs out while etcd does not confirm it is over', async (t) => {
  const { clock, errors, left, reconciler } = scene('a');
  errors.set('a', unconfirmed);
  const over = reconciler.reconcileAll();
  await clock.pass(61_000);
  await over;
  t.deepEqual(left(), []);
});

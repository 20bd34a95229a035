import test from 'ava';
import type { BindingState } from '../../../../services/domain/binding.js';
import { type Call, parseCall } from '../../../../services/domain/call.js';
import { HoldfastError } from '../../../../services/domain/error.js';
import { UsedCalls } from '../../../../services/selection/outage/used-calls.js';
import { ManualClock } from '../../../support/clock.js';
import { aBinding, aRelay } from '../../../support/registry.js';

/** Calls that etcd has in these states, and those that a relay carries though etcd does not know them. */
function scene(stored: Readonly<Record<string, BindingState>>, carried: readonly string[] = []) {
  const done: string[] = [];
  const down = new Set<string>();
  const etcd: { lost: HoldfastError | undefined } = { lost: undefined };
  const clock = new ManualClock();
  const relay = { relay: aRelay(), revision: 1, lease: '1', intent: undefined, load: undefined };
  const find = async (call: Call) =>
    carried.includes(call.callId) ? { ...relay, loadHeardAtMs: undefined } : undefined;
  const used = new UsedCalls({
    cachedStore: etcd,
    clock,
    stopping: new AbortController().signal,
    repair: {
      read: async (call) => {
        if (down.has(call.callId)) {
          throw new HoldfastError('unavailable', 'etcd is out of reach');
        }
        const state = stored[call.callId];
        const binding = state && aBinding(call, { state });
        return { call, revision: binding ? 1 : 0, binding, hasOthers: false };
      },
      find,
      goesOn: async ({ call }) => carried.includes(call.callId),
      adopt: async (call) => {
        done.push(`adopted ${call.callId}`);
        return { binding: aBinding(call), revision: 2 };
      },
    },
    binder: {
      bind: async ({ call, inDialog = false, maybeCarried = false }) => {
        done.push(`selected ${call.callId}${inDialog ? ' in dialog' : ''}${maybeCarried ? ' sought' : ''}`);
        return { binding: aBinding(call), revision: 2 };
      },
    },
  });
  return { used, done, down, etcd, clock };
}

const call = (callId: string) => parseCall(callId, '', 'default');

test('each is selected again as it was used last, once', async (t) => {
  const { used, done } = scene({ a: 'answered', b: 'released', c: 'setup' }, ['b']);
  used.note({ call: call('a') });
  used.note({ call: call('a'), inDialog: true });
  used.note({ call: call('b'), inDialog: true });
  used.note({ call: call('c'), maybeCarried: true });
  await used.goOn();
  t.deepEqual(done.sort(), ['selected a in dialog', 'selected b in dialog', 'selected c sought']);
  await used.goOn();
  t.is(done.length, 3);
});

test('one that etcd does not know any more is bound where it is carried, or not at all', async (t) => {
  const { used, done } = scene({}, ['carried']);
  used.note({ call: call('carried'), inDialog: true });
  used.note({ call: call('ended'), inDialog: true });
  await used.goOn();
  t.deepEqual(done, ['adopted carried']);
});

test('one that another replica has released goes on where it is carried, and is not begun again', async (t) => {
  const { used, done } = scene({ carried: 'released', ended: 'released', offered: 'released' }, ['carried']);
  used.note({ call: call('carried') });
  used.note({ call: call('ended'), inDialog: true });
  used.note({ call: call('offered') });
  await used.goOn();
  t.deepEqual(done, ['selected carried']);
});

test('one that was released here since is left alone', async (t) => {
  const { used, done } = scene({ a: 'answered' });
  used.note({ call: call('a'), inDialog: true });
  used.forget(call('a'));
  await used.goOn();
  t.deepEqual(done, []);
});

test('where etcd is lost again, they wait for the next time', async (t) => {
  const { used, done, down, etcd } = scene({ a: 'answered', b: 'answered' });
  used.note({ call: call('a'), inDialog: true });
  used.note({ call: call('b'), inDialog: true });
  down.add('a');
  etcd.lost = new HoldfastError('unavailable', 'etcd is out of reach');
  await used.goOn();
  t.deepEqual(done, ['selected b in dialog']);
  down.clear();
  etcd.lost = undefined;
  await used.goOn();
  t.deepEqual(done, ['selected b in dialog', 'selected a in dialog']);
});

test('one whose write etcd did not confirm is selected again', async (t) => {
  const { used, done, down, clock } = scene({ a: 'answered' });
  used.note({ call: call('a'), inDialog: true });
  down.add('a');
  const over = used.goOn();
  await clock.pass(1000);
  t.deepEqual(done, []);
  down.clear();
  await clock.pass(1000);
  await over;
  t.deepEqual(done, ['selected a in dialog']);
});

test('so many are kept, those that were used last', async (t) => {
  const { used, done } = scene({ first: 'answered', last: 'answered' });
  used.note({ call: call('first') });
  for (let i = 0; i < 65_535; i++) {
    used.note({ call: call(`c${i}`) });
  }
  used.note({ call: call('last') });
  await used.goOn();
  t.deepEqual(done, ['selected last']);
});

test('of those with the longest Call-IDs fewer are kept', async (t) => {
  const { used, done } = scene({ first: 'answered', last: 'answered' });
  used.note({ call: call('first') });
  for (let i = 0; i < 520; i++) {
    used.note({ call: call(`${i}${'x'.repeat(16_380)}`) });
  }
  used.note({ call: call('last') });
  await used.goOn();
  t.deepEqual(done, ['selected last']);
});

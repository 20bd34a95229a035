import test from 'ava';
import type { Binding } from '../../../../services/domain/binding.js';
import { HoldfastError } from '../../../../services/domain/error.js';
import type { RelayChange } from '../../../../services/domain/membership.js';
import type { RegisteredRelay } from '../../../../services/domain/relay.js';
import { graceMs, LostSessions } from '../../../../services/gateway/rtpproxy/lost-sessions.js';
import { Subscribers } from '../../../../services/runtime/subscribers.js';
import { ManualClock, turns } from '../../../support/clock.js';
import { aBinding, aRelay } from '../../../support/registry.js';
import { openLog } from '../../../support/replica.js';

const relay = aRelay({ id: 'r1', instance: 'a'.repeat(16) });
const registered: RegisteredRelay = {
  relay,
  revision: 1,
  intent: undefined,
  load: undefined,
  loadHeardAtMs: undefined,
};
const notice = 'tcp:192.0.2.1:9000%20T1';
const line = 'tcp:192.0.2.1:9000 T1';

/** Calls on one relay, all of which ask to be told, and a gateway that knows them from the registry alone. */
function scene(calls: number) {
  const clock = new ManualClock();
  const changes = new Subscribers<RelayChange>();
  const told: string[] = [];
  const bindings = Array.from({ length: calls }, (_, i) =>
    aBinding(`c${i}`, { relayId: 'r1', instance: relay.instance, notices: [notice] }),
  );
  const left = new Map(bindings.map((binding) => [binding.call.key, binding.notices]));
  const state = {
    relays: [] as RegisteredRelay[],
    /** Before the notices of a call are taken; what it throws is the answer. */
    onTake: (_binding: Binding): void => {},
  };
  const { log, lines } = openLog();
  const lost = new LostSessions({
    router: {
      async *withNotices(instance) {
        yield* bindings.filter(
          (each) => each.instance === instance && (left.get(each.call.key) ?? []).length > 0,
        );
      },
      async takeNotices(binding) {
        state.onTake(binding);
        const notices = left.get(binding.call.key) ?? [];
        left.set(binding.call.key, []);
        return notices;
      },
    },
    directory: { list: () => state.relays, subscribe: (listener) => changes.add(listener) },
    tell: (each) => void told.push(each),
    clock,
    log,
  });
  lost.start();
  const pass = async (ms: number) => {
    await turns();
    clock.advance(ms);
    await turns();
  };
  return { changes, told, state, left, lost, pass, lines };
}

test('the calls of a relay that has left are told of, not before it could have registered again', async (t) => {
  const { changes, told, pass } = scene(1);
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs - 1);
  t.deepEqual(told, []);
  await pass(1);
  t.deepEqual(told, [line]);
});

test('nobody is told where the relay is back, as its relay node was started again', async (t) => {
  const { changes, told, state, pass } = scene(1);
  changes.tell({ type: 'left', relay: registered });
  state.relays = [registered];
  await pass(graceMs);
  t.deepEqual(told, []);
});

test('a relay that has lost its sessions is another one, whatever it is called', async (t) => {
  const { changes, told, state, pass } = scene(1);
  const restarted = { ...registered, relay: { ...relay, instance: 'b'.repeat(16) } };
  changes.tell({ type: 'changed', relay: registered, before: registered });
  state.relays = [restarted];
  changes.tell({ type: 'changed', relay: restarted, before: registered });
  await pass(graceMs);
  t.deepEqual(told, [line]);
});

test('many calls are told of bit by bit', async (t) => {
  const { changes, told, pass } = scene(120);
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs);
  t.is(told.length, 50);
  await pass(100);
  t.is(told.length, 100);
  await pass(100);
  t.is(told.length, 120);
});

test('what another gateway has taken is left to it', async (t) => {
  const { changes, told, left, pass } = scene(3);
  const [first = ''] = left.keys();
  left.set(first, []);
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs);
  t.is(told.length, 2);
});

test('while the registry takes nothing, it is asked again; a stop ends that', async (t) => {
  const { changes, told, state, left, lost, pass } = scene(1);
  state.onTake = () => {
    throw new HoldfastError('overloaded', 'too many requests');
  };
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs);
  await pass(1000);
  t.deepEqual(told, []);
  state.onTake = () => {};
  await pass(1000);
  t.deepEqual(told, [line]);
  left.set([...left.keys()][0] ?? '', [notice]);
  changes.tell({ type: 'left', relay: registered });
  await turns();
  lost.stop();
  await pass(graceMs);
  t.is(told.length, 1);
});

test('where nobody knows whether the notices of a call are taken, they are told, and told once', async (t) => {
  const { changes, told, state, pass, lines } = scene(2);
  state.onTake = ({ call }) => {
    if (call.callId === 'c0') {
      throw new HoldfastError('unavailable', 'etcd does not answer');
    }
    throw new HoldfastError('overloaded', 'too many requests');
  };
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs);
  t.deepEqual(told, [line]);
  state.onTake = () => {};
  await pass(1000);
  t.deepEqual(told, [line, line], 'that of the other call');
  t.like(
    lines.find(({ msg }) => /a relay is lost/.test(String(msg))),
    { calls: 2 },
  );
});

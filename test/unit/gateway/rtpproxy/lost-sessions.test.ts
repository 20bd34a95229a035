import test from 'ava';
import { selfHost } from '../../../../services/control/rtpproxy/notify-socket.js';
import { ownRequest } from '../../../../services/control/rtpproxy/request.js';
import { type TimeoutNotice, wrapNotice } from '../../../../services/control/rtpproxy/timeout-notice.js';
import type { Call } from '../../../../services/domain/call.js';
import { HoldfastError } from '../../../../services/domain/error.js';
import type { RelayChange } from '../../../../services/domain/membership.js';
import type { RegisteredRelay } from '../../../../services/domain/relay.js';
import { callOf } from '../../../../services/gateway/call-request.js';
import { graceMs, LostSessions } from '../../../../services/gateway/rtpproxy/lost-sessions.js';
import { SessionMemory } from '../../../../services/gateway/rtpproxy/session-memory.js';
import { Subscribers } from '../../../../services/runtime/subscribers.js';
import type { Answer } from '../../../../services/selection/requests.js';
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
const notice: TimeoutNotice = { socket: 'tcp:192.0.2.1:9000', tag: 'T1' };
const u = `U c 192.0.2.1 4000 f;1 tcp:${selfHost}:1 ${wrapNotice(notice)}`;

/** A gateway that remembers calls on one relay, all of which ask to be told. */
function scene(calls: number) {
  const clock = new ManualClock();
  const changes = new Subscribers<RelayChange>();
  const memory = new SessionMemory(new ManualClock());
  const told: TimeoutNotice[] = [];
  const state = {
    relays: [] as RegisteredRelay[],
    answer: (call: Call): Answer | undefined => ({
      binding: aBinding(call, { relayId: 'r1', instance: relay.instance }),
      relay: undefined,
      origin: 'existing',
      freshness: 'fresh',
    }),
  };
  for (let i = 0; i < calls; i++) {
    memory.accepted(callOf(Buffer.from(`c${i}`), { set: undefined }), ownRequest(u), relay);
  }
  const lost = new LostSessions({
    router: { lookup: async (call: Call) => state.answer(call) },
    directory: { list: () => state.relays, subscribe: (listener) => changes.add(listener) },
    memory,
    tell: (each) => void told.push(each),
    clock,
    log: openLog().log,
  });
  lost.start();
  const pass = async (ms: number) => {
    await turns();
    clock.advance(ms);
    await turns();
  };
  return { changes, told, state, lost, pass };
}

test('the calls of a relay that has left are told of, not before it could have registered again', async (t) => {
  const { changes, told, pass } = scene(1);
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs - 1);
  t.deepEqual(told, []);
  await pass(1);
  t.deepEqual(told, [notice]);
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
  t.deepEqual(told, [notice]);
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

test('while the registry does not answer, it is asked again; a stop ends that', async (t) => {
  const { changes, told, state, lost, pass } = scene(1);
  const answer = state.answer;
  state.answer = () => {
    throw new HoldfastError('unavailable', 'etcd does not answer');
  };
  changes.tell({ type: 'left', relay: registered });
  await pass(graceMs);
  await pass(1000);
  t.deepEqual(told, []);
  state.answer = answer;
  await pass(1000);
  t.deepEqual(told, [notice]);
  changes.tell({ type: 'left', relay: registered });
  await turns();
  lost.stop();
  await pass(graceMs);
  t.is(told.length, 1);
});

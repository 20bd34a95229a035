import assert from 'node:assert/strict';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { NgRelayModel } from '../../model/ng-relay-model.js';
import { type MediaRequest, SipCall, type SipEvent, sipEvent } from '../../model/sip-trace.js';
import { ManualClock } from '../../support/clock.js';
import { audioSdp, newCall, ProxyClient } from '../../support/ng.js';
import type { Scope } from '../../support/process.js';
import { holds } from '../../support/property.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { startRtpengine } from '../../support/rtpengine.js';

/** The model of a relay says what a real rtpengine says, of the requests that SIP proxies send. */

const delaySeconds = 3;
const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });

async function proxyOf(scope: Scope, port: number): Promise<ProxyClient> {
  const proxy = new ProxyClient('127.0.0.1', port);
  await proxy.start();
  scope.teardown(() => proxy.stop());
  return proxy;
}

const bodyOf = (callId: string, { command, from, to, branch }: MediaRequest): NgDictionary => ({
  command,
  'call-id': callId,
  'from-tag': from,
  ...(to === undefined ? {} : { 'to-tag': to }),
  ...(branch === undefined ? {} : { 'via-branch': branch }),
  ...(command === 'delete' ? {} : { sdp }),
});

const kindOf = ({ result, warning, ...more }: NgDictionary) =>
  [result, more['error-reason'], warning].filter((each) => each !== undefined).join(': ');

/** A call that is played to a relay and to its model, and what both have said. */
class Played {
  readonly call = newCall();
  readonly #told: string[] = [];
  readonly #expected: string[] = [];

  constructor(
    private readonly proxy: ProxyClient,
    private readonly model: NgRelayModel,
  ) {}

  async play(events: readonly SipEvent[], namesBranches: boolean): Promise<void> {
    const sip = new SipCall({ namesBranches, forks: 'any' });
    for (const event of events) {
      for (const request of sip.after(event)) {
        await this.#ask(bodyOf(this.call.callId, request));
        await this.query();
      }
    }
  }

  async query(): Promise<void> {
    await this.#ask({ command: 'query', 'call-id': this.call.callId });
  }

  /** Both have said the same. */
  check(): void {
    const [told, expected] = [this.#told, this.#expected].map((lines) => lines.join('\n'));
    assert.ok(told === expected, `${told}\n\nThe model says:\n\n${expected}`);
  }

  async #ask(body: NgDictionary): Promise<void> {
    const { command, sdp: _, 'call-id': __, ...names } = body;
    const text = [command, ...Object.values(names)].join(' ');
    this.#told.push(`${text}: ${kindOf(await this.proxy.request(body))}`);
    this.#expected.push(`${text}: ${kindOf(this.model.handle(body))}`);
  }
}

const trace = fc.record({
  events: fc.array(sipEvent, { minLength: 1, maxLength: 14 }),
  namesBranches: fc.boolean(),
});

testWith.serial(['rtpengine'], 'a relay that ends calls at once answers as its model', async (t) => {
  const { port } = await startRtpengine(t, [], '127.0.0.3');
  const proxy = await proxyOf(t, port);
  const property = fc.asyncProperty(trace, async ({ events, namesBranches }) => {
    const played = new Played(proxy, new NgRelayModel(new ManualClock(), { deleteDelayMs: 0 }));
    await played.play(events, namesBranches);
    played.check();
    await proxy.delete(played.call);
  });
  await holds(t, property, { runs: 200, fixedSeed: 1 });
});

testWith.serial(['rtpengine'], 'one that ends them after a delay, too', async (t) => {
  const { port } = await startRtpengine(t, [`--delete-delay=${delaySeconds}`], '127.0.0.4');
  const proxy = await proxyOf(t, port);
  // One case takes as long as the delay: the call that fails is told, and not looked for by more cases.
  const traces = fc.noShrink(fc.array(trace, { minLength: 40, maxLength: 60 }));
  const property = fc.asyncProperty(traces, async (all) => {
    const clock = new ManualClock();
    const model = new NgRelayModel(clock, { deleteDelayMs: delaySeconds * 1000 });
    const calls = all.map(() => new Played(proxy, model));
    const startedAtMs = performance.now();
    await Promise.all(all.map(({ events, namesBranches }, i) => calls[i]?.play(events, namesBranches)));
    const last = newCall();
    await proxy.offer(last, sdp);
    await proxy.delete(last);
    // Counted in whole seconds; on a busy machine the first may have ended already.
    fc.pre(performance.now() - startedAtMs < (delaySeconds - 1) * 1000);
    clock.advance(delaySeconds * 1000);
    await eventually(async () => (await proxy.query(last))['result'] === 'error', 'end of the last call');
    for (const played of calls) {
      await played.query();
      played.check();
      await proxy.delete(played.call, { 'delete delay': 0 });
    }
  });
  await holds(t, property, { runs: 2, fixedSeed: 1 });
});

/** Offers and answers of two calls, of which a relay has room for one. */
async function crowd(t: ExecutionContext, port: number, lack: 'isFull' | 'isOutOfPorts'): Promise<void> {
  const model = new NgRelayModel(new ManualClock(), { deleteDelayMs: 0 });
  const proxy = await proxyOf(t, port);
  const [known, other] = [newCall().callId, newCall().callId];
  const first = {
    command: 'offer',
    from: 'caller',
    to: undefined,
    branch: 'z9hG4bK1',
    inDialog: false,
    isLast: false,
  } as const;
  const steps: [string, MediaRequest][] = [
    [known, first],
    [other, first],
    [known, { ...first, command: 'answer', to: 'callee' }],
    [known, { ...first, to: 'callee' }],
    [known, { ...first, branch: 'z9hG4bK2' }],
  ];
  for (const [i, [callId, request]] of steps.entries()) {
    model[lack] = i > 0;
    for (const supports of [[], ['load limit']]) {
      const body = { ...bodyOf(callId, request), supports };
      t.is(kindOf(model.handle(body)), kindOf(await proxy.request(body)), `${lack} ${i}`);
      const query = { command: 'query', 'call-id': callId };
      t.is(kindOf(model.handle(query)), kindOf(await proxy.request(query)), `${lack} ${i}`);
      // The call that it has no ports for is gone, and its ports are free, though rtpengine takes its time for that.
      if (i > 0 && model.callIds.length === 0) {
        break;
      }
    }
  }
}

testWith.serial(['rtpengine'], 'one that is full, too', async (t) => {
  await crowd(t, (await startRtpengine(t, ['--max-sessions=1'], '127.0.0.5')).port, 'isFull');
});

testWith.serial(['rtpengine'], 'one that has no ports left, too', async (t) => {
  const ports = ['--port-min=30000', '--port-max=30003'];
  await crowd(t, (await startRtpengine(t, ports, '127.0.0.6')).port, 'isOutOfPorts');
});

testWith.serial(
  ['rtpengine'],
  'a query tells when a call was signaled last, whoever asks or deletes since',
  async (t) => {
    const { port } = await startRtpengine(t, [`--delete-delay=${delaySeconds}`], '127.0.0.10');
    const proxy = await proxyOf(t, port);
    const call = newCall();
    const signaled = async () => (await proxy.query(call))['last signal'] as number;
    /** In a later second of the clock. */
    const later = async (act: () => Promise<unknown>) => {
      const second = Math.floor(Date.now() / 1000);
      await eventually(() => Math.floor(Date.now() / 1000) > second, 'the next second');
      await act();
      return signaled();
    };
    await proxy.offer(call, sdp);
    const offered = await signaled();
    const answered = await later(() => proxy.answer(call, sdp));
    t.true(answered > offered);
    t.is(await later(() => proxy.query(call)), answered);
    t.is(await later(() => proxy.delete(call)), answered);
    t.true((await later(() => proxy.offer(call, sdp))) > answered);
  },
);

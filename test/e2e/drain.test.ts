import { RelayState } from '../../proto/generated/holdfast/v1/relay.js';
import { newCall } from '../support/ng.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { runHoldfast, startHoldfast } from '../support/stack.js';
import { placeOf, programs, Scene } from './scene.js';

/** The relays that 20 new calls get. */
async function chosenFor(scene: Scene): Promise<Set<string | undefined>> {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 ? scene.a : scene.b).select({ callId: newCall().callId })),
  );
  return new Set(answers.map(({ binding }) => binding?.relay?.id));
}

/** Resolves when both replicas list the relay in this state. */
async function inState(scene: Scene, id: string, state: RelayState): Promise<void> {
  const isSo = async () => {
    const lists = await Promise.all([scene.a.listRelays(''), scene.b.listRelays('')]);
    return lists.every(({ relays }) => relays.some((each) => each.id === id && each.state === state));
  };
  await eventually(isSo, `${id} in state ${RelayState[state]}`);
}

testWith.serial(
  programs,
  'SIGTERM drains a relay node, which leaves when its last call has ended',
  async (t) => {
    const scene = await Scene.start(t, ['r1', 'r2']);
    const { call, answer, proxy, relay: id } = await scene.invite();
    const { node } = scene.relay(id);
    node.process.signal('SIGTERM');
    await inState(scene, id, RelayState.DRAINING);
    t.false((await chosenFor(scene)).has(id), 'no new call');
    for (const replica of [scene.a, scene.b]) {
      const { relay, ...rest } = (await replica.select({ callId: call.callId })).binding ?? {};
      t.deepEqual(placeOf({ binding: { ...rest, relay } } as typeof answer), placeOf(answer));
      t.is(relay?.state, RelayState.DRAINING);
    }
    const ready = await fetch(`http://${node.http}/readyz`);
    t.is(ready.status, 503);
    t.regex(await ready.text(), /draining/);
    await node.process.waitForLine(/"calls":1,.*"msg":"draining"/);
    t.true(node.process.running);

    await proxy.delete(call);
    t.deepEqual(await node.process.exited, { code: 0, signal: null });
    // The lease is revoked, so both replicas know at once.
    await scene.gone(id, 1500);
  },
);

testWith.serial(programs, 'a second signal or the deadline ends a draining relay node', async (t) => {
  const scene = await Scene.start(t, []);
  const env = { HOLDFAST_DRAIN_DEADLINE_SECONDS: '3' };
  const [patient, hasty] = [await scene.join('r1'), await scene.join('r2', { env })];
  const carried = new Set<string>();
  while (carried.size < 2) {
    carried.add((await scene.invite()).relay);
  }

  patient.node.process.signal('SIGTERM');
  await inState(scene, 'r1', RelayState.DRAINING);
  const signaledAtMs = performance.now();
  patient.node.process.signal('SIGTERM');
  t.is((await patient.node.process.exited).code, 1);
  t.true(performance.now() - signaledAtMs < 1000);

  const drainedAtMs = performance.now();
  hasty.node.process.signal('SIGTERM');
  t.deepEqual(await hasty.node.process.exited, { code: 0, signal: null });
  const tookMs = performance.now() - drainedAtMs;
  t.true(tookMs > 2500 && tookMs < 6000, `ended after ${tookMs} ms`);
  await scene.gone('r2', 1500);
});

testWith.serial(
  programs,
  'holdfast drain --wait returns when the last call has ended, and resume undoes the drain',
  async (t) => {
    const scene = await Scene.start(t, ['r1', 'r2']);
    const { call, proxy, relay: id } = await scene.invite();
    const carries = async () =>
      (await scene.a.listRelays('')).relays.some((each) => each.id === id && each.load?.calls === 1);
    await eventually(carries, 'report of the call');
    const env = { HOLDFAST_SERVER: scene.replicas[0].grpc };
    const drain = await startHoldfast(t, ['drain', id, '--wait', '--reason', 'new kernel'], env);
    await drain.waitForLine(`default/${id} is draining`);
    await inState(scene, id, RelayState.DRAINING);
    await drain.waitForLine(`default/${id} carries 1 call`);
    t.false((await chosenFor(scene)).has(id), 'no new call');
    t.regex((await runHoldfast(t, ['relays'], env)).stdout, / draining .* new kernel /);
    t.true(drain.running);

    await proxy.delete(call);
    t.is(
      await drain.success(30_000),
      [`is draining`, 'carries 1 call', 'carries 0 calls', '']
        .map((line) => line && `default/${id} ${line}`)
        .join('\n'),
    );
    t.true(scene.relay(id).node.process.running, 'the relay stays registered');

    const resumed = await runHoldfast(t, ['resume', id], env);
    t.is(resumed.output, `default/${id} is active\n`);
    await inState(scene, id, RelayState.ACTIVE);
    t.true((await chosenFor(scene)).has(id), 'new calls again');
  },
);

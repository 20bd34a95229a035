import test from 'ava';
import {
  type GetStatusResponse,
  RelayState,
  StatusLevel,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { eventually } from '../../support/registry.js';
import { asks, putLoad, replicaScene, select, setIntent } from '../../support/replica.js';

test('GetStatus tells in one sentence that all is well, with the rates of the last seconds', async (t) => {
  const { client, keys, relays, selection, grpc } = await replicaScene(t);
  await putLoad(client, keys, 'r1', { calls: 3 });
  for (let call = 0; call < 10; call++) {
    await select(selection, { callId: `call-${call}` });
  }
  const status = () => asks<object, GetStatusResponse>(relays, relays.getStatus, {});
  await eventually(async () => {
    const { calls, newPerSecond } = await status();
    return calls === 3n && newPerSecond > 0;
  }, 'the report and the new calls');
  const { level, summary, advice, problems, p99Ms, relayRates, etcd, replicas, name, ...told } =
    await status();
  t.is(level, StatusLevel.OK);
  t.regex(summary, /^All well: 3 relays, 3 calls, [\d.]+ new\/s, p99 [\d.,]+ ms, etcd answers$/);
  t.is(advice, '');
  t.deepEqual(problems, []);
  t.is(told.relays, 3);
  t.true((p99Ms ?? 0) > 0);
  t.true(
    relayRates.length > 0 &&
      relayRates.every(({ set, newPerSecond }) => set === 'default' && newPerSecond > 0),
  );
  t.deepEqual(etcd, { answers: true, reason: '', lostSeconds: 0, updates: true });
  t.true(name.includes(grpc));
  t.deepEqual(
    replicas.map(({ self }) => self),
    [true],
  );
});

test('GetStatus has the worst problem first, and what to do', async (t) => {
  const { relays } = await replicaScene(t, [{ id: 'r1' }]);
  await setIntent(relays, { relayId: 'r1', state: RelayState.DRAINING, reason: 'upgrade' });
  const status = () => asks<object, GetStatusResponse>(relays, relays.getStatus, {});
  await eventually(async () => (await status()).level === StatusLevel.CRITICAL, 'the problem');
  const { summary, advice, problems } = await status();
  t.is(summary, 'no relay of set default takes new calls: 1 is draining, disabled or of weight 0');
  t.is(advice, 'holdfast resume r1');
  t.is(problems[0]?.text, summary);
});

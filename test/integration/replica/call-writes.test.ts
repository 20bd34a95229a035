import test, { type ExecutionContext } from 'ava';
import { bindingCodec } from '../../../services/registry/codecs/binding.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { EtcdHistory } from '../../support/history.js';
import { audioSdp, type CallTags, newCall, ProxyClient } from '../../support/ng.js';
import { Scrape } from '../../support/prometheus.js';
import { eventually, valid } from '../../support/registry.js';
import { type InProcessReplica, openReplica, release, replicaScene, select } from '../../support/replica.js';
import { proxyOf } from '../gateway/rtpproxy-scene.js';
import { builtinRelay } from '../gateway/scene.js';

/** What a call costs etcd, by whichever front it comes: two replicas serve it in turn. */

/** The parts of a call, as a SIP proxy asks a replica for them. */
interface Caller {
  begin(call: CallTags): Promise<unknown>;
  answer(call: CallTags): Promise<unknown>;
  /** A re-INVITE. */
  use(call: CallTags): Promise<unknown>;
  end(call: CallTags): Promise<unknown>;
}

const sdp = audioSdp({ address: '127.0.0.1', port: 6000 });
const calls = Array.from({ length: 10 }, newCall);
const settings = {
  HOLDFAST_NG_LISTEN: '127.0.0.1:0',
  HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
  // What a replica has read it believes for the longer.
  HOLDFAST_LINGER_SECONDS: '600',
};

function listenerOf({ replica }: InProcessReplica, protocol: 'ng' | 'rtpproxy') {
  return parseAddress(replica.gatewayAddresses(protocol)[0] ?? '') ?? { host: '', port: 0 };
}

async function ngCaller(t: ExecutionContext, replica: InProcessReplica): Promise<Caller> {
  const { host, port } = listenerOf(replica, 'ng');
  const proxy = new ProxyClient(host, port);
  await proxy.start();
  t.teardown(() => proxy.stop());
  const done = async (reply: ReturnType<ProxyClient['request']>) => t.is((await reply)['result'], 'ok');
  return {
    begin: (call) => done(proxy.offer(call, sdp)),
    answer: (call) => done(proxy.answer(call, sdp)),
    use: async (call) => {
      await done(proxy.offer(call, sdp, { inDialog: true }));
      await done(proxy.answer(call, sdp));
    },
    // Then the relay ends the call at once, and with it the binding.
    end: (call) => done(proxy.delete(call, { 'delete-delay': 0 })),
  };
}

async function rtpproxyCaller(t: ExecutionContext, replica: InProcessReplica): Promise<Caller> {
  const { host, port } = listenerOf(replica, 'rtpproxy');
  const ask = await proxyOf(t, host, port);
  const done = async (command: string, reply: RegExp) => t.regex(await ask(command), reply);
  const media = '127.0.0.1 6000';
  return {
    begin: ({ callId, fromTag }) => done(`Uc8 ${callId} ${media} ${fromTag};1`, /^\d+ /),
    answer: ({ callId, fromTag, toTag }) => done(`Lc8 ${callId} ${media} ${fromTag};1 ${toTag};1`, /^\d+ /),
    use: async ({ callId, fromTag, toTag }) => {
      await done(`Uc8 ${callId} ${media} ${fromTag};1 ${toTag};1`, /^\d+ /);
      await done(`Lc8 ${callId} ${media} ${fromTag};1 ${toTag};1`, /^\d+ /);
    },
    end: ({ callId, fromTag, toTag }) => done(`D ${callId} ${fromTag} ${toTag}`, /^0$/),
  };
}

async function grpcCaller(_: ExecutionContext, { selection }: InProcessReplica): Promise<Caller> {
  return {
    begin: ({ callId }) => select(selection, { callId }),
    answer: ({ callId }) => select(selection, { callId, inDialog: true }),
    use: ({ callId }) => select(selection, { callId, inDialog: true }),
    end: ({ callId }) => release(selection, callId),
  };
}

/** Operations in etcd transactions, reads and writes. */
const operationsOf = async (replicas: readonly InProcessReplica[]) => {
  const scrapes = await Promise.all(replicas.map(({ http }) => Scrape.of(http)));
  return scrapes.map((scrape) => Number(scrape.value('holdfast_etcd_operations_total')));
};

for (const [front, callerOf] of Object.entries({
  grpc: grpcCaller,
  ng: ngCaller,
  rtpproxy: rtpproxyCaller,
})) {
  test.serial(
    `${front}: etcd is written to three times for a whole call, and not asked for its uses`,
    async (t) => {
      const relay = await builtinRelay(t);
      const { controlUrl, rtpproxyUrl } = relay;
      const registered = { id: 'r1', controlUrl, rtpproxyUrl, features: await relay.features() };
      const { etcd, keys, ...one } = await replicaScene(t, [registered], settings);
      const other = await openReplica(t, etcd.endpoint, keys, settings);
      await other.ready;
      const replicas = [one, other];
      // The first write takes longest, and a proxy is answered within 0.9 s.
      await Promise.all(replicas.map(({ selection }, i) => select(selection, { callId: `warm-up-${i}` })));
      const history = await EtcdHistory.watch(t, etcd.endpoint, `${keys.prefix}/`);
      const callers = await Promise.all(replicas.map((replica) => callerOf(t, replica)));
      const inTurn = async (act: (caller: Caller, call: CallTags) => Promise<unknown>, turn: number) => {
        await Promise.all(calls.map((call, i) => act(callers[(i + turn) % 2] as Caller, call)));
      };
      const states = () =>
        history.versions.map(
          ({ key, kv }) => kv && valid(bindingCodec.decode(key.replace(/^calls\//, ''), kv.value))?.state,
        );
      /** The gateways write after they have replied. */
      const written = (state: string) =>
        eventually(() => states().filter((each) => each === state).length >= calls.length, state);

      await inTurn((caller, call) => caller.begin(call), 0);
      await inTurn((caller, call) => caller.answer(call), 1);
      await written('answered');
      for (const turn of [0, 1]) {
        await inTurn((caller, call) => caller.use(call), turn);
      }
      const before = await operationsOf(replicas);
      t.true(before.every((operations) => operations > calls.length));
      for (const turn of [0, 1, 0, 1]) {
        await inTurn((caller, call) => caller.use(call), turn);
      }
      t.deepEqual(await operationsOf(replicas), before, 'each replica knows each call by now');
      await inTurn((caller, call) => caller.end(call), 0);
      await written('released');
      await history.catchUp();
      t.deepEqual(
        states(),
        ['setup', 'answered', 'released'].flatMap((state) => calls.map(() => state)),
      );
      t.deepEqual(new Set(history.versions.map(({ key }) => history.of(key).length)), new Set([3]));
    },
  );
}

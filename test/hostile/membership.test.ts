import { WatchRelaysRequest } from '../../proto/generated/holdfast/v1/relay.js';
import { endOfPrefix } from '../../services/etcd/range.js';
import { contenderCodec } from '../../services/registry/codecs/contender.js';
import { Keyspace } from '../../services/registry/keyspace.js';
import { connect, startRealEtcd } from '../support/etcd.js';
import { RawStream } from '../support/raw-grpc.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { logOf, startRelayNode, startReplica } from '../support/stack.js';
import { goodClient } from './good-client.js';
import { wait, withstand } from './target.js';

testWith.serial(
  ['etcd'],
  'thousands of relays that come and go under ever new names, before subscribers that do not read',
  async (t) => {
    const etcd = await startRealEtcd(t);
    await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
    const { process, client, grpc } = await startReplica(t, etcd.endpoint);
    const registry = connect(t, etcd.endpoint);
    const keys = new Keyspace('/holdfast/v1');
    const attack = async () => {
      for (let i = 0; i < 16; i++) {
        const stream = RawStream.open(t, grpc, '/holdfast.v1.RelayService/WatchRelays');
        stream.send(WatchRelaysRequest.encode(WatchRelaysRequest.fromPartial({})).finish());
        stream.end();
      }
      // Two events each. A replica keeps 10,000, tells of 1,000 that are gone, and a subscriber may be 1,024 behind.
      let next = 0;
      const worker = async () => {
        for (let i = next++; i < 5500; i = next++) {
          const relay = aRelay({ id: `gone-${i}`, controlUrl: `udp:127.0.0.1:${1 + i}`, weight: 0 });
          await putRelay(registry, keys, relay);
          await deleteRelay(registry, keys, relay);
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      await eventually(async () => (await client.listRelays('')).relays.length === 1, 'one relay');
    };
    await withstand(t, process, attack, { goodClient: goodClient(grpc), end: () => {} });
  },
);

testWith.serial(
  ['etcd'],
  'thousands of contenders for one registration, and values that none would write',
  async (t) => {
    const etcd = await startRealEtcd(t);
    const node = await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
    const { client } = await startReplica(t, etcd.endpoint);
    const registry = connect(t, etcd.endpoint);
    const keys = new Keyspace('/holdfast/v1');
    const contender = contenderCodec.encode({
      controlUrl: 'udp:127.0.0.1:1',
      holder: { set: 'default', id: 'r1' },
    });
    // Those that come first by name are read first.
    const huge = Buffer.alloc(1_000_000, 'x');
    const attack = async () => {
      const { controlUrl } = (await client.listRelays('')).relays[0] ?? {};
      for (let i = 0; i < 12; i++) {
        await registry.kv.put({ key: keys.contender('a', `huge-${i}`), value: huge });
        const address = Buffer.from(`${keys.addressOf(`${controlUrl}`)}a/huge-${i}`);
        await registry.kv.put({ key: address, value: huge });
      }
      for (let i = 0; i < 2000; i++) {
        await registry.kv.put({ key: keys.contender('default', `c${i}`), value: contender });
      }
      // Several load reports, and longer than a registration lives without one.
      await wait(6000);
      t.is((await client.listRelays('')).relays.length, 1);
    };
    let calls = 0;
    const goodClient = async () => void (await client.select({ callId: `good-${calls++}` }));
    const end = async () => {
      const prefix = { key: Buffer.from(keys.contenders), range_end: endOfPrefix(keys.contenders) };
      await registry.kv.deleteRange(prefix);
    };
    await withstand(t, node.process, attack, { goodClient, end });
    t.is(logOf(node.process).filter(({ msg }) => msg === 'registered').length, 1, 'it kept its registration');
  },
);

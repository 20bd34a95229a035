import { WatchRelaysRequest } from '../../proto/generated/holdfast/v1/relay.js';
import { Keyspace } from '../../services/registry/keyspace.js';
import { connect, startRealEtcd } from '../support/etcd.js';
import { RawStream } from '../support/raw-grpc.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { startRelayNode, startReplica } from '../support/stack.js';
import { goodClient } from './good-client.js';
import { withstand } from './target.js';

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

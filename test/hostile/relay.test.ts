import { NgClient } from '../../services/control/ng/client.js';
import type { NgDictionary } from '../../services/control/ng/message.js';
import { parseAddress } from '../../services/runtime/address.js';
import { startRealEtcd } from '../support/etcd.js';
import { audioSdp } from '../support/ng.js';
import { testWith } from '../support/requirement.js';
import { logged, startRelayNode } from '../support/stack.js';
import { withstand } from './target.js';

/** What is taken if no capacity is set. */
const mostCalls = 500;

testWith.serial(
  ['etcd'],
  'the built-in relay, asked for more calls, media, branches and options than it has',
  async (t) => {
    const etcd = await startRealEtcd(t);
    const { process } = await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
    const { controlUrl } = await logged(process, 'registered');
    const control = parseAddress(String(controlUrl).slice('udp:'.length));
    const client = new NgClient({ host: '127.0.0.1', port: control?.port ?? 0, timeoutMs: 5000 });
    await client.start();
    t.teardown(() => client.stop());
    const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
    const more = Array.from({ length: 200 }, (_, i) => `m=video ${5000 + 2 * i} RTP/AVP 96`);
    const wide = audioSdp({ address: '127.0.0.1', port: 4000, more });
    const flags = Array.from({ length: 600 }, (_, i) => `flag-${i}`);
    const results = { calls: 0, wide: 0, branches: 0, flags: 0 };
    const ask = async (what: keyof typeof results, request: NgDictionary) => {
      const reply = await client.request({ command: 'offer', 'from-tag': 'a', sdp, ...request });
      results[what] += String(reply.result) === 'ok' ? 1 : 0;
    };
    const attack = async () => {
      let next = 0;
      const worker = async () => {
        for (let i = next++; i < 1500; i = next++) {
          await ask('wide', { 'call-id': `wide-${i}`, sdp: wide });
          await ask('flags', { 'call-id': `flags-${i}`, flags });
          await ask('calls', { 'call-id': `call-${i}` });
          await ask('branches', { 'call-id': 'call-0', 'from-tag': `tag-${i}`, 'via-branch': `branch-${i}` });
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
    };
    const goodClient = async () => {
      const { result } = await client.request({ command: 'ping' });
      if (String(result) !== 'pong') {
        throw new Error(String(result));
      }
    };
    await withstand(t, process, attack, { goodClient, end: () => {} });
    t.deepEqual({ ...results, branches: 0 }, { calls: mostCalls, wide: 0, flags: 0, branches: 0 });
    t.true(results.branches <= 16, `${results.branches} branches of one call`);
  },
);

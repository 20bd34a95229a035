import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { scratchDirectory } from '../package/scratch.js';
import { startEmbeddedEtcd } from '../support/etcd.js';
import { exampleFiles } from '../support/kamailio.js';
import { audioSdp, newCall, ProxyClient } from '../support/ng.js';
import { freeUdpBlock, freeUdpPort } from '../support/ports.js';
import { startProcess } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { logged, startHoldfast, startReplica } from '../support/stack.js';

/**
 * The example that no other test runs: kamailio.cfg is that of the calls over SIP, kemi that of kemi.test.ts, and compose.yaml
 * that of test/cluster/compose.test.ts.
 */

testWith(
  ['rtpengine'],
  'rtpengine.conf: a relay that carries calls and whose log has no line for a ping',
  async (t) => {
    const directory = await scratchDirectory(t);
    const [port, media] = [await freeUdpPort(), await freeUdpBlock(60)];
    const example = await readFile(join(exampleFiles, 'rtpengine.conf'), 'utf8');
    const file = join(directory, 'rtpengine.conf');
    await writeFile(
      file,
      example
        .replaceAll('192.0.2.11', '127.0.0.1')
        .replace('127.0.0.1:2223\n', `127.0.0.1:${port}\n`)
        .replace('port-min = 30000', `port-min = ${media}`)
        .replace('port-max = 39999', `port-max = ${media + 59}`),
    );
    const rtpengine = await startProcess(t, 'rtpengine', [
      ...['--config-file', file, '--foreground', '--log-stderr', `--pidfile=${join(directory, 'pid')}`],
    ]);
    const { endpoint } = await startEmbeddedEtcd(t);
    const { client } = await startReplica(t, endpoint);
    const node = await startHoldfast(t, ['relay-node'], {
      HOLDFAST_ETCD: endpoint,
      HOLDFAST_RELAY_ID: 'media-1',
      HOLDFAST_RELAY_KIND: 'rtpengine',
      HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
    });
    await logged(node, 'registered');
    const proxy = new ProxyClient('127.0.0.1', port);
    await proxy.start();
    t.teardown(() => proxy.stop());
    const call = newCall();
    t.is((await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 20_000 })))['result'], 'ok');
    await eventually(
      async () => (await client.listRelays()).relays[0]?.load?.calls === 1,
      'the call in a report',
    );
    // Eight pings and two statistics, at the least: time is what this is about.
    await delay(2000);
    t.deepEqual(
      rtpengine.output.split('\n').filter((line) => /\b(ping|statistics|list)\b/.test(line)),
      [],
    );
  },
);

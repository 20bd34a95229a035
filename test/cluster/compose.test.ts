import { join } from 'node:path';
import { exampleFiles } from '../support/kamailio.js';
import { RemoteProxy } from '../support/network-host.js';
import { audioSdp, newCall } from '../support/ng.js';
import { testWith } from '../support/requirement.js';
import { ContainerHost, containerPrograms } from './containers.js';

const file = join(exampleFiles, 'compose.yaml');

testWith(
  containerPrograms,
  'compose.yaml as it is: a call is set up through one gateway, answered through the other, and all of it ends when told',
  async (t) => {
    t.timeout(300_000);
    const host = await ContainerHost.start(t);
    await host.compose(file, 'up', '--detach');
    for (const replica of ['selection-1', 'selection-2']) {
      const log = await host.run('podman', 'logs', '--follow', `holdfast_${replica}_1`);
      await log.waitForLine(/"relay":"media-1".*joined/);
    }
    const [one, spare] = [2223, 2224].map((port) => new RemoteProxy(host.network, '127.0.0.1', port));
    const call = newCall();
    const media = (port: number) => audioSdp({ address: '127.0.0.1', port });
    t.is((await one?.offer(call, media(20_000)))?.['result'], 'ok');
    t.is((await spare?.answer(call, media(20_002)))?.['result'], 'ok');
    const lookup = ['exec', 'holdfast_selection-2_1', 'holdfast', 'lookup', call.callId];
    t.regex(await host.podman(...lookup, '--server', '127.0.0.1:7401'), /^relay +media-1$/m);
    t.is((await one?.delete(call))?.['result'], 'ok');

    await host.compose(file, 'stop');
    const ended = await host.podman('ps', '--all', '--format', '{{.Names}} {{.Exited}} {{.ExitCode}}');
    t.deepEqual(ended.trim().split('\n').sort(), [
      'holdfast_etcd_1 true 0',
      'holdfast_relay-1_1 true 0',
      'holdfast_selection-1_1 true 0',
      'holdfast_selection-2_1 true 0',
    ]);
  },
);

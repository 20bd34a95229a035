import test from 'ava';
import { OwnScope } from '../../support/own-scope.js';
import { MediaLoad } from '../stage/media-load.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';

/** Calls from outside the cluster: relays on the nodes' own network, and the gateway at a port of the nodes. */

const scope = new OwnScope();
let release: Release;

test.serial.before(async () => {
  release = await Release.prepare(scope, 'outside', { admits: 'privileged' });
  await release.install([
    'relay.hostNetwork=true',
    'relay.workload=DaemonSet',
    'selection.ng.enabled=true',
    'selection.ng.service.type=NodePort',
  ]);
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

test.serial('media flows both ways, also while all relays are replaced', async (t) => {
  const [pod] = await release.pods('selection');
  const jsonpath = '-o=jsonpath={.spec.ports[0].nodePort}';
  const port = Number(await release.kubectl('get', 'service', 'holdfast-ng', jsonpath));
  const load = await MediaLoad.start(t, pod?.status.hostIP ?? '', { port });
  await release.upgrade(['relay.podAnnotations.revision=one']);
  const report = await load.finish();
  t.log(`${report}`);
  t.true(report.calls > 0);
  t.deepEqual([report.failed, report.moved, report.silent, report.lost], [0, 0, 0, 0]);
});

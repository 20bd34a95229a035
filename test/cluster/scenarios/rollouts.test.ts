import test, { type ExecutionContext } from 'ava';
import { OwnScope } from '../../support/own-scope.js';
import { MediaLoad } from '../stage/media-load.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';
import { SelectLoad } from '../stage/select-load.js';

/** Upgrades of one release under a load of calls: none fails, and none moves. */

const scope = new OwnScope();
/** Members that cannot find each other take 13 s and more; the next leader is found in 2 s, or later on a busy machine. */
const electionMs = 10_000;
let release: Release;

test.serial.before(async () => {
  release = await Release.prepare(scope, 'rollouts');
  await release.install(['selection.ng.enabled=true']);
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

/** Has SIP proxies select while something happens, from before it begins until after it has ended. */
async function undisturbed(t: ExecutionContext, what: () => Promise<void>): Promise<void> {
  const load = await SelectLoad.start(t, release.target);
  await what();
  const report = await load.finish();
  t.log(`${report}`);
  t.is(report.failed, 0);
  t.is(report.moved, 0);
  t.true(report.withoutEtcdMs < electionMs, 'etcd has its quorum, and at most looks for a leader');
}

/** The same with calls that carry media, of a proxy outside the cluster. */
async function undisturbedMedia(t: ExecutionContext, what: () => Promise<void>): Promise<void> {
  const load = await MediaLoad.start(t, release.gateway);
  await what();
  const report = await load.finish();
  t.log(`${report}`);
  t.true(report.calls > 0);
  t.is(report.failed, 0);
  t.is(report.moved, 0);
  t.is(report.silent, 0);
  t.is(report.lost, 0);
}

test.serial('all replicas of selection are replaced', (t) =>
  undisturbed(t, () => release.upgrade(['selection.podAnnotations.revision=one'])),
);

test.serial('replicas of selection come and go', (t) =>
  undisturbed(t, async () => {
    await release.upgrade(['selection.replicas=6']);
    await release.upgrade(['selection.replicas=2']);
  }),
);

test.serial('all relays are replaced, one after the other, and each serves its calls first', (t) =>
  undisturbedMedia(t, () => release.upgrade(['relay.podAnnotations.revision=one'])),
);

test.serial('relays come and go', (t) =>
  undisturbedMedia(t, async () => {
    await release.upgrade(['relay.replicas=4']);
    await release.upgrade(['relay.replicas=2']);
    await release.kubectl(
      'wait',
      '--for=delete',
      'pod/holdfast-relay-2',
      'pod/holdfast-relay-3',
      '--timeout=5m',
    );
  }),
);

test.serial('all members of etcd are replaced', (t) =>
  undisturbed(t, () => release.upgrade(['etcd.bundled.podAnnotations.revision=one'])),
);

test.serial('a member of etcd is lost', (t) => undisturbed(t, () => release.lose('holdfast-etcd-1')));

test.serial('an upgrade is rolled back', (t) =>
  undisturbedMedia(t, async () => {
    await release.upgrade(['logLevel=debug']);
    await release.rollback();
  }),
);

import test from 'ava';
import { Authority } from '../../support/certificates.js';
import { OwnScope } from '../../support/own-scope.js';
import { until } from '../machine/until.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';
import { HandMadeSecrets, tlsValues } from '../stage/secrets.js';

/** What is wrong with an installation is told where a person looks first, and it recovers when that is mended. */

const scope = new OwnScope();
const toldMs = 120_000;
test.after.always(() => scope.close());

const events = (release: Release) => release.kubectl('get', 'events', '-o', 'jsonpath={.items[*].message}');

test.serial('a StorageClass that is not there', async (t) => {
  const release = await Release.prepare(scope, 'storage');
  t.teardown(() => release.uninstall());
  const notes = await release.begin(['etcd.bundled.persistence.storageClass=none-such']);
  t.regex(notes, /has no StorageClass "none-such"/);
  await until(async () => /"none-such" not found/.test(await events(release)), 'event', toldMs);
});

test.serial('Secrets that are not there, then one of another authority', async (t) => {
  const namespace = 'mistakes';
  const release = await Release.prepare(scope, namespace);
  t.teardown(() => release.uninstall());
  const notes = await release.begin(tlsValues);
  t.regex(notes, /kubectl -n mistakes get secret grpc tester etcd-client etcd-server/);
  await until(async () => /secret "etcd-client" not found/.test(await events(release)), 'event', toldMs);

  const secrets = await HandMadeSecrets.create(scope, namespace);
  await secrets.put('etcd-client', ['holdfast.example.org'], await Authority.create(scope));
  const logs = () => release.kubectl('logs', 'deployment/holdfast-selection', '--tail=50').catch(() => '');
  await until(
    async () => /certificate/i.test(await logs()),
    'word of the certificate in the log',
    4 * toldMs,
  );
  t.log((await logs()).split('\n').find((line) => /certificate/i.test(line)));

  await secrets.renew();
  await release.rolledOut();
  t.regex(await release.test(), /Phase: +Succeeded/);
});

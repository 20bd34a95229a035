import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { OwnScope } from '../../support/own-scope.js';
import { until } from '../machine/until.js';
import '../stage/end.js';
import { Release } from '../stage/release.js';
import { HandMadeSecrets, tlsValues } from '../stage/secrets.js';
import { SelectLoad } from '../stage/select-load.js';

/** TLS everywhere, with certificates in Secrets that somebody fills by hand. */

const scope = new OwnScope();
/** Members that cannot find each other take 13 s and more; the next leader is found in 2 s, or later on a busy machine. */
const electionMs = 10_000;
/** The kubelet looks after its Secrets once a minute. */
const renewedMs = 4 * 60_000;
let release: Release;
let secrets: HandMadeSecrets;

test.serial.before(async () => {
  release = await Release.prepare(scope, 'tls');
  secrets = await HandMadeSecrets.create(scope, 'tls');
  await release.install(tlsValues);
});
test.after.always(async () => {
  await release.uninstall();
  await scope.close();
});

function proxyCredentials() {
  const { 'ca.crt': ca, 'tls.key': key, 'tls.crt': cert } = secrets.issued('proxy');
  return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert));
}

async function undisturbed(t: ExecutionContext, what: () => Promise<void>): Promise<void> {
  const load = await SelectLoad.start(t, release.target, proxyCredentials);
  await what();
  const report = await load.finish();
  t.log(`${report}`);
  t.is(report.failed, 0);
  t.is(report.moved, 0);
  t.true(report.withoutEtcdMs < electionMs, 'etcd has its quorum, and at most looks for a leader');
}

test.serial('helm test has a certificate too', async (t) => {
  t.regex(await release.test(), /Phase: +Succeeded/);
});

test.serial('all members of etcd are replaced', (t) =>
  undisturbed(t, () => release.upgrade(['etcd.bundled.podAnnotations.revision=one'])),
);

test.serial('a member of etcd is lost', (t) => undisturbed(t, () => release.lose('holdfast-etcd-1')));

test.serial('all certificates are renewed', (t) =>
  undisturbed(t, async () => {
    await secrets.renew();
    const { serialNumber } = new X509Certificate(secrets.issued('grpc')['tls.crt']);
    const pods = await release.pods('selection');
    const served = () => Promise.all(pods.map(({ status }) => servedBy(status.podIP ?? '')));
    const isNew = async () => (await served()).every((each) => each === serialNumber);
    await until(isNew, 'new certificate at all replicas', renewedMs);
  }),
);

/** @returns the serial number of the certificate with which a replica answers */
async function servedBy(host: string): Promise<string> {
  const { 'tls.key': key, 'tls.crt': cert } = secrets.issued('proxy');
  const socket = connect({ host, port: 7400, key, cert, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.serialNumber ?? '';
  } finally {
    socket.destroy();
  }
}

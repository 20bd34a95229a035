import type { ExecutionContext } from 'ava';
import { Authority, type CertificateFiles, MountedSecret } from '../../support/certificates.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { logged, runHoldfast, startRelayNode, startReplica } from '../../support/stack.js';
import { startTlsEtcd } from '../../support/tls-etcd.js';

const programs = ['etcd', 'openssl'];

function environment({ ca, cert, key }: CertificateFiles): Record<string, string> {
  return { HOLDFAST_ETCD_CA: ca, HOLDFAST_ETCD_CERT: cert, HOLDFAST_ETCD_KEY: key };
}

/** Runs both programs, which end because etcd and they do not trust each other, and say so. */
async function endsWith(t: ExecutionContext, etcd: string, env: Record<string, string>, message: RegExp) {
  const commands = [
    ['selection', '--grpc', '127.0.0.1:0'],
    ['relay-node', '--id', 'a', '--control', '127.0.0.1:0'],
  ];
  const ends = commands.map((args) => runHoldfast(t, args, { HOLDFAST_ETCD: etcd, ...env }));
  for (const { code, output } of await Promise.all(ends)) {
    t.is(code, 78, output);
    t.regex(output, message);
  }
}

testWith(programs, 'etcd over mutual TLS: a replica and a relay node work', async (t) => {
  const authority = await Authority.create(t);
  const { endpoint } = await startTlsEtcd(t, await authority.local());
  const env = environment(await authority.issue({ names: ['holdfast'] }));
  const replica = await startReplica(t, endpoint, env);
  await startRelayNode(t, { id: 'r1', etcd: endpoint, env });
  await eventually(async () => (await replica.client.listRelays('')).relays.length === 1, 'the relay');
  t.is((await replica.client.select({ callId: 'a' })).binding?.relay?.id, 'r1');
});

testWith(
  programs,
  'etcd over TLS: what is wrong with a certificate is said, with what to change',
  async (t) => {
    const authority = await Authority.create(t);
    const strangers = await Authority.create(t);
    const { endpoint } = await startTlsEtcd(t, await authority.local());
    const own = await authority.issue({ names: ['holdfast'] });
    const alien = await strangers.issue({ names: ['holdfast'] });
    const expired = await authority.issue({ names: ['holdfast'], days: -1 });

    await endsWith(
      t,
      endpoint,
      environment({ ...own, ca: strangers.ca }),
      /etcd's certificate is not signed by an authority that this process trusts: set HOLDFAST_ETCD_CA/,
    );
    const refused =
      /etcd refuses the certificate of this process, or requires one: set HOLDFAST_ETCD_CERT and HOLDFAST_ETCD_KEY/;
    await endsWith(t, endpoint, { HOLDFAST_ETCD_CA: authority.ca }, refused);
    await endsWith(t, endpoint, environment({ ...alien, ca: authority.ca }), refused);
    await endsWith(t, endpoint, environment(expired), refused);

    const misnamed = await startTlsEtcd(t, await authority.issue({ names: ['etcd.example.org'] }));
    await endsWith(t, misnamed.endpoint, environment(own), /etcd's certificate is not valid for the host/);
    const old = await startTlsEtcd(t, await authority.local({ days: -1 }));
    await endsWith(t, old.endpoint, environment(own), /etcd's certificate has expired: renew it/);
  },
);

testWith(programs, 'files that cannot be used stop the start, named with their setting', async (t) => {
  const authority = await Authority.create(t);
  const [one, other] = [await authority.local(), await authority.local()];
  const etcd = 'https://127.0.0.1:1';
  await endsWith(
    t,
    etcd,
    environment({ ...one, key: other.key }),
    /HOLDFAST_ETCD_KEY=".*": the file is not the key of the certificate in .* \(HOLDFAST_ETCD_CERT\)/,
  );
  await endsWith(
    t,
    etcd,
    environment({ ...one, cert: '/nowhere.crt' }),
    /HOLDFAST_ETCD_CERT="\/nowhere\.crt": the file cannot be read \(ENOENT\)/,
  );
  await endsWith(
    t,
    etcd,
    environment({ ...one, ca: one.key }),
    /HOLDFAST_ETCD_CA=".*": the file holds no certificate/,
  );
});

testWith(programs, 'new certificates are shown to etcd when it is connected to anew', async (t) => {
  const authority = await Authority.create(t);
  const successor = await Authority.create(t);
  const server = await MountedSecret.create(t, await authority.local());
  const client = await MountedSecret.create(t, await authority.issue({ names: ['holdfast'] }));
  const etcd = await startTlsEtcd(t, server.files);
  const replica = await startReplica(t, etcd.endpoint, environment(client.files));

  await client.put(await successor.issue({ names: ['holdfast'] }));
  await logged(replica.process, 'certificates have changed; new connections use them');
  await server.put(await successor.local());
  await etcd.restart();
  await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint, env: environment(client.files) });
  await eventually(async () => (await replica.client.listRelays('')).relays.length === 1, 'the relay');
  t.is((await replica.client.select({ callId: 'a' })).binding?.relay?.id, 'r1');
});

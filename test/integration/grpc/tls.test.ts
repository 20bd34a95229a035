import { status } from '@grpc/grpc-js';
import type { ExecutionContext } from 'ava';
import { Authority } from '../../support/certificates.js';
import { Scrape } from '../../support/prometheus.js';
import { eventually } from '../../support/registry.js';
import { failure, lookup, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { runHoldfast } from '../../support/stack.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { clients, lineOf, openSelectStream, secured, shownBy, tlsScene } from './trust-scene.js';

/** Each refusal is looked at from both ends: what the replica logs, and what the command says. */
const failed = 'TLS handshake failed';
const left =
  'it disconnected during the handshake: perhaps it does not accept the certificate of this replica';

testWith(['openssl'], 'TLS: a client that knows the authority is served', async (t) => {
  const { authority, replica } = await tlsScene(t);
  const { selection } = clients(t, replica.grpc, await secured(authority.ca));
  t.is((await select(selection, { callId: 'a' })).binding?.relay?.id, 'r1');
  const asked = await runHoldfast(t, ['lookup', 'a'], {
    HOLDFAST_SERVER: replica.grpc,
    HOLDFAST_CA: authority.ca,
  });
  t.is(asked.code, 0, asked.output);
  t.is(asked.output, asked.stdout, 'nothing on standard error');
  t.deepEqual(
    replica.lines.filter(({ level }) => Number(level) >= 40),
    [],
  );
});

testWith(
  ['openssl'],
  'mutual TLS: a client that shows a certificate of the authority is served',
  async (t) => {
    const { authority, replica } = await tlsScene(t, { mutual: true });
    const proxy = await authority.issue({ names: ['proxy.example.org'] });
    const { selection } = clients(t, replica.grpc, await secured(authority.ca, proxy));
    t.is((await select(selection, { callId: 'a' })).binding?.relay?.id, 'r1');
    const env = {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
      HOLDFAST_CERT: proxy.cert,
      HOLDFAST_KEY: proxy.key,
    };
    const asked = await runHoldfast(t, ['lookup', 'a'], env);
    t.is(asked.code, 0, asked.output);
  },
);

testWith(
  ['openssl'],
  'mutual TLS: a client without a certificate is refused, and both ends say so',
  async (t) => {
    const { authority, replica } = await tlsScene(t, { mutual: true });
    const { selection } = clients(t, replica.grpc, await secured(authority.ca));
    t.is((await failure(select(selection, { callId: 'a' }))).code, status.UNAVAILABLE);
    t.is(
      (await lineOf(replica, failed))['reason'],
      'it presents no certificate, and this replica requires one',
    );
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
    });
    t.is(asked.code, 1, asked.output);
    t.is(
      asked.output,
      'holdfast: the replica requires a certificate: set HOLDFAST_CERT and HOLDFAST_KEY (--cert, --key)\n',
    );
  },
);

testWith(
  ['openssl'],
  'mutual TLS: a certificate of a stranger is refused, and both ends say so',
  async (t) => {
    const { authority, replica } = await tlsScene(t, { mutual: true });
    const strangers = await Authority.create(t);
    const stranger = await strangers.issue({ names: ['proxy.example.org'] });
    const { selection } = clients(t, replica.grpc, await secured(authority.ca, stranger));
    t.is((await failure(select(selection, { callId: 'a' }))).code, status.UNAVAILABLE);
    const line = await lineOf(replica, failed);
    t.is(line['reason'], 'its certificate is not signed by an authority in HOLDFAST_GRPC_TLS_CLIENT_CA');
    t.is(line['certificate'], 'CN=proxy.example.org');
    t.regex(String(line['peer']), /^127\.0\.0\.1:\d+$/);
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
      HOLDFAST_CERT: stranger.cert,
      HOLDFAST_KEY: stranger.key,
    });
    t.is(asked.code, 1, asked.output);
    t.regex(
      asked.output,
      /the replica refuses the certificate in HOLDFAST_CERT \(--cert\) of CN=proxy\.example\.org/,
    );
  },
);

testWith(
  ['openssl'],
  "mutual TLS: a client's certificate that has expired is refused, and both ends say so",
  async (t) => {
    const { authority, replica } = await tlsScene(t, { mutual: true });
    const expired = await authority.issue({ names: ['proxy.example.org'], days: -1 });
    const { selection } = clients(t, replica.grpc, await secured(authority.ca, expired));
    t.is((await failure(select(selection, { callId: 'a' }))).code, status.UNAVAILABLE);
    t.is((await lineOf(replica, failed))['reason'], 'its certificate has expired');
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
      HOLDFAST_CERT: expired.cert,
      HOLDFAST_KEY: expired.key,
    });
    t.is(asked.code, 1, asked.output);
    t.regex(
      asked.output,
      /the replica refuses the certificate in HOLDFAST_CERT \(--cert\): it expired on 20/,
    );
  },
);

testWith(
  ['openssl'],
  "a replica's certificate of another authority is refused, and both ends say so",
  async (t) => {
    const { replica } = await tlsScene(t);
    const strangers = await Authority.create(t);
    const { selection } = clients(t, replica.grpc, await secured(strangers.ca));
    t.is((await failure(select(selection, { callId: 'a' }))).code, status.UNAVAILABLE);
    t.is((await lineOf(replica, failed))['reason'], left);
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: strangers.ca,
    });
    t.is(asked.code, 1, asked.output);
    t.regex(asked.output, /the replica's certificate is not signed by the authority in HOLDFAST_CA/);
  },
);

testWith(
  ['openssl'],
  "a replica's certificate that has expired is refused, and both ends say so",
  async (t) => {
    const { authority, secret, replica, port } = await tlsScene(t);
    await secret.put(await authority.local({ days: -1 }));
    await lineOf(replica, 'the certificate has expired');
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
    });
    t.is(asked.code, 1, asked.output);
    t.is(asked.output, "holdfast: the replica's certificate has expired\n");
    t.is((await lineOf(replica, failed))['reason'], left);
    t.is((await t.throwsAsync<NodeJS.ErrnoException>(shownBy(port, authority.ca))).code, 'CERT_HAS_EXPIRED');
    const { summary } = (await (await fetch(`http://${replica.http}/api/v1/status`)).json()) as Record<
      string,
      string
    >;
    t.regex(summary ?? '', /^the certificate of this replica for grpc has expired/);
    const told = await firstOf(
      t,
      `http://${replica.http}/api/v1/events?since=3600`,
      /"type":"certificate-expires"/,
    );
    t.regex(told, /"type":"certificate-changed"/);
  },
);

testWith(
  ['openssl'],
  "a replica's certificate of another name is refused, and both ends say so",
  async (t) => {
    const { authority, secret, replica } = await tlsScene(t);
    await secret.put(await authority.issue({ names: ['another.example.org'] }));
    await lineOf(replica, 'certificates have changed; new');
    const asked = await runHoldfast(t, ['select', 'a'], {
      HOLDFAST_SERVER: replica.grpc,
      HOLDFAST_CA: authority.ca,
    });
    t.is(asked.code, 1, asked.output);
    t.regex(
      asked.output,
      /the replica's certificate does not name this host \(.*127\.0\.0\.1 is not in the cert/,
    );
    t.is((await lineOf(replica, failed))['reason'], left);
  },
);

testWith(['openssl'], 'a client without TLS at a replica with TLS: both ends say so', async (t) => {
  const { replica } = await tlsScene(t);
  const asked = await runHoldfast(t, ['select', 'a'], { HOLDFAST_SERVER: replica.grpc });
  t.is(asked.code, 1, asked.output);
  t.regex(asked.output, /the replica speaks TLS: set HOLDFAST_CA \(--ca\)/);
  t.is((await lineOf(replica, failed))['reason'], 'it does not speak TLS');
});

testWith(
  ['openssl'],
  'a new certificate is used for new connections while an open stream goes on',
  async (t) => {
    const { authority, secret, replica, port } = await tlsScene(t);
    const before = await shownBy(port, authority.ca);
    const { selection } = clients(t, replica.grpc, await secured(authority.ca));
    const stream = openSelectStream(t, selection);
    t.is(await stream.ask('before'), 'response');
    const expiry = async () =>
      (await Scrape.of(replica.http)).value('holdfast_certificate_expiry_timestamp_seconds', {
        purpose: 'grpc',
      });
    t.is(await expiry(), Date.parse(before.valid_to) / 1000);

    // Another authority too: as when all certificates are replaced.
    const successor = await Authority.create(t);
    await secret.put(await successor.local({ days: 60 }));
    await eventually(
      async () => (await shownBy(port, successor.ca).catch(() => undefined)) !== undefined,
      'reload',
    );
    const after = await shownBy(port, successor.ca);
    t.not(after.serialNumber, before.serialNumber);
    t.is(await expiry(), Date.parse(after.valid_to) / 1000);
    t.is(await stream.ask('after'), 'response');
    t.is(stream.error, undefined);
    const fresh = clients(t, replica.grpc, await secured(successor.ca));
    t.is((await lookup(fresh.selection, 'before')).binding?.relay?.id, 'r1');
  },
);

testWith(['openssl'], 'new certificates that do not fit together are not taken, until they do', async (t) => {
  const { authority, secret, replica, port } = await tlsScene(t);
  const before = await shownBy(port, authority.ca);
  const [one, other] = [await authority.local(), await authority.local()];
  await secret.put({ ...one, key: other.key });
  const line = await lineOf(replica, 'new certificates are invalid');
  t.is(line['level'], 50);
  t.regex(
    String(line['reason']),
    /HOLDFAST_GRPC_TLS_KEY=".*": the file is not the key of the certificate in/,
  );
  t.is((await shownBy(port, authority.ca)).serialNumber, before.serialNumber);
  await secret.put(one);
  await eventually(
    async () => (await shownBy(port, authority.ca)).serialNumber !== before.serialNumber,
    'the certificate that fits',
  );
});

testWith(
  ['openssl'],
  'a client reconnects when its connection is too old, and loses no request',
  async (t) => {
    const { authority, replica } = await tlsScene(t, {
      env: { HOLDFAST_GRPC_MAX_CONNECTION_AGE_SECONDS: '1' },
    });
    const way = await TcpProxy.start(t, replica.grpc);
    const { selection } = clients(t, way.endpoint, await secured(authority.ca));
    const stream = openSelectStream(t, selection);
    for (let i = 0; way.accepted < 4; i++) {
      t.is((await select(selection, { callId: `call-${i}` })).binding?.relay?.id, 'r1');
      t.is(await stream.ask(`streamed-${i}`), 'response');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    t.is(stream.error, undefined, 'an open stream goes on for a grace');
  },
);

/** Reads an endless answer until it matches. */
async function firstOf(t: ExecutionContext, url: string, pattern: RegExp): Promise<string> {
  const reading = new AbortController();
  t.teardown(() => reading.abort());
  const { body } = await fetch(url, { signal: reading.signal });
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (pattern.test(text)) {
      break;
    }
  }
  return text;
}

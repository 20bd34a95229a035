import { once } from 'node:events';
import { request } from 'node:https';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { Authority, type CertificateFiles, credentialFiles } from '../../support/certificates.js';
import { eventually } from '../../support/registry.js';
import { putLoad, replicaScene } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';

const path = '/apis/external.metrics.k8s.io/v1beta1/namespaces/sip/holdfast_relays_in_use';
const refused = 'TLS handshake failed';

/** A replica with relays, and what the API server of a cluster has: a certificate of an authority of its own. */
async function scene(t: ExecutionContext) {
  const [server, frontProxy] = [await Authority.create(t), await Authority.create(t)];
  const own = await server.local();
  const replica = await replicaScene(
    t,
    [
      { id: 'r1', capacity: 10 },
      { id: 'r2', capacity: 20 },
    ],
    {
      HOLDFAST_EXTERNAL_METRICS_LISTEN: '127.0.0.1:0',
      HOLDFAST_EXTERNAL_METRICS_TLS_CERT: own.cert,
      HOLDFAST_EXTERNAL_METRICS_TLS_KEY: own.key,
      HOLDFAST_EXTERNAL_METRICS_TLS_CLIENT_CA: frontProxy.ca,
      HOLDFAST_EXTERNAL_METRICS_CLIENT_NAMES: 'front-proxy-client',
      HOLDFAST_EXTERNAL_METRICS_NAMESPACE: 'sip',
      HOLDFAST_EXTERNAL_METRICS_RELEASE: 'one',
    },
  );
  const port = Number(replica.replica.externalMetricsAddress?.split(':').at(-1));
  return { server, frontProxy, port, ...replica };
}

/** The answer to a client with this certificate, or the error of its connection. */
async function ask(port: number, ca: string, shown: CertificateFiles | undefined) {
  const [authority] = await credentialFiles({ ca, key: ca, cert: ca });
  const [, key, cert] = shown ? await credentialFiles({ ...shown, ca }) : [];
  return new Promise<unknown>((resolve) => {
    const options = { host: '127.0.0.1', port, path, ca: authority, key, cert, agent: false };
    request(options, (response) => resolve(json(response)))
      .on('error', (error) => resolve(error))
      .end();
  });
}

testWith(['openssl'], 'the API server is told how many relays the calls fill', async (t) => {
  const { server, frontProxy, port, client, keys } = await scene(t);
  const apiServer = await frontProxy.issue({ names: ['front-proxy-client'] });
  await putLoad(client, keys, 'r1', { calls: 7 });
  await putLoad(client, keys, 'r2', { calls: 10 });
  let answer: unknown;
  await eventually(async () => {
    answer = await ask(port, server.ca, apiServer);
    return JSON.stringify(answer).includes('1200m');
  }, 'calls of both relays');
  t.like(answer, {
    kind: 'ExternalMetricValueList',
    items: [{ metricLabels: { set: 'default', release: 'one' }, value: '1200m' }],
  });
});

testWith(['openssl'], 'nobody else is told anything, and the log says why', async (t) => {
  const { server, frontProxy, port, lines } = await scene(t);
  const strangers = [
    [undefined, /presents no certificate/],
    [
      await server.issue({ names: ['front-proxy-client'] }),
      /not signed by an authority in HOLDFAST_EXTERNAL_METRICS_TLS_CLIENT_CA/,
    ],
    [await frontProxy.issue({ names: ['someone'] }), /for another name than front-proxy-client/],
  ] as const;
  for (const [shown, reason] of strangers) {
    // It is logged once a second at most.
    await eventually(async () => {
      t.true((await ask(port, server.ca, shown)) instanceof Error);
      return lines.some((line) => line['msg'] === refused && reason.test(String(line['reason'])));
    }, `${reason}`);
  }
});

testWith(
  ['openssl'],
  'a connection on which nobody begins a handshake does not keep a replica',
  async (t) => {
    const { port, stop } = await scene(t);
    const silent = connect({ host: '127.0.0.1', port });
    await once(silent, 'connect');
    const closed = once(silent, 'close');
    await stop();
    await closed;
    t.true(silent.destroyed);
  },
);

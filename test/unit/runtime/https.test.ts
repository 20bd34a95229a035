import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { Registry } from 'prom-client';
import { HttpServer } from '../../../services/runtime/http-server.js';
import { TlsFiles } from '../../../services/runtime/tls-files.js';
import { Authority, type CertificateFiles, MountedSecret } from '../../support/certificates.js';
import { ManualClock } from '../../support/clock.js';
import { eventually } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';

/** The HTTP server over TLS, to clients of one authority. */
async function serve(t: ExecutionContext) {
  const authority = await Authority.create(t);
  const secret = await MountedSecret.create(t, await authority.local());
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const file = (path: string) => ({ variable: 'TLS', path });
  const { ca, cert, key } = secret.files;
  const files = new TlsFiles(
    { ca: file(ca), cert: file(cert), key: file(key) },
    { purpose: 'test', clock, log },
  );
  t.teardown(() => files.stop());
  await files.start();
  const server = new HttpServer({
    listen: { host: '127.0.0.1', port: 0 },
    tls: { files, clients: { caSetting: 'CLIENT_CA' } },
    metrics: new Registry(),
    notReady: () => undefined,
    clock,
    log,
  });
  await server.start();
  t.teardown(() => server.stop());
  const client = await authority.issue({ names: ['client'] });
  return { authority, secret, clock, lines, client, port: Number(server.address.split(':').at(-1)) };
}

/** What is answered on a new connection, and the serial number of the certificate that it shows. */
async function get(port: number, { ca, cert, key }: CertificateFiles) {
  const [authority, own, secret] = await Promise.all([ca, cert, key].map((path) => readFile(path)));
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority, cert: own, key: secret });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.write('GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  const heard: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => heard.push(bytes));
  await once(socket, 'close');
  return { answer: Buffer.concat(heard).toString(), serialNumber };
}

testWith(['openssl'], 'HTTP is served over TLS, with the certificate that the files have now', async (t) => {
  const { authority, secret, clock, lines, client, port } = await serve(t);
  const first = await get(port, client);
  t.regex(first.answer, /^HTTP\/1\.1 200 OK\r\n.*\r\nok\n/s);

  await secret.put(await authority.local());
  clock.advance(5000);
  await eventually(
    () => lines.some(({ msg }) => String(msg).startsWith('certificates have changed')),
    'reload',
  );
  const second = await get(port, client);
  t.regex(second.answer, /^HTTP\/1\.1 200 OK/);
  t.not(second.serialNumber, first.serialNumber);
});

testWith(['openssl'], 'a handshake has to end in the time of a request', async (t) => {
  const { clock, client, port } = await serve(t);
  const silent = connect({ host: '127.0.0.1', port });
  const closed = once(silent, 'close');
  // The server has accepted the connections that came before one that it has answered.
  await get(port, client);
  clock.advance(4999);
  t.false(silent.destroyed);
  clock.advance(1);
  await closed;
  t.true(silent.destroyed);
});

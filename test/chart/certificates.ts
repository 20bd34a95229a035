import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Scope } from '../support/process.js';

const openssl = promisify(execFile).bind(undefined, 'openssl');

/** A Secret as cert-manager and `kubectl create secret` fill it. */
export type TlsSecret = Readonly<Record<'ca.crt' | 'tls.crt' | 'tls.key', string>>;

/** A certificate authority of a test, made with openssl. */
export class Authority {
  #issued = 0;

  private constructor(private readonly directory: string) {}

  static async create(scope: Scope): Promise<Authority> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-ca-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true }));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key'];
    const subject = ['-subj', '/CN=test authority', '-days', '2', '-out', 'ca.crt'];
    await openssl(['req', '-x509', ...key, ...subject], { cwd: directory });
    return new Authority(directory);
  }

  /** A certificate for clients and servers, with DNS names and IP addresses; the first name is its common name. */
  async issue(names: readonly string[], addresses: readonly string[] = []): Promise<TlsSecret> {
    const cwd = this.directory;
    const file = `issued${++this.#issued}`;
    const alternatives = [
      ...names.map((name) => `DNS:${name}`),
      ...addresses.map((address) => `IP:${address}`),
    ];
    const extensions = [`subjectAltName=${alternatives.join(',')}`, 'extendedKeyUsage=serverAuth,clientAuth'];
    await writeFile(join(cwd, `${file}.ext`), extensions.join('\n'));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${file}.key`];
    await openssl(['req', ...key, '-subj', `/CN=${names[0]}`, '-out', `${file}.csr`], { cwd });
    const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1'];
    const paths = ['-in', `${file}.csr`, '-extfile', `${file}.ext`, '-out', `${file}.crt`];
    await openssl(['x509', '-req', ...signer, ...paths], { cwd });
    const read = (name: string) => readFile(join(cwd, name), 'utf8');
    return {
      'ca.crt': await read('ca.crt'),
      'tls.crt': await read(`${file}.crt`),
      'tls.key': await read(`${file}.key`),
    };
  }
}

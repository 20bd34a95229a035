import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Scope } from './process.js';

const openssl = promisify(execFile).bind(undefined, 'openssl');

/** Paths, as settings name them. */
export interface CertificateFiles {
  /** Certificate of the authority that signed it. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWish {
  /** Common name of the subject; the first DNS name by default. */
  readonly commonName?: string;
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
  /** Validity from now; negative for a certificate that has expired. */
  readonly days?: number;
  /** Arguments of openssl's `-newkey`; P-256 if not given. */
  readonly keyType?: readonly string[];
}

/** A certificate authority for tests. It runs openssl: register such tests with testWith(['openssl'], …). */
export class Authority {
  #issued = 0;

  private constructor(readonly directory: string) {}

  static async create(scope: Scope): Promise<Authority> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-ca-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true }));
    await openssl([...newKey('ca.key', 'Test authority'), '-x509', '-days', '2', '-out', 'ca.crt'], {
      cwd: directory,
    });
    return new Authority(directory);
  }

  get ca(): string {
    return join(this.directory, 'ca.crt');
  }

  /** A certificate for both clients and servers. */
  async issue({
    names = [],
    addresses = [],
    days = 30,
    keyType = p256,
    ...rest
  }: CertificateWish): Promise<CertificateFiles> {
    const cwd = this.directory;
    const file = `issued${++this.#issued}`;
    const { commonName = names[0] ?? 'nobody' } = rest;
    const alternatives = [...names.map((name) => `DNS:${name}`), ...addresses.map((each) => `IP:${each}`)];
    const extensions = ['extendedKeyUsage=serverAuth,clientAuth'];
    if (alternatives.length > 0) {
      extensions.push(`subjectAltName=${alternatives.join(',')}`);
    }
    await writeFile(join(cwd, `${file}.ext`), extensions.join('\n'));
    await openssl([...newKey(`${file}.key`, commonName, keyType), '-out', `${file}.csr`], { cwd });
    const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', String(days)];
    const paths = ['-in', `${file}.csr`, '-extfile', `${file}.ext`, '-out', `${file}.crt`];
    await openssl(['x509', '-req', ...signer, ...paths], { cwd });
    return { ca: this.ca, cert: join(cwd, `${file}.crt`), key: join(cwd, `${file}.key`) };
  }

  /** A certificate for a server on this machine. */
  local(constraints: CertificateWish = {}): Promise<CertificateFiles> {
    return this.issue({ names: ['localhost'], addresses: ['127.0.0.1'], ...constraints });
  }
}

const p256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

function newKey(file: string, commonName: string, keyType: readonly string[] = p256): string[] {
  return ['req', '-newkey', ...keyType, '-nodes', '-keyout', file, '-subj', `/CN=${commonName}`];
}

/** A directory that changes like a mounted Kubernetes Secret: one symbolic link is swapped, and with it all files. */
export class MountedSecret {
  #version = 0;
  readonly files: CertificateFiles;

  private constructor(private readonly directory: string) {
    const at = (name: string) => join(directory, name);
    this.files = { ca: at('ca.crt'), cert: at('tls.crt'), key: at('tls.key') };
  }

  static async create(scope: Scope, content: CertificateFiles): Promise<MountedSecret> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-secret-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true }));
    const secret = new MountedSecret(directory);
    await secret.put(content);
    for (const path of Object.values(secret.files)) {
      await symlink(join('..data', basename(path)), path);
    }
    return secret;
  }

  async put(content: CertificateFiles): Promise<void> {
    const version = `..version${++this.#version}`;
    await mkdir(join(this.directory, version));
    for (const name of ['ca', 'cert', 'key'] as const) {
      await copyFile(content[name], join(this.directory, version, basename(this.files[name])));
    }
    await symlink(version, join(this.directory, '..next'));
    await rename(join(this.directory, '..next'), join(this.directory, '..data'));
  }
}

/** The contents in the order that gRPC clients take: authority, key, certificate. */
export async function credentialFiles({
  ca,
  key,
  cert,
}: CertificateFiles): Promise<[Buffer, Buffer, Buffer]> {
  return [await readFile(ca), await readFile(key), await readFile(cert)];
}

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../domain/error.js';
import type { Setting } from './config.js';
import { ConfigError } from './config-error.js';

/** A PEM file, and the setting that names it. */
export interface TlsFile {
  readonly variable: string;
  readonly path: string;
}

export interface TlsPaths {
  readonly cert?: TlsFile | undefined;
  readonly key?: TlsFile | undefined;
  readonly ca?: TlsFile | undefined;
}

/** The contents of the files: a certificate with its key, certificates of authorities, or both. */
export interface TlsMaterial {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
  /** When the certificate expires, ms since 1970. */
  readonly validUntilMs?: number;
}

/** The file that a setting names, if it is set. */
export function tlsFile({ name }: Setting<string>, path: string | undefined): TlsFile | undefined {
  return path === undefined ? undefined : { variable: name, path };
}

/**
 * Reads the files and checks them: the key belongs to the certificate, and OpenSSL accepts them all.
 * @throws ConfigError naming the setting, the file and what is wrong with it
 */
export async function readTls({ cert, key, ca }: TlsPaths): Promise<TlsMaterial> {
  const material: TlsMaterial = {
    ...(cert && key ? await readPair(cert, key) : {}),
    ...(ca ? { ca: (await readCertificates(ca)).pem } : {}),
  };
  const file = cert ?? ca;
  if (file) {
    attempt(file, 'is not accepted by OpenSSL', () =>
      createSecureContext({ cert: material.cert, key: material.key, ca: material.ca }),
    );
  }
  return material;
}

export function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  const text = ({ cert, key, ca }: TlsMaterial) =>
    [cert, key, ca].map((each) => each?.toString('latin1')).join('\0');
  return text(a) === text(b);
}

async function readPair(certFile: TlsFile, keyFile: TlsFile): Promise<TlsMaterial> {
  const { pem: cert, first } = await readCertificates(certFile);
  const key = await readPem(keyFile);
  const privateKey = attempt(keyFile, 'holds no private key in PEM without a passphrase', () =>
    createPrivateKey(key),
  );
  if (!first.checkPrivateKey(privateKey)) {
    throw invalid(keyFile, `is not the key of the certificate in ${certFile.path} (${certFile.variable})`);
  }
  return { cert, key, validUntilMs: Date.parse(first.validTo) };
}

const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

async function readCertificates(file: TlsFile): Promise<{ pem: Buffer; first: X509Certificate }> {
  const pem = await readPem(file);
  const [first] = attempt(file, 'holds a broken certificate', () =>
    (pem.toString('latin1').match(block) ?? []).map((text) => new X509Certificate(text)),
  );
  if (!first) {
    throw invalid(file, 'holds no certificate in PEM');
  }
  return { pem, first };
}

function readPem(file: TlsFile): Promise<Buffer> {
  return readFile(file.path).catch((error) => {
    throw invalid(file, 'cannot be read', (error as NodeJS.ErrnoException).code ?? messageOf(error));
  });
}

function attempt<T>(file: TlsFile, problem: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw invalid(file, problem, messageOf(error));
  }
}

function invalid({ variable, path }: TlsFile, problem: string, reason?: string): ConfigError {
  const detail = reason === undefined ? '' : ` (${reason})`;
  return new ConfigError([`${variable}=${JSON.stringify(path)}: the file ${problem}${detail}`]);
}

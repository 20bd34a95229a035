import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { messageOf } from '../domain/error.js';
import type { Clock } from './clock.js';
import { ConfigError, type ConfigOf, commonSettings, type Setting } from './config.js';
import type { Logger } from './log.js';

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

/** What stands in the files: a certificate with its key, certificates of authorities, or both. */
export interface TlsMaterial {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
  /** When the certificate ends, by the wall clock. */
  readonly validUntilMs?: number;
}

/**
 * The files are read, not watched: a mounted Kubernetes Secret changes by a swap of symbolic links, of which a watch of
 * the file hears nothing.
 */
const lookPeriodMs = 5000;
/** Said again after so many looks that failed alike: every 5 minutes. */
const looksBetweenErrors = 60;
const warnBeforeMs = 7 * 86_400_000;
const warnPeriodMs = 86_400_000;

export interface TlsFilesDeps {
  /** What the files are for, in the log. */
  readonly purpose: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A file that a setting names, if it does. */
export function tlsFile({ name }: Setting<string>, path: string | undefined): TlsFile | undefined {
  return path === undefined ? undefined : { variable: name, path };
}

/**
 * Certificates and keys in files, read again when they change. What does not fit together is not taken: what was read
 * before stays, the log says why, and the files are looked at again.
 */
export class TlsFiles {
  readonly #paths: TlsPaths;
  readonly #deps: TlsFilesDeps;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #current: TlsMaterial = {};
  #failure = '';
  #failures = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  #cancelLook = () => {};

  constructor(paths: TlsPaths, deps: TlsFilesDeps) {
    this.#paths = paths;
    this.#deps = deps;
  }

  /** What was read last; empty before the start. */
  get current(): TlsMaterial {
    return this.#current;
  }

  /** The listener hears of each change; the returned function ends that. */
  subscribe(listener: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws ConfigError naming the file and what is wrong with it */
  async start(): Promise<void> {
    this.#current = await readTls(this.#paths);
    this.#warnOfEnd();
    this.#lookLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelLook();
  }

  #lookLater(): void {
    if (this.#stopped) {
      return;
    }
    this.#cancelLook = this.#deps.clock.after(lookPeriodMs, async () => {
      await this.#look();
      this.#lookLater();
    });
  }

  async #look(): Promise<void> {
    const { log, purpose } = this.#deps;
    try {
      const material = await readTls(this.#paths);
      this.#failures = 0;
      this.#failure = '';
      if (!isSame(material, this.#current)) {
        this.#current = material;
        this.#warnedAtMs = Number.NEGATIVE_INFINITY;
        log.info(
          { purpose, validUntil: dateOf(material) },
          'certificates have changed; new connections use them',
        );
        for (const listener of this.#listeners) {
          listener(material);
        }
      }
    } catch (error) {
      const reason = messageOf(error);
      this.#failures = reason === this.#failure ? this.#failures + 1 : 0;
      this.#failure = reason;
      if (this.#failures % looksBetweenErrors === 0) {
        log.error({ purpose, reason }, 'certificates have changed and are no good; those of before stay');
      }
    }
    this.#warnOfEnd();
  }

  #warnOfEnd(): void {
    const { clock, log, purpose } = this.#deps;
    const { validUntilMs } = this.#current;
    if (validUntilMs === undefined || validUntilMs - clock.wallMs() > warnBeforeMs) {
      return;
    }
    if (clock.monotonicMs() - this.#warnedAtMs < warnPeriodMs) {
      return;
    }
    this.#warnedAtMs = clock.monotonicMs();
    const over = validUntilMs <= clock.wallMs();
    const message = over ? 'the certificate has expired' : 'the certificate expires in less than 7 days';
    const details = { purpose, file: this.#paths.cert?.path, validUntil: dateOf(this.#current) };
    if (over) {
      log.error(details, message);
    } else {
      log.warn(details, message);
    }
  }
}

/** The files for these paths, or undefined if none is given. */
export function tlsFiles(paths: TlsPaths, deps: TlsFilesDeps): TlsFiles | undefined {
  return Object.values(paths).some((file) => file !== undefined) ? new TlsFiles(paths, deps) : undefined;
}

/** What etcd is spoken to with over TLS, if it is. */
export function etcdTls(config: EtcdTlsConfig, deps: Omit<TlsFilesDeps, 'purpose'>): TlsFiles | undefined {
  const { etcdCa, etcdCert, etcdKey } = commonSettings;
  const paths = {
    ca: tlsFile(etcdCa, config.etcdCa),
    cert: tlsFile(etcdCert, config.etcdCert),
    key: tlsFile(etcdKey, config.etcdKey),
  };
  return tlsFiles(paths, { ...deps, purpose: 'etcd' });
}

type EtcdTlsConfig = Pick<ConfigOf<typeof commonSettings>, 'etcdCa' | 'etcdCert' | 'etcdKey'>;

/** @throws ConfigError */
export async function readTls({ cert, key, ca }: TlsPaths): Promise<TlsMaterial> {
  return {
    ...(cert && key ? await readPair(cert, key) : {}),
    ...(ca ? { ca: (await readCertificates(ca)).pem } : {}),
  };
}

async function readPair(certFile: TlsFile, keyFile: TlsFile) {
  const { pem: cert, first } = await readCertificates(certFile);
  const key = await readPem(keyFile);
  const privateKey = attempt(keyFile, 'holds no private key in PEM without a passphrase', () =>
    createPrivateKey(key),
  );
  if (!first.checkPrivateKey(privateKey)) {
    throw bad(keyFile, `is not the key of the certificate in ${certFile.path} (${certFile.variable})`);
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
    throw bad(file, 'holds no certificate in PEM');
  }
  return { pem, first };
}

function readPem(file: TlsFile): Promise<Buffer> {
  return readFile(file.path).catch((error) => {
    throw bad(file, `cannot be read (${(error as NodeJS.ErrnoException).code ?? messageOf(error)})`);
  });
}

function attempt<T>(file: TlsFile, problem: string, parse: () => T): T {
  try {
    return parse();
  } catch {
    throw bad(file, problem);
  }
}

function bad({ variable, path }: TlsFile, problem: string): ConfigError {
  return new ConfigError([`${variable}=${JSON.stringify(path)}: the file ${problem}`]);
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  const text = ({ cert, key, ca }: TlsMaterial) =>
    [cert, key, ca].map((each) => each?.toString('latin1')).join('\0');
  return text(a) === text(b);
}

function dateOf({ validUntilMs }: TlsMaterial): string | undefined {
  return validUntilMs === undefined ? undefined : new Date(validUntilMs).toISOString();
}

import { messageOf } from '../domain/error.js';
import type { Events } from '../domain/events.js';
import type { Clock } from './clock.js';
import { type ConfigOf, commonSettings } from './config.js';
import type { Logger } from './log.js';
import { isSameMaterial, readTls, type TlsMaterial, type TlsPaths, tlsFile } from './tls-material.js';

/**
 * The files are read, not watched: a mounted Kubernetes Secret changes by a swap of symbolic links, which a watch of the
 * file does not notice.
 */
const readPeriodMs = 5000;
/** An unchanged failure is logged again after this many reads: every 5 minutes. */
const readsBetweenErrors = 60;
const warnBeforeMs = 7 * 86_400_000;
const warnPeriodMs = 86_400_000;

export interface TlsFilesDeps {
  /** What the files are for, in the log. */
  readonly purpose: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hears what happens to the certificate. */
  readonly events?: CertificateEvents | undefined;
}

export type CertificateEvents = Pick<
  Events,
  'certificatesChanged' | 'certificatesInvalid' | 'certificateExpires'
>;

/** Applies what `current` is from now on. Throws if it cannot be used. */
export type TlsListener = () => void;

/**
 * Certificates and keys in files, read again when they change. New ones are used by all listeners or by none: files that
 * do not fit together, or that a listener cannot use, are logged, and the previous ones stay in use everywhere. The files
 * are read again until they are right.
 */
export class TlsFiles {
  readonly #paths: TlsPaths;
  readonly #deps: TlsFilesDeps;
  readonly #listeners = new Set<TlsListener>();
  #current: TlsMaterial = {};
  #failure = '';
  #failures = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  #cancelRead = () => {};

  constructor(paths: TlsPaths, deps: TlsFilesDeps) {
    this.#paths = paths;
    this.#deps = deps;
  }

  get purpose(): string {
    return this.#deps.purpose;
  }

  /** The material in use; empty before the start. */
  get current(): TlsMaterial {
    return this.#current;
  }

  /** The listener is called after each change; the returned function unsubscribes it. */
  subscribe(listener: TlsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws ConfigError naming the file and what is wrong with it */
  async start(): Promise<void> {
    this.#current = await readTls(this.#paths);
    this.#warnOfExpiry();
    this.#readLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRead();
  }

  #readLater(): void {
    if (this.#stopped) {
      return;
    }
    this.#cancelRead = this.#deps.clock.after(readPeriodMs, () => {
      void this.#readAgain().then(() => this.#readLater());
    });
  }

  async #readAgain(): Promise<void> {
    const { log, purpose } = this.#deps;
    try {
      const material = await readTls(this.#paths);
      if (!this.#stopped && !isSameMaterial(material, this.#current)) {
        this.#replace(material);
        this.#warnedAtMs = Number.NEGATIVE_INFINITY;
        log.info(
          { purpose, validUntil: dateOf(material) },
          'certificates have changed; new connections use them',
        );
        this.#deps.events?.certificatesChanged({ purpose, validUntilMs: material.validUntilMs });
      }
      this.#failures = 0;
      this.#failure = '';
    } catch (error) {
      const reason = messageOf(error);
      this.#failures = reason === this.#failure ? this.#failures + 1 : 0;
      this.#failure = reason;
      if (this.#failures % readsBetweenErrors === 0) {
        log.error({ purpose, reason }, 'new certificates are invalid; keeping the previous ones');
        this.#deps.events?.certificatesInvalid({ purpose, reason });
      }
    }
    this.#warnOfExpiry();
  }

  /** @throws what a listener threw, once those before it have the previous material again */
  #replace(material: TlsMaterial): void {
    const previous = this.#current;
    const applied: TlsListener[] = [];
    this.#current = material;
    try {
      for (const listener of this.#listeners) {
        applied.push(listener);
        listener();
      }
    } catch (error) {
      this.#current = previous;
      for (const listener of applied) {
        this.#restore(listener);
      }
      throw error;
    }
  }

  #restore(listener: TlsListener): void {
    try {
      listener();
    } catch (error) {
      const { log, purpose } = this.#deps;
      log.error({ purpose, reason: messageOf(error) }, 'the previous certificates could not be restored');
    }
  }

  #warnOfExpiry(): void {
    const { clock, log, purpose } = this.#deps;
    const { validUntilMs } = this.#current;
    if (validUntilMs === undefined || validUntilMs - clock.wallMs() > warnBeforeMs) {
      return;
    }
    if (clock.monotonicMs() - this.#warnedAtMs < warnPeriodMs) {
      return;
    }
    this.#warnedAtMs = clock.monotonicMs();
    const details = { purpose, file: this.#paths.cert?.path, validUntil: dateOf(this.#current) };
    const hasExpired = validUntilMs <= clock.wallMs();
    this.#deps.events?.certificateExpires({ purpose, validUntilMs, hasExpired });
    if (hasExpired) {
      log.error(details, 'the certificate has expired');
    } else {
      log.warn(details, 'the certificate expires in less than 7 days');
    }
  }
}

/** The files at these paths, or undefined if none is given. */
export function tlsFiles(paths: TlsPaths, deps: TlsFilesDeps): TlsFiles | undefined {
  return Object.values(paths).some((file) => file !== undefined) ? new TlsFiles(paths, deps) : undefined;
}

/** The files for connections to etcd, or undefined if they are not encrypted with files of our own. */
export function etcdTls(config: EtcdTlsConfig, deps: Omit<TlsFilesDeps, 'purpose'>): TlsFiles | undefined {
  const { etcdCa, etcdCert, etcdKey } = commonSettings;
  const paths = {
    ca: tlsFile(etcdCa, config.etcdCa),
    cert: tlsFile(etcdCert, config.etcdCert),
    key: tlsFile(etcdKey, config.etcdKey),
  };
  return tlsFiles(paths, { ...deps, purpose: 'etcd' });
}

export type EtcdTlsConfig = Pick<ConfigOf<typeof commonSettings>, 'etcdCa' | 'etcdCert' | 'etcdKey'>;

function dateOf({ validUntilMs }: TlsMaterial): string | undefined {
  return validUntilMs === undefined ? undefined : new Date(validUntilMs).toISOString();
}

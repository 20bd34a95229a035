import { issueSecret, type TlsSecret } from '../../chart/certificates.js';
import { Authority } from '../../support/certificates.js';
import type { Scope } from '../../support/process.js';
import { apply } from './cluster-tools.js';
import type { Values } from './release.js';

/** Values that name the Secrets, for TLS everywhere. */
export const tlsValues: Values = [
  'tls.enabled=true',
  'tls.mutual=true',
  'tls.secret=grpc',
  'tls.selectNames={proxy.example.org,tester.example.org}',
  'tests.clientSecret=tester',
  'etcd.tls.enabled=true',
  'etcd.tls.serverSecret=etcd-server',
  'etcd.tls.clientSecret=etcd-client',
];

/** The Secrets of a release with TLS everywhere, filled by hand. */
export class HandMadeSecrets {
  readonly #issued = new Map<string, TlsSecret>();

  private constructor(
    private readonly scope: Scope,
    private readonly authority: Authority,
    private readonly namespace: string,
  ) {}

  static async create(scope: Scope, namespace: string): Promise<HandMadeSecrets> {
    const secrets = new HandMadeSecrets(scope, await Authority.create(scope), namespace);
    await secrets.renew();
    return secrets;
  }

  /** Issues all certificates, or all again. */
  async renew(): Promise<void> {
    const service = `holdfast.${this.namespace}.svc`;
    const members = `*.holdfast-etcd.${this.namespace}.svc`;
    await this.put('grpc', [service, `${service}.cluster.local`]);
    await this.put('tester', ['tester.example.org']);
    await this.put('proxy', ['proxy.example.org']);
    await this.put('etcd-server', [members, `${members}.cluster.local`]);
    await this.put('etcd-client', ['holdfast.example.org']);
  }

  /** @throws Error if it was never issued */
  issued(name: string): TlsSecret {
    const secret = this.#issued.get(name);
    if (!secret) {
      throw new Error(`there is no Secret ${name}`);
    }
    return secret;
  }

  /** Fills one Secret with a certificate of this authority, or of another one. */
  async put(name: string, names: readonly string[], authority = this.authority): Promise<void> {
    const stringData = await issueSecret(authority, names);
    this.#issued.set(name, stringData);
    const metadata = { name, namespace: this.namespace };
    await apply(this.scope, { apiVersion: 'v1', kind: 'Secret', metadata, stringData });
  }
}

import type { Scope } from '../../support/process.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

/** All ways of one party to etcd, a proxy for each member. */
export class Links {
  private constructor(
    readonly party: string,
    readonly proxies: readonly TcpProxy[],
  ) {}

  static async start(scope: Scope, party: string, members: readonly string[]): Promise<Links> {
    return new Links(party, await Promise.all(members.map((member) => TcpProxy.start(scope, member))));
  }

  /** What the party is given for etcd's endpoints. */
  get endpoints(): string {
    return this.proxies.map(({ endpoint }) => endpoint).join(',');
  }
}

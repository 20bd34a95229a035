import type { Scope } from '../../support/process.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

/** All ways of one party to another, a proxy for each of the other's members. */
export class Links {
  private constructor(
    readonly party: string,
    /** What the other one is called. */
    readonly other: string,
    readonly proxies: readonly TcpProxy[],
  ) {}

  static async start(
    scope: Scope,
    [party, other]: readonly [party: string, other: string],
    members: readonly string[],
  ): Promise<Links> {
    return new Links(party, other, await Promise.all(members.map((member) => TcpProxy.start(scope, member))));
  }

  /** What the party is given for the other's endpoints. */
  get endpoints(): string {
    return this.proxies.map(({ endpoint }) => endpoint).join(',');
  }
}

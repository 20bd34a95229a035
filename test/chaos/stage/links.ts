import type { Scope } from '../../support/process.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

/** All connections of one party to another, through a proxy for each of its members. */
export class Links {
  private constructor(
    readonly party: string,
    /** Name of the other party. */
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

  /** No connection, whatever else is done to these links and undone. */
  detach(): void {
    for (const proxy of this.proxies) {
      proxy.detach();
    }
  }

  attach(): void {
    for (const proxy of this.proxies) {
      proxy.attach();
    }
  }

  /** The endpoints of the other party as this one is configured. */
  get endpoints(): string {
    return this.proxies.map(({ endpoint }) => endpoint).join(',');
  }
}

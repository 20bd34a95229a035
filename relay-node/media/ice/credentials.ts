import { randomBytes } from 'node:crypto';

/** Of one party's side of a media. */
export interface IceCredentials {
  /** The relay's own, which the party is told (RFC 8839 section 5.4). */
  readonly ufrag: string;
  readonly password: string;
  /** The party's, as far as it is known: of those that answer the same offer, each has its own. */
  readonly remoteUfrag?: string | undefined;
}

/** Of letters and digits alone. */
export function newCredentials(remoteUfrag: string | undefined): IceCredentials {
  return { ufrag: randomBytes(4).toString('hex'), password: randomBytes(12).toString('hex'), remoteUfrag };
}

/** How ICE is to be used, as rtpengine's option says it. */
export type IcePolicy = 'force' | 'remove' | 'default';

/**
 * Whether both parties use ICE, each with the relay for itself. The relay is a lite agent (RFC 8445 section 2.5): it has one address a
 * component, and answers checks.
 */
export class IceNegotiation {
  #sides: [IceCredentials | undefined, IceCredentials | undefined] = [undefined, undefined];

  get sides(): readonly [IceCredentials | undefined, IceCredentials | undefined] {
    return this.#sides;
  }

  restore(sides: readonly [IceCredentials | undefined, IceCredentials | undefined]): void {
    this.#sides = [...sides];
  }

  /**
   * @param ufrag of the party that offers; undefined if it does not speak ICE
   * @param needsIce the party speaks to nobody without it, as browsers do
   */
  offer(side: 0 | 1, ufrag: string | undefined, policy: IcePolicy, needsIce: boolean): void {
    const other = side === 0 ? 1 : 0;
    const isUsed = ufrag !== undefined && (policy === 'default' ? needsIce : policy !== 'remove');
    const current = this.#sides[side];
    // Another fragment is a restart (RFC 8445 section 9), for which both agents have new credentials.
    const isRestart = current?.remoteUfrag !== undefined && current.remoteUfrag !== ufrag;
    this.#sides[side] = isUsed
      ? isRestart || !current
        ? newCredentials(ufrag)
        : { ...current, remoteUfrag: ufrag }
      : undefined;
    const told = this.#sides[other];
    if (policy === 'force' || isUsed) {
      this.#sides[other] = told ?? newCredentials(undefined);
    } else if (policy !== 'default') {
      this.#sides[other] = undefined;
    }
  }

  answer(side: 0 | 1, ufrag: string | undefined): void {
    const current = this.#sides[side];
    this.#sides[side] = current && ufrag !== undefined ? { ...current, remoteUfrag: ufrag } : undefined;
  }
}

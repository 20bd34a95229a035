import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { isNamed, namesOf } from './certificate-names.js';
import { peerOf } from './listener.js';
import type { RequestMetrics } from './observed.js';

/** What a client may be allowed: to ask for the relays of calls, as SIP proxies do, or to say what relays shall do. */
export type Right = 'select' | 'administer';

const either: readonly Right[] = ['select', 'administer'];
const anyone: readonly Right[] | undefined = undefined;

/**
 * Which right each method asks for: one of these. A method that does not stand here is refused, so that none is open
 * because it was forgotten.
 */
export const rightsOf: ReadonlyMap<string, readonly Right[] | undefined> = new Map([
  ['/holdfast.v1.SelectionService/Select', ['select']],
  ['/holdfast.v1.SelectionService/SelectStream', ['select']],
  ['/holdfast.v1.SelectionService/Release', ['select']],
  ['/holdfast.v1.SelectionService/Lookup', either],
  // A proxy moves a call away from a relay that fails it; an operator moves one by hand.
  ['/holdfast.v1.SelectionService/Move', either],
  ['/holdfast.v1.RelayService/ListRelays', either],
  ['/holdfast.v1.RelayService/WatchRelays', either],
  ['/holdfast.v1.RelayService/SetIntent', ['administer']],
  ['/holdfast.v1.RelayService/ListBindings', ['administer']],
  // Load balancers and tools: nothing of calls or relays is told there.
  ['/grpc.health.v1.Health/Check', anyone],
  ['/grpc.health.v1.Health/List', anyone],
  ['/grpc.health.v1.Health/Watch', anyone],
  ['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', anyone],
  ['/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', anyone],
] as const);

const settingOf: Readonly<Record<Right, string>> = {
  select: 'HOLDFAST_GRPC_SELECT_NAMES',
  administer: 'HOLDFAST_GRPC_ADMIN_NAMES',
};

export interface AuthorizationDeps {
  /** Patterns of certificate names by right; undefined gives the right to everyone with a certificate. */
  readonly names: Readonly<Record<Right, readonly string[] | undefined>>;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Decides by the names of its certificate what a client may ask: the one place, for all methods. */
export class Authorization {
  readonly #names: AuthorizationDeps['names'];
  readonly #refused: RateLimitedWarning;
  readonly #metrics: RequestMetrics;
  /** By address and port: what reading a certificate costs is paid once per connection, not once per call. */
  readonly #peers = new Map<string, readonly string[]>();

  constructor({ names, metrics, clock, log }: AuthorizationDeps) {
    this.#metrics = metrics;
    this.#names = names;
    this.#refused = new RateLimitedWarning('a client asked for what it may not', clock, log);
  }

  /** Remembers who is at the other end of a connection, as long as it lasts. */
  know(socket: Socket): void {
    if (!(socket instanceof TLSSocket) || !socket.authorized) {
      return;
    }
    const peer = peerOf(socket);
    const names = namesOf(socket.getPeerCertificate());
    this.#peers.set(peer, names);
    socket.once('close', () => {
      // The port may belong to a later connection already.
      if (this.#peers.get(peer) === names) {
        this.#peers.delete(peer);
      }
    });
  }

  readonly interceptor: ServerInterceptor = ({ path }, call) => {
    const refusal = this.#refusal(path, call);
    if (!refusal) {
      return new ServerInterceptingCall(call);
    }
    // The handler hears nothing of the call.
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata(() => call.sendStatus(refusal))
      .build();
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    );
  };

  #refusal(
    path: string,
    call: ServerInterceptingCallInterface,
  ): { readonly code: status; readonly details: string } | undefined {
    const { remoteAddress, remotePort } = call.getConnectionInfo();
    const peer = peerOf({ remoteAddress, remotePort });
    const names = this.#peers.get(peer) ?? [];
    const reason = this.#reasonAgainst(path, names);
    if (reason === undefined) {
      return undefined;
    }
    this.#metrics.observeRequest(path.split('/').at(-1) ?? path, 'PERMISSION_DENIED', 0);
    this.#refused.warn({ peer, names, method: path, reason });
    return { code: status.PERMISSION_DENIED, details: reason };
  }

  /** Why a client with these names may not call the method; undefined if it may. */
  #reasonAgainst(path: string, names: readonly string[]): string | undefined {
    const shown = names.length > 0 ? names.map((name) => JSON.stringify(name)).join(', ') : 'no name';
    if (!rightsOf.has(path)) {
      return `${path} is open to nobody (the certificate that was shown names ${shown})`;
    }
    const rights = rightsOf.get(path);
    if (!rights || rights.some((right) => this.#has(names, right))) {
      return undefined;
    }
    const settings = rights.map((right) => settingOf[right]).join(' and ');
    return `the certificate that was shown names ${shown}: it may not ${rights.join(' or ')}; ${settings} of the replica ${rights.length > 1 ? 'tell' : 'tells'} who may`;
  }

  #has(names: readonly string[], right: Right): boolean {
    const patterns = this.#names[right];
    return patterns === undefined || isNamed(names, patterns);
  }
}

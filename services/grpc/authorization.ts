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
import { peerOf } from '../runtime/tls-acceptor.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import { isNamed, namesOf } from './certificate-names.js';
import { resultOf } from './observe.js';
import { type StatusWithDetails, statusOf } from './status.js';

/** A client's right: `select` relays for calls, as SIP proxies do, or `administer` relays. */
export type Right = 'select' | 'administer';

const either: readonly Right[] = ['select', 'administer'];
const anyone: readonly Right[] | undefined = undefined;

/** Each method with the rights that permit it: any one of them is enough. A method that is missing here is refused. */
export const rightsOf: ReadonlyMap<string, readonly Right[] | undefined> = new Map([
  ['/holdfast.v1.SelectionService/Select', ['select']],
  ['/holdfast.v1.SelectionService/SelectStream', ['select']],
  ['/holdfast.v1.SelectionService/Release', ['select']],
  ['/holdfast.v1.SelectionService/Lookup', either],
  // A proxy moves a call off a relay that fails; an operator moves one by hand.
  ['/holdfast.v1.SelectionService/Move', either],
  ['/holdfast.v1.RelayService/ListRelays', either],
  ['/holdfast.v1.RelayService/WatchRelays', either],
  ['/holdfast.v1.RelayService/WatchEvents', either],
  ['/holdfast.v1.RelayService/GetStatus', either],
  ['/holdfast.v1.RelayService/SetIntent', ['administer']],
  ['/holdfast.v1.RelayService/ListBindings', ['administer']],
  // For load balancers and tools: these reveal nothing about calls or relays.
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
  /** Patterns of certificate names by right; undefined grants the right to every client with a certificate. */
  readonly names: Readonly<Record<Right, readonly string[] | undefined>>;
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Decides, for every method, whether the names in a client's certificate permit it. */
export class Authorization {
  readonly #names: AuthorizationDeps['names'];
  readonly #refused: RateLimitedWarning;
  readonly #metrics: FrontMetrics;
  /** Names by address and port: certificates are parsed once per connection, not once per call. */
  readonly #peers = new Map<string, readonly string[]>();

  constructor({ names, metrics, clock, log }: AuthorizationDeps) {
    this.#metrics = metrics;
    this.#names = names;
    this.#refused = new RateLimitedWarning('client not permitted', clock, log);
  }

  /** Remembers the names of a connection's client, for as long as it is open. */
  know(socket: Socket): void {
    if (!(socket instanceof TLSSocket) || !socket.authorized) {
      return;
    }
    const peer = peerOf(socket);
    const names = namesOf(socket.getPeerCertificate());
    this.#peers.set(peer, names);
    socket.once('close', () => {
      // A later connection may have the port already.
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
    // The call does not reach the handler.
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata(() => call.sendStatus(refusal))
      .build();
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    );
  };

  #refusal(path: string, call: ServerInterceptingCallInterface): StatusWithDetails | undefined {
    const { remoteAddress, remotePort } = call.getConnectionInfo();
    const peer = peerOf({ remoteAddress, remotePort });
    const names = this.#peers.get(peer) ?? [];
    const reason = this.#reasonAgainst(path, names);
    if (reason === undefined) {
      return undefined;
    }
    // Anybody can make up a path.
    const command = (rightsOf.has(path) && path.split('/').at(-1)) || 'other';
    this.#metrics.observeRequest(command, resultOf(status.PERMISSION_DENIED), 0);
    this.#refused.warn({ peer, names, method: path, reason });
    return statusOf({
      code: status.PERMISSION_DENIED,
      reason: 'CLIENT_NOT_PERMITTED',
      message: reason,
      metadata: { method: path },
    });
  }

  /** Why a client with these names must not call the method; undefined if it is permitted. */
  #reasonAgainst(path: string, names: readonly string[]): string | undefined {
    const shown = names.length > 0 ? names.map((name) => JSON.stringify(name)).join(', ') : 'no name';
    if (!rightsOf.has(path)) {
      return `no client is permitted ${path} (the certificate of this one names ${shown})`;
    }
    const rights = rightsOf.get(path);
    if (!rights || rights.some((right) => this.#has(names, right))) {
      return undefined;
    }
    const settings = rights.map((right) => settingOf[right]).join(' and ');
    return `the client's certificate names ${shown}, which must not ${rights.join(' or ')}; see ${settings} of the replica`;
  }

  #has(names: readonly string[], right: Right): boolean {
    const patterns = this.#names[right];
    return patterns === undefined || isNamed(names, patterns);
  }
}

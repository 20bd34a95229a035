import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { messageOf } from '../domain/error.js';
import type { Identity, MemberClients } from './member-clients.js';

/** What etcd says of a token that it does not know, of one from before its users changed, and of none. */
const refusesToken = /invalid auth token|revision of auth store is old|user name is empty/;
/** Said instead: at etcd's own words etcd3 would make the same call again, at once and for ever. */
const stale = 'etcd does not take the token of this login any more';

/**
 * Logs in to etcd with user and password, and sends the token that etcd gives for them with every call. etcd3's own way
 * would leave a channel open for each login, and send a token that etcd has forgotten with every stream from then on:
 * etcd forgets one that was idle for 5 minutes, and all when it restarts.
 */
export class EtcdLogin implements Identity {
  readonly #members: MemberClients;
  readonly #username: string;
  readonly #password: string;
  #token: string | undefined;
  #underWay: Promise<void> | undefined;

  /** @param members to log in to; nobody else uses them */
  constructor(members: MemberClients, username: string, password: string) {
    this.#members = members;
    this.#username = username;
    this.#password = password;
  }

  readonly interceptor: Interceptor = (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, _listener, next) => {
        if (this.#token) {
          metadata.set('token', this.#token);
        }
        next(metadata, {
          onReceiveStatus: (status, pass) =>
            pass(refusesToken.test(status.details) ? { ...status, details: stale } : status),
        });
      },
    });

  /** Logs in, unless that was done: many that ask at a time share one login. */
  async prepare(): Promise<void> {
    if (this.#token !== undefined) {
      return;
    }
    this.#underWay ??= this.#logIn().finally(() => {
      this.#underWay = undefined;
    });
    await this.#underWay;
  }

  forget(): void {
    this.#token = undefined;
  }

  isStale(error: unknown): boolean {
    return messageOf(error).includes(stale);
  }

  close(): void {
    this.#members.close();
  }

  async #logIn(): Promise<void> {
    const name = this.#username;
    const password = this.#password;
    try {
      const { token } = await this.#members.call((client) => client.auth.authenticate({ name, password }));
      this.#token = token;
    } catch (error) {
      // Then everybody may do everything, and no token is asked for.
      if (!messageOf(error).includes('authentication is not enabled')) {
        throw error;
      }
      this.#token = '';
    }
  }
}

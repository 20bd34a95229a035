import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { messageOf } from '../domain/error.js';
import { staleTokenText } from './errors.js';
import type { Identity, MemberClients } from './member-clients.js';

/** etcd's words for a token from before its users changed, and for none. `MemberClient` replaces those for an unknown one. */
const refusesToken = /revision of auth store is old|user name is empty/;

/**
 * Logs in to etcd with user and password, and sends the token that etcd returns with every call. etcd3's own way would
 * leave a channel open for each login, and go on sending a forgotten token with every stream. etcd forgets a token
 * that was idle for 5 minutes, and all tokens when it restarts.
 */
export class EtcdLogin implements Identity {
  readonly #members: MemberClients;
  readonly #username: string;
  readonly #password: string;
  #token: string | undefined;
  #underWay: Promise<void> | undefined;

  /** @param members clients for the login alone */
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
            pass(refusesToken.test(status.details) ? { ...status, details: staleTokenText } : status),
        });
      },
    });

  /** Logs in, if that is necessary. Concurrent callers share one login. */
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
    return messageOf(error).includes(staleTokenText);
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
      // Without authentication everybody is permitted everything, and no token is needed.
      if (!messageOf(error).includes('authentication is not enabled')) {
        throw error;
      }
      this.#token = '';
    }
  }
}

import { randomBytes } from 'node:crypto';
import { credentials } from '@grpc/grpc-js';
import { SelectionServiceClient, SelectRequest } from '../../../proto/generated/holdfast/v1/selection.js';
import type { Scope } from '../../support/process.js';
import type { Replica } from './replica.js';

const everyMs = 4;

/** Places new calls continuously, and records when each relay got its last one. */
export class NewCallWatch {
  readonly #lastMs = new Map<string, number>();
  readonly #client: SelectionServiceClient;
  #failures = 0;

  constructor(scope: Scope, { grpcPort }: Replica) {
    this.#client = new SelectionServiceClient(`127.0.0.1:${grpcPort}`, credentials.createInsecure());
    const timer = setInterval(() => this.#select(), everyMs);
    scope.teardown(() => {
      clearInterval(timer);
      this.#client.close();
    });
  }

  get failures(): number {
    return this.#failures;
  }

  /** When this relay got its last new call, by `performance.now`. */
  lastCallMs(relayId: string): number | undefined {
    return this.#lastMs.get(relayId);
  }

  #select(): void {
    const request = SelectRequest.fromPartial({ callId: `watch-${randomBytes(9).toString('hex')}` });
    this.#client.select(request, (error, answer) => {
      if (error) {
        this.#failures++;
      } else if (answer.binding?.relay) {
        this.#lastMs.set(answer.binding.relay.id, performance.now());
      }
    });
  }
}

import { credentials as channelCredentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/**
 * Holdfast for a SIP proxy in Node: copy this file and the folder proto/, and npm install @grpc/grpc-js @grpc/proto-loader.
 * README.md gives the reasons of each setting.
 */
const serviceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: 'holdfast.v1.SelectionService' }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: '0.02s',
        maxBackoff: '0.2s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
  retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
};

const channelOptions = {
  'grpc.service_config': JSON.stringify(serviceConfig),
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 1000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_reconnect_backoff_ms': 5000,
};

const attemptMs = 500;
const attempts = 5;

export class Holdfast {
  #client;

  /**
   * @param target such as dns:///holdfast-headless:7400 or ipv4:192.0.2.5:7400,192.0.2.6:7400
   * @param protos where proto/ is
   */
  constructor(target, protos, credentials = channelCredentials.createInsecure()) {
    const definition = loadSync('holdfast/v1/selection.proto', {
      includeDirs: [protos],
      enums: String,
      longs: Number,
      defaults: true,
    });
    const { SelectionService } = loadPackageDefinition(definition).holdfast.v1;
    this.#client = new SelectionService(target, credentials, channelOptions);
  }

  /** The relay of the call: for each INVITE and re-INVITE. */
  select(callId, more = {}) {
    return this.#ask('select', { callId, requestId: crypto.randomUUID(), ...more });
  }

  /** The same, but nothing is bound or moved: for a BYE. Rejects with NOT_FOUND. */
  lookup(callId) {
    return this.#ask('lookup', { callId });
  }

  /** Another relay for a call whose relay did not answer its first offer. */
  move(callId, generation, reason) {
    return this.#ask('move', { callId, generation, reason, requestId: crypto.randomUUID() });
  }

  /** The call has ended. */
  release(callId) {
    return this.#ask('release', { callId });
  }

  close() {
    this.#client.close();
  }

  /** gRPC tries UNAVAILABLE again by itself; a replica that keeps silent costs an attempt, and another one is asked. */
  async #ask(method, request) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(method, request);
      } catch (error) {
        if (error.code !== status.DEADLINE_EXCEEDED || attempt === attempts) {
          throw error;
        }
      }
    }
  }

  #once(method, request) {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + attemptMs;
      this.#client[method](request, { deadline }, (error, reply) => (error ? reject(error) : resolve(reply)));
    });
  }
}

import type { NgDictionary } from '../../../services/control/ng/message.js';
import { UdpClientError } from '../../../services/control/udp/client.js';
import { audioSdp, type CallTags, mediaAddresses, ProxyClient } from '../../support/ng.js';
import type { Outcome } from '../record/recorder.js';
import type { Method } from '../record/records.js';

/** Speaks ng with one gateway like a SIP proxy. Returns an outcome instead of throwing. */
export class GatewayClient {
  readonly #proxy: ProxyClient;
  readonly #relaysByAddress: Readonly<Record<string, string>>;
  readonly #sdp = audioSdp({ address: '192.0.2.1', port: 40_000 });

  constructor(port: number, relaysByAddress: Readonly<Record<string, string>>) {
    // Kamailio retransmits twice, 1 s apart, and then tries another gateway.
    this.#proxy = new ProxyClient('127.0.0.1', port, { timeoutMs: 2500, retransmitMs: 1000 });
    this.#relaysByAddress = relaysByAddress;
  }

  start(): Promise<void> {
    return this.#proxy.start();
  }

  stop(): Promise<void> {
    return this.#proxy.stop();
  }

  async ask(method: Method, call: CallTags): Promise<Outcome> {
    try {
      return this.#outcome(await this.#send(method, call));
    } catch (error) {
      if (!(error instanceof UdpClientError)) {
        throw error;
      }
      return { outcome: 'unknown', reason: error.message };
    }
  }

  #send(method: Method, call: CallTags): Promise<NgDictionary> {
    if (method === 'offer') {
      return this.#proxy.offer(call, this.#sdp);
    }
    if (method === 'reoffer') {
      return this.#proxy.offer(call, this.#sdp, { inDialog: true });
    }
    if (method === 'answer') {
      return this.#proxy.answer(call, this.#sdp);
    }
    return this.#proxy.delete(call);
  }

  /** After an error of the gateway the outcome is unknown. */
  #outcome(reply: NgDictionary): Outcome {
    if (String(reply['result']) !== 'ok') {
      return { outcome: 'unknown', reason: String(reply['error-reason'] ?? reply['result']).slice(0, 160) };
    }
    const address = typeof reply['sdp'] === 'string' ? mediaAddresses(reply['sdp'])[0]?.address : undefined;
    const mediaRelay = address === undefined ? undefined : this.#relaysByAddress[address];
    return { outcome: 'ok', ...(mediaRelay === undefined ? {} : { mediaRelay }) };
  }
}

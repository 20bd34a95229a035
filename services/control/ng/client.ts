import { UdpClient, UdpClientError, type UdpClientOptions, type UdpRequestOptions } from '../udp/client.js';
import { BencodeError } from './bencode.js';
import { encodeBody, type NgDictionary, NgMessageError, parseMessage } from './message.js';

/** Speaks ng to one relay. */
export class NgClient {
  readonly #udp: UdpClient;

  constructor(options: UdpClientOptions) {
    this.#udp = new UdpClient(options);
  }

  get counters(): UdpClient['counters'] {
    return this.#udp.counters;
  }

  /** Opens the socket; rejects with `refused` if the name does not resolve or the address cannot be reached. */
  start(): Promise<void> {
    return this.#udp.start();
  }

  /** Ends every waiting request with `closed`. */
  stop(): Promise<void> {
    return this.#udp.stop();
  }

  /**
   * The decoded reply; one of `result=error` is a reply like any other.
   * @param body a dictionary, or an encoded one
   * @throws UdpClientError
   */
  async request(body: NgDictionary | Buffer, options: UdpRequestOptions = {}): Promise<NgDictionary> {
    const reply = await this.#udp.request(Buffer.isBuffer(body) ? body : this.#encode(body), options);
    try {
      return parseMessage(reply).body;
    } catch (error) {
      if (!(error instanceof NgMessageError)) {
        throw error;
      }
      throw this.#malformed(`${this.#udp.peer} sent a reply that is not an ng dictionary: ${error.message}`);
    }
  }

  #encode(body: NgDictionary): Buffer {
    try {
      return encodeBody(body, 'bencode');
    } catch (error) {
      if (!(error instanceof BencodeError)) {
        throw error;
      }
      throw this.#malformed(`the request cannot be encoded: ${error.message}`);
    }
  }

  #malformed(reason: string): UdpClientError {
    this.counters.malformed++;
    return new UdpClientError('malformed', reason);
  }
}

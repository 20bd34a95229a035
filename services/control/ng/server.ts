import { UdpServer, type UdpServerOptions, type UdpSource } from '../udp/server.js';
import { encodeBody, errorReply, type NgDictionary, type NgMessage, readMessage } from './message.js';

export type NgHandler = (message: NgMessage, source: UdpSource) => Promise<NgDictionary>;

export interface NgServerOptions extends Omit<UdpServerOptions<NgMessage>, 'service'> {
  readonly handler: NgHandler;
}

/** A relay's ng port: dictionaries in, dictionaries out, in the format of the request. */
export class NgServer extends UdpServer<NgMessage> {
  constructor({ handler, ...options }: NgServerOptions) {
    const service = {
      protocol: 'ng',
      read: readMessage,
      handle: async (message: NgMessage, source: UdpSource) =>
        encodeBody(await handler(message, source), message.format),
      refuse: (message: NgMessage, reason: string) => encodeBody(errorReply(reason), message.format),
    };
    super({ ...options, service });
  }
}

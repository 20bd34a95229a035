import { errorCodes, errorReply } from '../../../services/control/rtpproxy/errors.js';
import { rtpproxy } from '../../../services/control/rtpproxy/protocol.js';
import type { RtpproxyRequest } from '../../../services/control/rtpproxy/request.js';
import { UdpServer, type UdpServerCounters } from '../../../services/control/udp/server.js';
import type { Address } from '../../../services/runtime/address.js';
import { Commands, type CommandsDeps } from './commands.js';

/** The relay's second port, where SIP proxies control it as an rtpproxy. */
export class RtpproxyFront {
  readonly #server: UdpServer<RtpproxyRequest>;
  readonly #commands: Commands;
  readonly #listen: Address;

  /** @param listen port 0 lets the system choose */
  constructor(listen: Address, deps: Omit<CommandsDeps, 'counters'>) {
    const commands = new Commands({ ...deps, counters: () => this.counters });
    this.#listen = listen;
    this.#commands = commands;
    this.#server = new UdpServer({
      listen: [listen],
      service: {
        protocol: 'rtpproxy',
        read: (body) => rtpproxy.read(body),
        handle: (request, { address }) => commands.handle(request, address),
        refuse: () => errorReply(errorCodes.overload),
      },
      clock: deps.clock,
      log: deps.log,
    });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    this.#commands.stop();
    return this.#server.stop();
  }

  /** Where it listens; the port is known once started. */
  get address(): Address {
    return this.#server.addresses()[0] ?? this.#listen;
  }

  get counters(): Readonly<UdpServerCounters> {
    return this.#server.counters;
  }
}

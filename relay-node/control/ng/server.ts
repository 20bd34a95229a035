import { NgServer } from '../../../services/control/ng/server.js';
import type { UdpServerCounters } from '../../../services/control/udp/server.js';
import type { Address } from '../../../services/runtime/address.js';
import { Commands, type CommandsDeps } from './commands.js';

/** The relay's ng port, where SIP proxies control it. */
export class NgFront {
  readonly #server: NgServer;
  readonly #listen: Address;

  /** @param listen port 0 lets the system choose */
  constructor(listen: Address, deps: CommandsDeps) {
    const commands = new Commands(deps);
    this.#listen = listen;
    this.#server = new NgServer({
      listen: [listen],
      handler: (message) => commands.handle(message),
      clock: deps.clock,
      log: deps.log,
    });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
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

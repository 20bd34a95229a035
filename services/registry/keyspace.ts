import type { Call } from '../domain/call.js';
import { relayKey } from '../domain/relay.js';

/** The keys in etcd, readable with etcdctl, and below one prefix but for those of replicas. */
export class Keyspace {
  readonly relays: string;
  readonly load: string;
  readonly intents: string;
  readonly instances: string;
  readonly addresses: string;
  readonly contenders: string;
  readonly calls: string;
  readonly moves: string;
  /** Not below the prefix: replicas with another one are to be seen. */
  readonly replicas = '/holdfast/replicas/';

  constructor(readonly prefix: string) {
    this.relays = `${prefix}/relays/`;
    this.load = `${prefix}/load/`;
    this.intents = `${prefix}/intents/`;
    this.instances = `${prefix}/instances/`;
    this.addresses = `${prefix}/addresses/`;
    this.contenders = `${prefix}/contenders/`;
    this.calls = `${prefix}/calls/`;
    this.moves = `${prefix}/moves/`;
  }

  /** The registration of a relay; leased by its relay node. */
  relay(set: string, id: string): Buffer {
    return Buffer.from(this.relays + relayKey(set, id));
  }

  /** The newest load report of a relay; leased by its relay node. */
  loadOf(set: string, id: string): Buffer {
    return Buffer.from(this.load + relayKey(set, id));
  }

  /** What operators want of a relay; never leased. */
  intent(set: string, id: string): Buffer {
    return Buffer.from(this.intents + relayKey(set, id));
  }

  /** The life of its media process that a relay node saw last; never leased. */
  instance(set: string, id: string): Buffer {
    return Buffer.from(this.instances + relayKey(set, id));
  }

  /** Prefix of the names under which the relay that is controlled there is registered; leased by their relay nodes. */
  addressOf(controlUrl: string): string {
    return `${this.addresses}${controlUrl}/`;
  }

  /** That its relay node waits for a registration to end, and for which; leased by that node. */
  contender(set: string, id: string): Buffer {
    return Buffer.from(this.contenders + relayKey(set, id));
  }

  /** The binding of a call; on a shared bucket lease. */
  call(call: Call): Buffer {
    return Buffer.from(this.calls + call.key);
  }

  /** The newest move of a call; on a short lease. */
  move(call: Call): Buffer {
    return Buffer.from(this.moves + call.key);
  }

  /** A replica that runs, and its settings; leased by it. */
  replica(id: string): Buffer {
    return Buffer.from(this.replicas + id);
  }
}

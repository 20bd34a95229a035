import { isIP, isIPv6 } from 'node:net';
import type { MediaPath } from '../offload.js';
import type { Route } from './routes.js';

/**
 * A packet that has come this way is forwarded. Its elements are keyed by the four addresses and ports, of which the relay's
 * own address follows from its port, and by the device, so that a packet with a VLAN tag is not mistaken for one without.
 */
export interface KernelStream {
  /** Which of the streams it is, and by which hop it leaves: the mark of its packets while they are in the ruleset. */
  readonly mark: number;
  /** Device that its packets come in by. */
  readonly device: string;
  readonly path: MediaPath;
}

export interface StreamCount {
  readonly packets: number;
  /** Payload of the UDP datagrams. */
  readonly bytes: number;
}

export interface RulesetOptions {
  readonly table: string;
  /** Of the media sockets, all of one version of IP. */
  readonly addresses: readonly string[];
  readonly portMin: number;
  readonly portMax: number;
  /** Telephone events of streams come to user space. */
  readonly seesEvents?: boolean;
  /** What all media leave with (RFC 2474), 0–63; undefined: what they came with, and nothing if user space forwards. */
  readonly dscp?: number | undefined;
}

/** A mark has 20 bits for the stream and 12 for its hop; 0 is none of either. */
const streamBits = 20;
export const maxStreams = 2 ** streamBits - 1;
export const maxHops = 2 ** 12 - 1;
const hopMask = '0xfff00000';
const udpHeaderBytes = 8;
/** RFC 3551 section 3: those whose meaning is negotiated. */
const dynamicTypes = Array.from({ length: 32 }, (_, index) => 96 + index);

export function markOf(stream: number, hop: number): number {
  return hop * 2 ** streamBits + stream;
}

/**
 * The text of the relay's nftables table: one transaction a line.
 *
 *     ingress of a device ─► relay: flows ─► rewrite by saddr, sport, daddr, dport ─► hops ─► out by a device
 *                              └── what is not there goes on to the sockets
 *
 * Only whole datagrams with RTP version 2 and room for an RTP header are forwarded; what else comes on the port is for user space:
 * RTCP, too (packet types 192–223, RFC 5761), as it may have to leave from another port.
 *
 * What user space sends gets its DSCP in a second table of the same name, for Node.js has no socket option for it.
 */
export class Ruleset {
  readonly #options: RulesetOptions;
  readonly #ip: 'ip' | 'ip6';

  constructor(options: RulesetOptions) {
    this.#options = options;
    this.#ip = isIPv6(options.addresses[0] ?? '') ? 'ip6' : 'ip';
  }

  /** Whether it is of this version of IP on both sides. */
  carries({ at, leaving }: MediaPath): boolean {
    const version = this.#ip === 'ip6' ? 6 : 4;
    return isIP(at.address) === version && isIP(leaving.address) === version;
  }

  /** The empty table, in place of whatever has its name. */
  create(): string {
    const { table, addresses, portMin, portMax, dscp } = this.#options;
    const ip = this.#ip;
    const addressType = ip === 'ip6' ? 'ipv6_addr' : 'ipv4_addr';
    // An IPv6 fragment has another next header; neither of them has its UDP header for sure.
    const whole = ip === 'ip6' ? 'ip6 nexthdr udp' : 'ip protocol udp ip frag-off & 0x3fff == 0';
    const isRtp = [
      `${ip} daddr { ${addresses.join(', ')} } ${whole} udp dport ${portMin}-${portMax} udp length >= 20 @th,64,2 2`,
      '@th,72,8 != 192-223',
    ];
    const rule = [
      ...isRtp,
      `meta mark set iifname . ${ip} saddr . udp sport . udp dport map @flows`,
      `${ip} saddr set meta mark map @saddr ${ip} daddr set meta mark map @daddr`,
      'udp sport set meta mark map @sport udp dport set meta mark map @dport',
      ...this.#setDscp(),
      `meta mark & ${hopMask} vmap @hops`,
    ];
    const output = [
      `add table ${ip} ${table}`,
      `add chain ${ip} ${table} output { type filter hook output priority mangle; }`,
      `add rule ${ip} ${table} output ${ip} saddr { ${addresses.join(', ')} } udp sport ${portMin}-${portMax} ${this.#setDscp()}`,
    ];
    return transaction(
      clearTables(table, ip),
      ...(dscp === undefined ? [] : output),
      `add table netdev ${table}`,
      `add map netdev ${table} flows { type ifname . ${addressType} . inet_service . inet_service : mark; }`,
      `add map netdev ${table} saddr { type mark : ${addressType}; }`,
      `add map netdev ${table} daddr { type mark : ${addressType}; }`,
      `add map netdev ${table} sport { type mark : inet_service; }`,
      `add map netdev ${table} dport { type mark : inet_service; counter; }`,
      `add map netdev ${table} hops { type mark : verdict; }`,
      `add chain netdev ${table} relay`,
      ...this.#passEvents(isRtp.join(' '), addressType),
      `add rule netdev ${table} relay ${rule.join(' ')}`,
    );
  }

  remove(): string {
    return clearTables(this.#options.table, this.#ip);
  }

  #setDscp(): string[] {
    const { dscp } = this.#options;
    return dscp === undefined ? [] : [`${this.#ip} dscp set ${dscp}`];
  }

  /**
   * To user space. With a value that is cut out of a packet nft can look up no set of several fields, so the mark carries it for a
   * moment: it is no stream's yet.
   */
  #passEvents(isRtp: string, addressType: string): string[] {
    const { table, seesEvents } = this.#options;
    if (!seesEvents) {
      return [];
    }
    // With the marker bit, and without.
    const types = dynamicTypes.flatMap((type) => [`${type} : ${hex(type)}`, `${type + 128} : ${hex(type)}`]);
    const key = `iifname . ${this.#ip} saddr . udp sport . udp dport . meta mark`;
    return [
      `add set netdev ${table} events { type ifname . ${addressType} . inet_service . inet_service . mark; }`,
      `add rule netdev ${table} relay ${isRtp} meta mark set @th,72,8 map { ${types.join(', ')} } ${key} @events meta mark set 0 accept`,
      `add rule netdev ${table} relay ${isRtp} meta mark 96-127 meta mark set 0`,
    ];
  }

  /** Fails if the table is gone. */
  probe(): string {
    return `list chain netdev ${this.#options.table} relay`;
  }

  /** From now on streams may come in by the device. @param index which of the devices it is */
  addDevice(index: number, device: string): string {
    const { table } = this.#options;
    return transaction(
      `add chain netdev ${table} device${index} { type filter hook ingress device "${device}" priority 0; }`,
      `add rule netdev ${table} device${index} jump relay`,
    );
  }

  /** From now on streams may leave this way. @param hop from 1 */
  addHop(hop: number, { device, gateway }: Route): string {
    const { table } = this.#options;
    const to = gateway ?? `${this.#ip} daddr`;
    return transaction(
      `add chain netdev ${table} hop${hop}`,
      `add rule netdev ${table} hop${hop} meta mark set 0 fwd ${this.#ip} to ${to} device "${device}"`,
      `add element netdev ${table} hops { ${hex(markOf(0, hop))} : goto hop${hop} }`,
    );
  }

  addStreams(streams: readonly KernelStream[]): string {
    return transaction(
      ...this.#events('add', streams),
      this.#elements('add', 'flows', streams, (stream) => `${keyOf(stream)} : ${hex(stream.mark)}`),
      this.#elements('add', 'saddr', streams, ({ mark, path }) => `${hex(mark)} : ${path.leaving.address}`),
      this.#elements('add', 'daddr', streams, ({ mark, path }) => `${hex(mark)} : ${path.to.address}`),
      this.#elements('add', 'sport', streams, ({ mark, path }) => `${hex(mark)} : ${path.leaving.port}`),
      this.#elements('add', 'dport', streams, ({ mark, path }) => `${hex(mark)} : ${path.to.port}`),
    );
  }

  /**
   * No packet finds the streams any more. What they need stays for a transaction of its own, so that none finds only a part; and
   * the counters with it, for nft reads one only with all others.
   */
  hideStreams(streams: readonly KernelStream[]): string {
    return this.#elements('delete', 'flows', streams, keyOf);
  }

  /** What is left of streams that are hidden. */
  removeStreams(streams: readonly KernelStream[]): string {
    const byMark = (map: string) => this.#elements('delete', map, streams, ({ mark }) => hex(mark));
    return transaction(
      ...['saddr', 'daddr', 'sport', 'dport'].map(byMark),
      ...this.#events('delete', streams),
    );
  }

  /** Its output is for `countsIn`. */
  countAll(): string {
    return `list map netdev ${this.#options.table} dport`;
  }

  /** Its output, and that of `countAll`, is for `countsByKey`: nft 1.0.6 refuses two lists in one line. */
  listKeys(): string {
    return `list map netdev ${this.#options.table} flows`;
  }

  /** By key: of a table whose marks are another process's. */
  countsByKey(output: string): Map<string, StreamCount> {
    const byMark = this.countsIn(output);
    const counts = new Map<string, StreamCount>();
    for (const [, key = '', mark = ''] of output.matchAll(/("[^"]+" \. [^{},"]+?) : 0x([0-9a-f]+)/g)) {
      const count = byMark.get(Number.parseInt(mark, 16));
      if (count) {
        counts.set(key, count);
      }
    }
    return counts;
  }

  /** By mark. */
  countsIn(output: string): Map<number, StreamCount> {
    const headerBytes = udpHeaderBytes + (this.#ip === 'ip6' ? 40 : 20);
    const counts = new Map<number, StreamCount>();
    for (const [, mark, packets, bytes] of output.matchAll(
      /0x([0-9a-f]+) counter packets (\d+) bytes (\d+)/g,
    )) {
      const count = { packets: Number(packets), bytes: Number(bytes) - Number(packets) * headerBytes };
      counts.set(Number.parseInt(mark as string, 16), count);
    }
    return counts;
  }

  #events(verb: 'add' | 'delete', streams: readonly KernelStream[]): string[] {
    const elements = streams.flatMap((stream) =>
      stream.path.eventTypes.map((type) => `${keyOf(stream)} . ${hex(type)}`),
    );
    const isUsed = this.#options.seesEvents && elements.length > 0;
    return isUsed ? [`${verb} element netdev ${this.#options.table} events { ${elements.join(', ')} }`] : [];
  }

  #elements(
    verb: 'add' | 'delete',
    map: string,
    streams: readonly KernelStream[],
    element: (stream: KernelStream) => string,
  ): string {
    return `${verb} element netdev ${this.#options.table} ${map} { ${streams.map(element).join(', ')} }`;
  }
}

/** Removes what has the name, if anything has: deleting a table that is not there is an error. */
export function clearTables(table: string, ip: 'ip' | 'ip6'): string {
  const removals = ['netdev', ip].map(
    (family) => `add table ${family} ${table}; delete table ${family} ${table}`,
  );
  return transaction(...removals);
}

/** No two streams have the same. */
export function keyOf({ device, path }: KernelStream): string {
  return `"${device}" . ${path.from.address} . ${path.from.port} . ${path.at.port}`;
}

function transaction(...commands: readonly string[]): string {
  return commands.join('; ');
}

function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, '0')}`;
}

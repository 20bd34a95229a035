import { isIP, isIPv6 } from 'node:net';
import { isUnspecified } from '../../services/runtime/address.js';
import { NoInterfaceError } from './errors.js';

export type Family = 4 | 6;

/** An address of the relay. Several may have one name: of both versions of IP, or to spread calls. */
export interface MediaInterface {
  /** What `direction` calls it. */
  readonly name: string;
  /** IP address of its sockets. */
  readonly address: string;
  /** The address that parties are told, another one behind a NAT; of the same version of IP. */
  readonly advertised: string;
}

/** What is asked of one side of a media. */
export interface Wanted {
  readonly name?: string | undefined;
  readonly family?: Family | undefined;
  readonly address?: string | undefined;
  /** Of several that will do, this one rather. */
  readonly preferredFamily?: Family | undefined;
}

/** One that is in use. */
export class LocalAddress implements MediaInterface {
  readonly name: string;
  readonly address: string;
  readonly advertised: string;
  readonly family: Family;
  /** Port pairs with open sockets. */
  openPairs = 0;

  /** @throws TypeError */
  constructor({ name, address, advertised }: MediaInterface) {
    if (isIP(address) === 0) {
      throw new TypeError(`media address ${address} of interface ${name} is not an IP address`);
    }
    if (isUnspecified(address) || isUnspecified(advertised) || isIP(address) !== isIP(advertised)) {
      throw new TypeError(
        `${advertised} of interface ${name} is not an IP address that parties can send media to`,
      );
    }
    this.name = name;
    this.address = address;
    this.advertised = advertised;
    this.family = isIPv6(address) ? 6 : 4;
  }

  fits({ name, family, address }: Wanted): boolean {
    return (
      (name === undefined || name === this.name) &&
      (family === undefined || family === this.family) &&
      (address === undefined || address === this.address || address === this.advertised)
    );
  }
}

/** The relay's addresses. The name that comes first is the interface of media for which none is asked. */
export class MediaInterfaces {
  readonly all: readonly LocalAddress[];

  /** @throws TypeError */
  constructor(interfaces: readonly MediaInterface[]) {
    this.all = interfaces.map((each) => new LocalAddress(each));
    if (this.all.length === 0) {
      throw new TypeError('there is no media address');
    }
  }

  get first(): LocalAddress {
    return this.all[0] as LocalAddress;
  }

  get names(): string[] {
    return [...new Set(this.all.map(({ name }) => name))];
  }

  get families(): Family[] {
    return [...new Set(this.all.map(({ family }) => family))];
  }

  /** The one that fits and has the fewest open ports. @throws NoInterfaceError */
  choose(wanted: Wanted): LocalAddress {
    const { address, preferredFamily } = wanted;
    const name = wanted.name ?? (address === undefined ? this.first.name : undefined);
    const fitting = this.all.filter((each) => each.fits({ ...wanted, name }));
    const preferred = fitting.filter(({ family }) => family === preferredFamily);
    const [first, ...others] = preferred.length > 0 ? preferred : ofOneFamily(fitting);
    if (!first) {
      const isNamed = this.all.some((each) => each.name === name);
      throw new NoInterfaceError(isNamed || name === undefined ? 'address' : 'name', wanted);
    }
    return others.reduce((least, each) => (each.openPairs < least.openPairs ? each : least), first);
  }

  isOwn(address: string): boolean {
    return this.all.some((each) => each.address === address || each.advertised === address);
  }
}

/** Which version of IP is used must not depend on the load. */
function ofOneFamily(addresses: readonly LocalAddress[]): readonly LocalAddress[] {
  return addresses.filter(({ family }) => family === addresses[0]?.family);
}

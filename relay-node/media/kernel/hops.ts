import type { Clock } from '../../../services/runtime/clock.js';
import type { Route } from './routes.js';
import { maxHops, type Ruleset } from './ruleset.js';

/** A part of the ruleset that streams need, and the line that makes it. */
export interface Requirement {
  readonly name: string;
  readonly line: string;
}

/** What the kernel refused is tried again after this long: a device may have been down, or of another kind. */
const unusableMs = 60_000;

/** The devices that streams come in by, and the hops that they leave by: few, whatever the number of streams. */
export class Hops {
  readonly #ruleset: Ruleset;
  readonly #numbers = new Map<string, number>();
  readonly #installed = new Set<string>();
  /** Until when, by the monotonic clock. */
  readonly #unusable = new Map<string, number>();
  readonly #clock: Clock;

  constructor(ruleset: Ruleset, clock: Clock) {
    this.#ruleset = ruleset;
    this.#clock = clock;
  }

  /** The number of the hop; undefined if streams cannot come and leave like this now. */
  numberOf(inbound: Route, outbound: Route): number | undefined {
    const names = [deviceName(inbound), hopName(outbound)] as const;
    const isKnown = names.every((name) => this.#numbers.has(name));
    if ((!isKnown && this.#numbers.size + 2 > maxHops) || names.some((name) => this.#isUnusable(name))) {
      return undefined;
    }
    const [, hop] = names.map((name) => this.#number(name));
    return hop;
  }

  /** What must be installed before this stream. */
  missing(inbound: Route, outbound: Route): Requirement[] {
    const device = deviceName(inbound);
    const hop = hopName(outbound);
    return [
      { name: device, line: this.#ruleset.addDevice(this.#number(device), inbound.device) },
      { name: hop, line: this.#ruleset.addHop(this.#number(hop), outbound) },
    ].filter(({ name }) => !this.#installed.has(name));
  }

  installed({ name }: Requirement): void {
    this.#installed.add(name);
  }

  /** The kernel refused it. */
  unusable({ name }: Requirement): void {
    this.#unusable.set(name, this.#clock.monotonicMs() + unusableMs);
  }

  #isUnusable(name: string): boolean {
    const untilMs = this.#unusable.get(name);
    return untilMs !== undefined && this.#clock.monotonicMs() < untilMs;
  }

  #number(name: string): number {
    const number = this.#numbers.get(name) ?? this.#numbers.size + 1;
    this.#numbers.set(name, number);
    return number;
  }
}

/** A device that was replaced by another one of its name has another index. */
function deviceName({ device, index }: Route): string {
  return `device ${device} ${index}`;
}

function hopName({ device, index, gateway }: Route): string {
  return `hop ${device} ${index} ${gateway ?? 'on-link'}`;
}

export function isSameRoute(one: Route, other: Route | 'none' | undefined): boolean {
  return other !== undefined && other !== 'none' && hopName(one) === hopName(other);
}

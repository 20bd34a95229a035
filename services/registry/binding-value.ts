import type { Binding } from '../domain/binding.js';
import { maxTtlSeconds } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { isName } from '../domain/name.js';

/** The JSON of a binding in etcd. Written and read once per call or more: no schema library on this path. */
interface BindingValue {
  readonly relay: string;
  readonly set: string;
  readonly instance: string;
  readonly generation: number;
  readonly request: string;
  readonly createdAt: string;
  readonly ttlSeconds: number;
  readonly expiresAt: string;
  readonly released?: true;
}

/** Writes times as ISO 8601 has them. The last is remembered: many bindings are made in one millisecond. */
class TimeText {
  #ms = Number.NaN;
  #text = '';

  text(ms: number): string {
    if (ms !== this.#ms) {
      this.#text = new Date(ms).toISOString();
      this.#ms = ms;
    }
    return this.#text;
  }
}

const created = new TimeText();
const expires = new TimeText();

export function encodeBinding(binding: Binding): Buffer {
  const value: BindingValue = {
    relay: binding.relayId,
    set: binding.set,
    instance: binding.instance,
    generation: binding.generation,
    request: binding.requestId,
    createdAt: created.text(binding.createdAtMs),
    ttlSeconds: binding.ttlSeconds,
    expiresAt: expires.text(binding.expiresAtMs),
    ...(binding.released ? { released: true } : {}),
  };
  return Buffer.from(JSON.stringify(value));
}

/** What etcd holds for this call, or undefined if it is junk. */
export function decodeBinding(call: Call, bytes: Buffer): Binding | undefined {
  let value: Partial<Record<keyof BindingValue, unknown>>;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const { relay, set, instance, generation, request, createdAt, ttlSeconds, expiresAt, released } = value;
  if (typeof relay !== 'string' || !isName(relay) || typeof set !== 'string' || !isName(set)) {
    return undefined;
  }
  if (typeof instance !== 'string' || typeof request !== 'string') {
    return undefined;
  }
  if (!isWhole(generation, 1, Number.MAX_SAFE_INTEGER) || !isWhole(ttlSeconds, 1, maxTtlSeconds)) {
    return undefined;
  }
  const createdAtMs = parseTime(createdAt);
  const expiresAtMs = parseTime(expiresAt);
  if (Number.isNaN(createdAtMs) || Number.isNaN(expiresAtMs)) {
    return undefined;
  }
  return {
    call,
    set,
    relayId: relay,
    instance,
    generation,
    requestId: request,
    createdAtMs,
    ttlSeconds,
    expiresAtMs,
    released: released === true,
  };
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

function parseTime(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}

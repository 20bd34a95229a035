import { z } from 'zod';
import { isName } from '../domain/name.js';
import {
  type Intent,
  type Load,
  maxCapacity,
  maxFeatures,
  maxLabels,
  maxMediaAddresses,
  maxWeight,
  type Relay,
  relayKinds,
  relayStates,
} from '../domain/relay.js';

/**
 * What relay nodes and operators put into etcd, as JSON. Anything may stand there, put by a hand or by another
 * version: unknown fields are ignored, and a value that does not fit is undefined, never an exception.
 */

const name = z.string().refine(isName);
const time = z.iso.datetime().transform((text) => Date.parse(text));
const bounded = (limit: number) => z.string().max(limit);
const stringMap = (entries: number) =>
  z.record(z.string().min(1).max(63), bounded(255)).refine((map) => Object.keys(map).length <= entries);

const relayValue = z.object({
  id: name,
  set: name,
  kind: z.enum(relayKinds),
  instance: z.string().min(1).max(64),
  controlUrl: z.string().min(1).max(255),
  media: stringMap(maxMediaAddresses),
  state: z.enum(['active', 'draining']),
  weight: z.int().min(0).max(maxWeight),
  capacity: z.int().min(0).max(maxCapacity),
  zone: bounded(63).default(''),
  labels: stringMap(maxLabels).default({}),
  features: z.array(name).max(maxFeatures).default([]),
  version: bounded(255).default(''),
  startedAt: time,
});

const intentValue = z.object({
  state: z.enum(relayStates),
  weight: z.int().min(0).max(maxWeight).optional(),
  reason: bounded(256).default(''),
  by: bounded(64).default(''),
  at: time,
});

const loadValue = z.object({
  calls: z.int().min(0),
  cpu: z.number().min(0).default(0),
  packetRate: z.number().min(0).default(0),
  at: time,
});

const lifeValue = z.object({ instance: z.string().min(1).max(64), startedAt: time });

/** Which life of its media process a relay node last saw. */
export interface InstanceRecord {
  readonly instance: string;
  readonly startedAtMs: number;
}

export function encodeRelay(relay: Relay): Buffer {
  const { startedAtMs, mediaAddresses, ...rest } = relay;
  return json({ ...rest, media: mediaAddresses, startedAt: iso(startedAtMs) });
}

/** @param key `<set>/<id>`; the value must say the same */
export function decodeRelay(key: string, bytes: Buffer): Relay | undefined {
  const value = parse(relayValue, bytes);
  if (!value || `${value.set}/${value.id}` !== key) {
    return undefined;
  }
  const { startedAt, media, ...rest } = value;
  return { ...rest, mediaAddresses: media, startedAtMs: startedAt };
}

export function encodeIntent({ state, weight, reason, actor, atMs }: Intent): Buffer {
  return json({ state, weight, reason, by: actor, at: iso(atMs) });
}

export function decodeIntent(_key: string, bytes: Buffer): Intent | undefined {
  const value = parse(intentValue, bytes);
  if (!value) {
    return undefined;
  }
  const { by, at, ...rest } = value;
  return { ...rest, actor: by, atMs: at };
}

export function encodeLoad({ atMs, ...rest }: Load): Buffer {
  return json({ ...rest, at: iso(atMs) });
}

export function decodeLoad(_key: string, bytes: Buffer): Load | undefined {
  const value = parse(loadValue, bytes);
  if (!value) {
    return undefined;
  }
  const { at, ...rest } = value;
  return { ...rest, atMs: at };
}

export function encodeInstance({ instance, startedAtMs }: InstanceRecord): Buffer {
  return json({ instance, startedAt: iso(startedAtMs) });
}

export function decodeInstance(bytes: Buffer): InstanceRecord | undefined {
  const value = parse(lifeValue, bytes);
  return value && { instance: value.instance, startedAtMs: value.startedAt };
}

const iso = (ms: number) => new Date(ms).toISOString();
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

function parse<T>(schema: z.ZodType<T>, bytes: Buffer): T | undefined {
  try {
    return schema.safeParse(JSON.parse(bytes.toString())).data;
  } catch {
    return undefined;
  }
}

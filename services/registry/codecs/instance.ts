import { z } from 'zod';
import { type Codec, instanceId, jsonCodec, text, time } from './codec.js';

/**
 * When a media process started, by the clocks of its relay node's host. The clock since boot cannot be stepped; wall
 * time can, but also compares across boots and hosts.
 */
export interface StartTime {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Milliseconds since the host booted, by its monotonic clock; before the boot if negative. */
  readonly sinceBootMs: number;
  /** Random id of that boot of the host; empty where the host has none. */
  readonly bootId: string;
}

/** The life of its media process that a relay node saw last. */
export interface InstanceRecord {
  readonly instance: string;
  readonly start: StartTime;
  /** The relay node, as `processIdentity` names it; empty if it cannot tell. */
  readonly node: string;
}

const value = z.object({
  instance: instanceId,
  startedAt: time,
  sinceBootMs: z.int(),
  bootId: text(64),
  node: text(255).default(''),
});

const schema = z.codec(value, z.custom<InstanceRecord>(), {
  decode: ({ instance, startedAt, node, ...rest }) => ({
    instance,
    start: { wallMs: startedAt, ...rest },
    node,
  }),
  encode: ({ instance, start: { wallMs, ...rest }, node }) => ({
    instance,
    startedAt: wallMs,
    ...rest,
    node,
  }),
});

export const instanceCodec: Codec<InstanceRecord> = jsonCodec(schema);

import { z } from 'zod';
import { departures, type Load } from '../../domain/relay.js';
import { type Codec, jsonCodec, time } from './codec.js';

/** Far above what one relay can carry, and small enough for sums over thousands of relays to stay exact. */
const maxCount = 1_000_000_000;
const maxCpu = 1000;
const maxPingMs = 3_600_000;
const maxExitLength = 63;

const value = z.object({
  calls: z.int().min(0).max(maxCount),
  cpu: z.number().min(0).max(maxCpu).default(0),
  packetRate: z.number().min(0).max(maxCount).default(0),
  kernelPacketRate: z.number().min(0).max(maxCount).optional(),
  pingMs: z.number().min(0).max(maxPingMs).optional(),
  departure: z.enum(departures).optional(),
  exit: z.string().max(maxExitLength).optional(),
  restoredRevision: z.int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  at: time,
});

const schema = z.codec(value, z.custom<Load>(), {
  decode: ({ at, ...rest }) => ({ ...rest, atMs: at }),
  encode: ({ atMs, ...rest }) => ({ ...rest, at: atMs }),
});

/** A load report. */
export const loadCodec: Codec<Load> = jsonCodec(schema);

import { z } from 'zod';
import { type Intent, maxActorLength, maxWeight, relayStates } from '../../domain/relay.js';
import { type Codec, jsonCodec, text, time } from './codec.js';

const value = z.object({
  state: z.enum(relayStates),
  weight: z.int().min(0).max(maxWeight).optional(),
  reason: text(256).default(''),
  by: text(maxActorLength).default(''),
  at: time,
});

const schema = z.codec(value, z.custom<Intent>(), {
  decode: ({ by, at, ...rest }) => ({ ...rest, actor: by, atMs: at }),
  encode: ({ actor, atMs, ...rest }) => ({ ...rest, by: actor, at: atMs }),
});

/** What operators want of a relay. */
export const intentCodec: Codec<Intent> = jsonCodec(schema);

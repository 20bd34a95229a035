import { z } from 'zod';
import { maxGeneration } from '../../domain/binding.js';
import { type Codec, jsonCodec, name } from './codec.js';

/** Where the newest move of a call went. */
export interface MoveRecord {
  /** Generation of the binding that the move made. */
  readonly generation: number;
  readonly relayId: string;
}

const value = z.object({ generation: z.int().min(1).max(maxGeneration), relay: name });

const schema = z.codec(value, z.custom<MoveRecord>(), {
  decode: ({ generation, relay }) => ({ generation, relayId: relay }),
  encode: ({ generation, relayId }) => ({ generation, relay: relayId }),
});

/** The key is that of the call. */
export const moveCodec: Codec<MoveRecord> = jsonCodec(schema);

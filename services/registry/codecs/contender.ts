import { z } from 'zod';
import { type Codec, jsonCodec, name, text } from './codec.js';

/** A relay node that waits for a registration to end which keeps it from its own. */
export interface Contender {
  /** Where it is told to reach its relay. */
  readonly controlUrl: string;
  /** The registration that it waits for. */
  readonly holder: { readonly set: string; readonly id: string };
}

const schema: z.ZodType<Contender, unknown> = z.object({
  controlUrl: text(255).min(1),
  holder: z.object({ set: name, id: name }),
});

export const contenderCodec: Codec<Contender> = jsonCodec(schema);

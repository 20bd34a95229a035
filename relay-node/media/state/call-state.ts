import { z } from 'zod';

/** What another process needs to go on with a call. Times are by the monotonic clock, which all processes of a host share. */
const addressSchema = z.object({ address: z.string(), port: z.number() });

const legSchema = z.object({
  signaled: addressSchema.optional(),
  remote: addressSchema,
  /** Of a party that sends from elsewhere. */
  source: addressSchema.optional(),
  learned: z.boolean(),
  onHold: z.boolean(),
  /** Without those that the kernel counts. */
  packets: z.number(),
  bytes: z.number(),
});

const sideSchema = z.object({
  interface: z.string(),
  /** Of its sockets. */
  address: z.string(),
  /** The even one. */
  port: z.number(),
  formats: z.array(z.number()),
  events: z.array(z.object({ type: z.number(), clockRate: z.number() })).default([]),
  ice: z.object({ ufrag: z.string(), password: z.string(), remoteUfrag: z.string().optional() }).optional(),
  payload: z.enum(['rtp', 'dtls-srtp', 'opaque']),
  rtp: legSchema,
  rtcp: legSchema,
});

const muxSchema = z.object({
  sides: z.tuple([z.boolean(), z.boolean()]),
  pending: z
    .object({ side: z.literal([0, 1]), granted: z.boolean().nullable(), told: z.boolean() })
    .optional(),
});

const streamSchema = z.object({
  type: z.string(),
  protocol: z.string(),
  mux: muxSchema,
  quiet: z.tuple([z.boolean(), z.boolean()]),
  sides: z.tuple([sideSchema, sideSchema]),
});

const handlingSchema = z.enum(['pass', 'block', 'silence']);

const dialogSchema = z.object({
  /** The second is null until that party answers. */
  tags: z.tuple([z.string(), z.string().nullable()]),
  branch: z.string().optional(),
  createdAtMs: z.number(),
  lastSignalMs: z.number(),
  answered: z.boolean(),
  signaled: z.tuple([z.boolean(), z.boolean()]),
  handling: z.tuple([handlingSchema, handlingSchema]),
  deletion: z.object({ atMs: z.number(), ofCall: z.boolean() }).optional(),
  /** Null where a media is switched off. */
  streams: z.array(streamSchema.nullable()),
});

export const callSchema = z.object({
  id: z.string(),
  createdAtWallMs: z.number(),
  begun: z.number(),
  dialogs: z.array(dialogSchema),
});

export type LegState = z.infer<typeof legSchema>;
export type StreamState = z.infer<typeof streamSchema>;
export type DialogState = z.infer<typeof dialogSchema>;
export type CallState = z.infer<typeof callSchema>;

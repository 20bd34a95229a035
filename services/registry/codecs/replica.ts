import { z } from 'zod';
import { maxTtlSeconds } from '../../domain/binding.js';
import { maxLingerSeconds, minLingerSeconds, type SharedSettings } from '../shared-settings.js';
import { type Codec, jsonCodec, text } from './codec.js';

/** A replica that runs, with the settings that others should have too. */
export interface ReplicaRecord {
  /** For people: its host, and where it serves gRPC. */
  readonly name: string;
  readonly settings: SharedSettings;
}

const schema: z.ZodType<ReplicaRecord> = z.object({
  name: text(320),
  settings: z.object({
    etcdPrefix: text(1024),
    lingerSeconds: z.int().min(minLingerSeconds).max(maxLingerSeconds),
    setupTtlSeconds: z.int().min(1).max(maxTtlSeconds),
    callTtlSeconds: z.int().min(1).max(maxTtlSeconds),
    withoutQuorum: text(64),
    placement: text(64),
  }),
});

/** The key is a random id. */
export const replicaCodec: Codec<ReplicaRecord> = jsonCodec(schema);

import { HoldfastError, messageOf } from '../domain/error.js';

/**
 * The error for callers of a call to etcd that failed. Its outcome is unknown unless etcd itself refused it: the
 * deadline may have passed after a write was made. Callers retry, with writes that recognize themselves.
 */
export function etcdUnavailable(doing: string, error: unknown): HoldfastError {
  const what = error instanceof EtcdTrustError ? 'etcd refuses this process' : 'etcd did not answer';
  return new HoldfastError('unavailable', `${what} while ${doing}: ${messageOf(error)}`, { cause: error });
}

/**
 * etcd and this process do not trust each other. Trying again does not help until somebody changes something; the
 * message says what.
 */
export class EtcdTrustError extends Error {
  override readonly name = 'EtcdTrustError';

  constructor(advice: string, cause: unknown) {
    super(`${advice} (${messageOf(cause)})`, { cause });
  }
}

const advices: readonly (readonly [RegExp, string])[] = [
  [
    /invalid user ID or password/,
    'etcd refuses the login: set HOLDFAST_ETCD_USERNAME and HOLDFAST_ETCD_PASSWORD to a user and password that it knows',
  ],
  [
    /user name is empty/,
    'etcd requires a login: set HOLDFAST_ETCD_USERNAME and HOLDFAST_ETCD_PASSWORD to a user that it knows',
  ],
  [
    /etcdserver: permission denied/,
    "etcd does not permit this to the user: grant the user the role of this process on this process's keys",
  ],
  [
    /self[- ]signed certificate|unable to (verify|get)|UNABLE_TO_/,
    "etcd's certificate is not signed by an authority that this process trusts: set HOLDFAST_ETCD_CA to that authority's certificate",
  ],
  [/certificate has expired/, "etcd's certificate has expired: renew it"],
  [
    /does not match certificate's altnames/i,
    "etcd's certificate is not valid for the host in HOLDFAST_ETCD: change one or the other",
  ],
  [
    /alert certificate required|alert bad certificate|alert unknown ca|alert certificate expired/i,
    'etcd refuses the certificate of this process, or requires one: set HOLDFAST_ETCD_CERT and HOLDFAST_ETCD_KEY to one that is valid and signed by the authority that etcd trusts',
  ],
  [
    /wrong version number|packet length too long/i,
    'etcd does not use TLS there: write http:// in HOLDFAST_ETCD',
  ],
];

/** The error as one of trust, if it is one. */
export function trustError(error: unknown): EtcdTrustError | undefined {
  if (error instanceof EtcdTrustError) {
    return error;
  }
  const text = messageOf(error);
  const [, advice] = advices.find(([pattern]) => pattern.test(text)) ?? [];
  return advice === undefined ? undefined : new EtcdTrustError(advice, error);
}

/** Why etcd refuses writes although it answers, with what to do about it. */
export function refusalReason(error: unknown): string {
  const text = messageOf(trustError(error) ?? error);
  return /database space exceeded/.test(text)
    ? `its space is exhausted: compact and defragment it, or raise its quota, then \`etcdctl alarm disarm\` (${text})`
    : text;
}

/** Replaces etcd's own words for a token that it does not accept. */
export const staleTokenText = 'etcd does not accept the token of this login';

/** etcd does not know a lease that a write named: it was revoked, has expired, or etcd lost its data. */
export function isLeaseGone(error: unknown): boolean {
  return messageOf(error).includes('requested lease not found');
}

/** The answer is beyond gRPC's limit of this client. */
export function isTooLargeToReceive(error: unknown): boolean {
  return messageOf(error).includes('Received message larger than max');
}

/** A write named a lease that etcd does not know. Nothing was written; a new lease is needed. */
export class LeaseGoneError extends Error {
  override readonly name = 'LeaseGoneError';

  constructor() {
    super('etcd does not know the lease of a write');
  }
}

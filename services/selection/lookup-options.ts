import type { Prediction } from './outage/outage-fallback.js';

/** How a call is looked up. */
export interface LookupOptions extends Prediction {
  /** A call that etcd does not know is looked for on the relays, and bound where it is found. */
  readonly adopts?: boolean;
  /** It is in use: one that is found on a relay while etcd cannot be asked is bound once it can. */
  readonly isUse?: boolean;
  /** Without quorum a call of which nothing is known is answered where it would be placed. */
  readonly predicts?: boolean;
  /** etcd is read, if it can be: caches hear a little late that a call has begun again at another replica. */
  readonly current?: boolean;
  /** Instance of a relay that says that it does not know the call: one that is being set up there is looked for on the others. */
  readonly deniedBy?: string | undefined;
}

/** Bounds of `lingerSeconds`. */
export const minLingerSeconds = 5;
export const maxLingerSeconds = 600;

/** The settings that should be the same on all replicas that share an etcd. */
export interface SharedSettings {
  /** Replicas with another prefix are another installation, or misconfigured: they see other relays and calls. */
  readonly etcdPrefix: string;
  readonly lingerSeconds: number;
  readonly setupTtlSeconds: number;
  readonly callTtlSeconds: number;
  readonly withoutQuorum: string;
  readonly placement: string;
}

/** By which variables operators know them. */
export const settingVariables: Readonly<Record<keyof SharedSettings, string>> = {
  etcdPrefix: 'HOLDFAST_ETCD_PREFIX',
  lingerSeconds: 'HOLDFAST_LINGER_SECONDS',
  setupTtlSeconds: 'HOLDFAST_SETUP_TTL_SECONDS',
  callTtlSeconds: 'HOLDFAST_CALL_TTL_SECONDS',
  withoutQuorum: 'HOLDFAST_WITHOUT_QUORUM',
  placement: 'HOLDFAST_PLACEMENT',
};

export const settingNames = Object.keys(settingVariables) as readonly (keyof SharedSettings)[];

/** Those in which the two differ. With another prefix the rest need not agree. */
export function differences(own: SharedSettings, other: SharedSettings): readonly (keyof SharedSettings)[] {
  if (own.etcdPrefix !== other.etcdPrefix) {
    return ['etcdPrefix'];
  }
  return settingNames.filter((name) => own[name] !== other[name]);
}

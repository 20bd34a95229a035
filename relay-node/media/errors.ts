/** The relay has no free ports. The words are rtpengine's, which SIP proxies know. */
export class OutOfPortsError extends Error {
  override readonly name = 'OutOfPortsError';

  constructor() {
    super('Ran out of ports');
  }
}

/** As many calls as are allowed. The words are rtpengine's, which SIP proxies know. */
export class SessionLimitError extends Error {
  override readonly name = 'SessionLimitError';

  constructor() {
    super('Parallel session limit reached');
  }
}

/** The relay has no such interface, or that has no such address. */
export class NoInterfaceError extends Error {
  override readonly name = 'NoInterfaceError';

  /** @param missing whether the interface is missing, or an address of it */
  constructor(
    readonly missing: 'name' | 'address',
    wanted: { readonly name?: string | undefined; readonly family?: number | undefined },
  ) {
    super(
      `No interface${wanted.name ? ` ${wanted.name}` : ''}${wanted.family ? ` of IPv${wanted.family}` : ''}`,
    );
  }
}

/** The request cannot be carried out; the message says why. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

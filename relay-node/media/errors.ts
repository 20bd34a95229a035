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

/** The request cannot be carried out; the message says why. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

import type { ErrorCode } from '../../../services/control/rtpproxy/errors.js';

/** A command is refused with one of rtpproxy's numbers. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(readonly code: ErrorCode) {
    super(`E${code}`);
  }
}

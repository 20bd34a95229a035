import type { TlsFiles } from '../../runtime/tls-files.js';
import type { Check } from './check.js';

/** The files can be read, fit together, and are valid now. */
export const certificateCheck = (subject: string, files: TlsFiles): Check => ({
  subject,
  run: async () => {
    try {
      await files.start();
      const { validUntilMs } = files.current;
      if (validUntilMs !== undefined && validUntilMs < Date.now()) {
        throw new Error(`it expired on ${new Date(validUntilMs).toISOString()}`);
      }
      return validUntilMs === undefined
        ? 'can be read'
        : `is valid until ${new Date(validUntilMs).toISOString()}`;
    } finally {
      files.stop();
    }
  },
});

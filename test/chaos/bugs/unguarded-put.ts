import { rewriteWrites } from './transactions.js';

/** Bindings are written whatever stands there. */
rewriteWrites({ keepsGuard: (_, key) => !key.includes('/calls/') });

import { rewriteWrites } from './transactions.js';

/** Writes bindings whatever is there. */
rewriteWrites({ keepsGuard: (_, key) => !key.includes('/calls/') });

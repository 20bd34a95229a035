import { rewriteWrites } from './transactions.js';

/** Bindings are written without a look at the relays' registrations. */
rewriteWrites({ keepsGuard: (_, key) => !key.includes('/relays/') });

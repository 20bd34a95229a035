import { rewriteWrites } from './transactions.js';

/** Writes bindings without checking the registrations of the relays. */
rewriteWrites({ keepsGuard: (_, key) => !key.includes('/relays/') });

import { createRequire } from 'node:module';

/** Of Holdfast. */
export const { version } = createRequire(import.meta.url)('#package') as { version: string };

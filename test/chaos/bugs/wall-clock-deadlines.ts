import { systemClock } from '../../../services/runtime/clock.js';

/** Measures deadlines and ages by the wall clock. */
systemClock.monotonicMs = () => Date.now();

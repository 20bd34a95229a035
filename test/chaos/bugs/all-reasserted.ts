import { RelaySurvey } from '../../../services/selection/carried/relay-survey.js';

/** Writes all that it remembers again when etcd has lost it, whether a relay carries the call or not. */
RelaySurvey.prototype.isCarried = () => Promise.resolve(true);

import { EtcdHistory } from '../../../services/etcd/history.js';

/** Does not look which cluster and which revision an answer is of. */
EtcdHistory.prototype.begin = () => () => {};

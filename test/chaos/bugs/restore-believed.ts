import { RestoredBindings } from '../../../services/selection/carried/restored-bindings.js';

/** Takes what a restored etcd has for the truth. */
RestoredBindings.prototype.has = () => false;
RestoredBindings.prototype.isOpen = () => false;
RestoredBindings.prototype.judge = () => Promise.resolve('stands');

/** A value in etcd that is not what its key promises: what is wrong with it. Readers log it and treat the key as absent. */
export class InvalidValue {
  constructor(readonly reason: string) {}
}

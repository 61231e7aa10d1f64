// Responses that were dropped: collected as garbage before they were read, drained or closed. Until it is closed such a
// response holds its connection, so whoever listens to its trace is warned. Nothing relies on it: a collector may come
// late or never, and what it finds is only told.
//
// A response changes hands: whoever may read on (the response, an iterator, a stream) owns it, one at a time.
export interface Droppable {
  dropped(): void
}

const owners = new FinalizationRegistry<Droppable>((exchange) => exchange.dropped())

/** From now on it is this owner that must not be lost. */
export function watchOwner(exchange: Droppable, owner: object): void {
  unwatchOwner(exchange)
  owners.register(owner, exchange, exchange)
}
/** It comes to its end by itself. */
export function unwatchOwner(exchange: Droppable): void {
  owners.unregister(exchange)
}

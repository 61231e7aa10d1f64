// One abort listener per signal, whatever the number of requests that hang on it: a listener per request would cost
// half of what a small request costs, and Node warns of the eleventh.
//
// A signal's requests stand in a Set; the listener stays with the signal and holds nothing else.
export interface Abortable {
  giveUp(reason: unknown): void
}

const watched = new WeakMap<AbortSignal, Set<Abortable>>()

/** Gives `request` up with the signal's own reason when it aborts. The signal has not been aborted yet. */
export function watch(signal: AbortSignal, request: Abortable): void {
  let requests = watched.get(signal)
  if (requests === undefined) {
    const all: Set<Abortable> = (requests = new Set())
    watched.set(signal, all)
    signal.addEventListener('abort', () => {
      for (const one of all) one.giveUp(signal.reason)
      all.clear()
    })
  }
  requests.add(request)
}

export function unwatch(signal: AbortSignal, request: Abortable): void {
  watched.get(signal)?.delete(request)
}

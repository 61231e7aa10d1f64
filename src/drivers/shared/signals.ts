// One abort listener per signal, whatever the number of requests that hang on it: a listener per request would cost
// half of what a small request costs, and Node warns of the eleventh.
//
// A signal's requests stand in a Set; the listener stays with the signal and holds nothing else. It stays with one that has
// no request only as long as that is the latest: Node keeps a timeout, or what AbortSignal.any gave, for its listeners.
export interface Abortable {
  giveUp(reason: unknown): void
}

interface Watched {
  readonly requests: Set<Abortable>
  readonly listener: () => void
}
const watched = new WeakMap<AbortSignal, Watched>()
/** The latest that was left by its last request. */
let left: AbortSignal | undefined

/** Gives `request` up with the signal's own reason when it aborts. The signal has not been aborted yet. */
export function watch(signal: AbortSignal, request: Abortable): void {
  let known = watched.get(signal)
  if (known === undefined) {
    const requests = new Set<Abortable>()
    const listener = (): void => {
      for (const one of requests) one.giveUp(signal.reason)
      requests.clear()
    }
    watched.set(signal, (known = { requests, listener }))
    signal.addEventListener('abort', listener, { once: true })
  }
  known.requests.add(request)
}

export function unwatch(signal: AbortSignal, request: Abortable): void {
  const requests = watched.get(signal)?.requests
  if (requests?.delete(request) !== true || requests.size > 0 || left === signal) return
  const before = left
  left = signal
  const idle = before && watched.get(before)
  if (idle === undefined || idle.requests.size > 0) return
  watched.delete(before as AbortSignal)
  before?.removeEventListener('abort', idle.listener)
}

// One abort listener per signal, whatever the number of requests that hang on it: a listener per request would cost
// half of what a small request costs, and Node warns of the eleventh.
//
// A signal's requests stand in a Set; the listener goes with the last of them. Nothing of ours is left on a signal that
// nobody hangs on, which Node would keep alive for it; to add it anew costs 0.2 µs.
export interface Abortable {
  giveUp(reason: unknown): void
}

interface Watched {
  readonly requests: Set<Abortable>
  readonly listener: () => void
}
const watched = new WeakMap<AbortSignal, Watched>()

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
  const known = watched.get(signal)
  if (known?.requests.delete(request) !== true || known.requests.size > 0) return
  watched.delete(signal)
  signal.removeEventListener('abort', known.listener)
}

// A callback at the end of what runs now: as queueMicrotask, which makes three objects more for each call.
const settled = Promise.resolve()

export function soon(callback: () => void): void {
  void settled.then(callback)
}
